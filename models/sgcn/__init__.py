"""S-GCN (Igashov et al. 2021): spherical convolutions in residue frames, and message passing without directions."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "frames": "models.sgcn.frames",
        "directions": "models.sgcn.frames",
        "SphericalConv": "models.sgcn.layers",
        "MessagePassing": "models.sgcn.layers",
        "SphericalNet": "models.sgcn.nets",
        "MessagePassingNet": "models.sgcn.nets",
        "EquivariantNet": "models.sgcn.equivariant",
        "Graphs": "models.sgcn.graphs",
        "GraphSet": "models.sgcn.graphs",
    },
)
