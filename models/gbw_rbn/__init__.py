"""Riemannian batch normalisation under the generalised Bures-Wasserstein metric (Wang et al., CVPR 2025)."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "GBWBatchNorm": "models.gbw_rbn.norm",
        "MixedRiemannianSGD": "models.nn.riemannian_sgd",
        "manifold_groups": "models.nn.riemannian_sgd",
    },
)
