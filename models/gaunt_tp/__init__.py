"""Gaunt tensor products (Luo, Chen, Krishnapriyan, ICLR 2024)."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "GauntConvolution": "models.gaunt_tp.convolution",
        "GauntPowers": "models.gaunt_tp.many_body",
        "GauntProduct": "models.gaunt_tp.product",
        "choose": "models.gaunt_tp.choice",
    },
)
