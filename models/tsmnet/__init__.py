"""TSMNet and SPD domain-specific momentum batch normalisation (Kobler, Hirayama, Zhao, Kawanabe, NeurIPS 2022)."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "SPDDSMBN": "models.tsmnet.norm",
        "TSMNetwork": "models.tsmnet.net",
        "domain_batches": "models.tsmnet.sampler",
        "momenta": "models.tsmnet.schedule",
    },
)
