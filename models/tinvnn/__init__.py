"""MDS canonicalisation (TinvNN-style): invariant, distance-preserving coordinates for any network (after Zhang et al. 2021)."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "MDSCanonicalisation": "models.tinvnn.mds",
        "canonicalise": "models.tinvnn.mds",
        "classical_mds": "models.tinvnn.mds",
    },
)
