"""Regularisation towards equivariance under several candidate groups (Kim et al., ICML 2023)."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "Rep": "models.soft_equivariance.rep",
        "basis": "models.soft_equivariance.rep",
        "Penalty": "models.soft_equivariance.penalty",
        "Tuner": "models.soft_equivariance.tuning",
        "SoftEMLP": "models.soft_equivariance.net",
    },
)
