"""AdamP and SGDP (Heo et al., ICLR 2021): projected momentum optimisers for scale-invariant weights.

from models.adamp import AdamP, SGDP
"""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "AdamP": "models.adamp.optim",
        "SGDP": "models.adamp.optim",
    },
)
