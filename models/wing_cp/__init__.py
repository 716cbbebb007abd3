"""Pressure on wings from local Riemannian geometry (Hu, Wang, Xiang, Sommer, arXiv 2401.09452)."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "DAN": "models.wing_cp.networks",
        "PointwiseMLP": "models.wing_cp.networks",
        "SurfaceInputs": "models.wing_cp.inputs",
        "point_features": "models.wing_cp.inputs",
    },
)
