"""Normals by local fits: principal components or jets, oriented along a minimum spanning tree."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "pca_normals": "models.geometry.neighbourhoods",
        "jet_normals": "models.geometry.neighbourhoods",
        "orient_mst": "models.normal_fitting.orient",
        "orient_radial": "models.normal_fitting.orient",
    },
)
