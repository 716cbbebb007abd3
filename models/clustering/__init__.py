"""Clustering baselines: k-means, spectral clustering, and subspace clustering by sparse self-expression (EnSC, SSC-OMP).

from models.clustering import ensc, spectral_labels, ssc_omp
"""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "ensc": "models.clustering.subspace",
        "ssc_omp": "models.clustering.subspace",
        "self_affinity": "models.clustering.subspace",
        "spectral_labels": "models.clustering.spectral",
        "spectral_embedding": "models.clustering.spectral",
        "components": "models.clustering.spectral",
    },
)
