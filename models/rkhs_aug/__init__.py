"""The reproducing kernel Hilbert space of an augmentation (Zhai, Liu, Risteski, Kolter, Ravikumar, ICLR 2024), on the hypercube."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "Block": "models.rkhs_aug.augmentation",
        "Independent": "models.rkhs_aug.augmentation",
        "Smoother": "models.rkhs_aug.estimator",
        "operator": "models.rkhs_aug.views",
        "States": "models.rkhs_aug.views",
        "spectral_contrastive": "models.rkhs_aug.encoder",
    },
)
