"""Batch normalisation on Lie groups of SPD matrices (Chen et al., ICLR 2024)."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "LieBatchNorm": "models.liebn.norm",
        "MixedRiemannianSGD": "models.nn.riemannian_sgd",
        "manifold_groups": "models.nn.riemannian_sgd",
    },
)
