"""Gaussian processes of tangent vector fields (Peach et al., ICLR 2024); frames and the connection Laplacian are in models/geometry."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "VectorFieldGP": "models.rvgp.gp",
        "spectral_weights": "models.rvgp.gp",
        "singular_points": "models.geometry.singularities",
    },
)
