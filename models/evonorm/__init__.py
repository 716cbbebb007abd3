"""EvoNorm-B0 and EvoNorm-S0: normalisation and activation in one layer (Liu et al., NeurIPS 2020).

from models.evonorm import EvoNormB0, EvoNormS0
"""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "EvoNormB0": "models.evonorm.layers",
        "EvoNormS0": "models.evonorm.layers",
        "ScaleShift": "models.evonorm.layers",
    },
)
