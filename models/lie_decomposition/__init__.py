"""Convolutions that are equivariant under SL(2) and GL+(2), by decompositions of the group (Mironenco and Forre, ICLR 2024)."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "GroupConv": "models.lie_decomposition.layers",
        "LiftingConv": "models.lie_decomposition.layers",
        "Siren": "models.lie_decomposition.siren",
        "LieNetwork": "models.lie_decomposition.network",
        "PlainNetwork": "models.lie_decomposition.network",
    },
)
