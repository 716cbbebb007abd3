"""Inference on pulsar-timing arrays with normalising flows (Lai and Li, arXiv 2504.04211)."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "ArrayLikelihood": "models.pta_flow.likelihood",
        "FreeSpectrum": "models.pta_flow.free_spectrum",
        "Posterior": "models.pta_flow.posterior",
        "PosteriorFlow": "models.pta_flow.flow",
        "hellinger": "models.pta_flow.hellinger",
        "log10_phi": "models.pta_flow.spectra",
        "overlap": "models.pta_flow.correlations",
        "reduce": "models.pta_flow.projection",
    },
)
