"""Hyperbolic category discovery (Liu, He and Han, CVPR 2025) and its bases GCD (CVPR 2022) and SimGCD (ICCV 2023)."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "HyperbolicLinear": "models.hypcd.heads",
        "info_nce": "models.hypcd.losses",
        "representation_loss": "models.hypcd.losses",
        "semi_supervised_kmeans": "models.hypcd.kmeans",
        "sup_con": "models.hypcd.losses",
    },
)
