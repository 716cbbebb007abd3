"""Heat-geodesic embedding (Huguet et al., NeurIPS 2023); its mathematics is in models/geometry/heat.py and mds.py."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {"HeatDistances": "models.heat_geodesic.distances", "landmark_embedding": "models.heat_geodesic.landmarks"},
)
