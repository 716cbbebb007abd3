"""Unsupervised manifold linearizing and clustering (Ding et al., ICCV 2023).

from models.mlc import gamma_of, mlc_loss, tcr_loss
"""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "TwoHeads": "models.mlc.net",
        "gamma_of": "models.mlc.objective",
        "mlc_loss": "models.mlc.objective",
        "tcr_loss": "models.mlc.objective",
    },
)
