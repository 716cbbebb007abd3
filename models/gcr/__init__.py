"""Grassmann class representation (Wang et al., ICCV 2023): classes as subspaces, and optimisers that move them as such."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "GrassmannAdam": "models.gcr.optim",
        "GrassmannHead": "models.gcr.head",
        "GrassmannSGD": "models.gcr.optim",
    },
)
