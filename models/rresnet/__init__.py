"""Riemannian residual network on SPD matrices (Katsman et al. 2023), with an exchangeable batch normalisation."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "RResNet": "models.rresnet.net",
        "ResidualStep": "models.rresnet.residual",
        "SpectrumMap": "models.rresnet.residual",
    },
)
