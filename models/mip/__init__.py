"""Magnitude-invariant parametrisations of hypernetworks (Gonzalez Ortiz, Guttag, Dalca, ICLR 2024)."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "HyperNetwork": "models.mip.hypernet",
        "encode": "models.mip.hypernet",
        "unit_interval": "models.mip.hypernet",
        "Hypernetised": "models.mip.wrap",
        "hypernetise": "models.mip.wrap",
        "magnitude": "models.mip.measure",
    },
)
