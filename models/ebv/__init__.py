"""Equiangular basis vectors (Shen, Sun and Wei, CVPR 2023): fixed, nearly orthogonal targets for classes."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "EquiangularHead": "models.ebv.head",
        "coherence": "models.ebv.basis",
        "generate": "models.ebv.basis",
        "welch_bound": "models.ebv.bounds",
    },
)
