"""The clustering baselines as methods of the harness."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from bench.schema import BenchError, Bundle, Metric, Result, SolverMethod
from models.clustering.config import Config
from models.clustering.spectral import components, kmeans, spectral_labels
from models.clustering.subspace import ensc, points, self_affinity, ssc_omp
from models.geometry.sinkhorn import potentials


def flat(bundle: Bundle) -> np.ndarray:
    """All samples as float64 rows; images divided by the value of a white pixel."""
    x = np.asarray(bundle.test.x, dtype=np.float64).reshape(len(bundle.test), -1)
    if not np.isfinite(x).all():
        raise BenchError("the samples hold NaN or infinity; leave those out of the data")
    if len(x) < bundle.n_out:
        raise BenchError(f"{len(x)} samples cannot be clustered into {bundle.n_out} clusters; take more samples")
    return x / bundle.meta.get("white", 1.0)


def subspace_labels(x: np.ndarray, cfg: Any, k: int, seed: int, algorithm: str) -> np.ndarray:
    """Clusters by EnSC or SSC-OMP with the choices gamma, tau, atoms and residual of `cfg`."""
    c = ensc(x, cfg.gamma, cfg.tau) if algorithm == "ensc" else ssc_omp(x, cfg.atoms, cfg.residual)
    return spectral_labels(self_affinity(c), k, seed)


class Baseline(SolverMethod):
    cfg: Config

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        c, x, k, seed = self.cfg, flat(bundle), bundle.n_out, ctx.seed("labels")
        self.metrics: list[Metric] = []
        if c.algorithm == "kmeans":
            self.labels = kmeans(x, k, seed).labels_
        elif c.algorithm == "spectral":
            self.labels = _spectral(x, k, seed, c)
        elif c.algorithm == "ds_spectral":
            z = torch.from_numpy(points(x))
            w = potentials(-(z @ z.T).abs(), c.eta).plan.numpy()
            self.metrics.append(Metric("components", components(w), "none", "components"))
            self.labels = spectral_labels(w, k, seed)
        else:
            self.labels = subspace_labels(x, c, k, seed, c.algorithm)

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        return Result({"cluster": np.asarray(self.labels, dtype=np.int64)}, self.metrics, transductive=True)


def _spectral(x: np.ndarray, k: int, seed: int, c: Config) -> np.ndarray:
    """scikit-learn's spectral clustering; the Gaussian kernel has the median squared distance as its scale."""
    import warnings

    from scipy.spatial.distance import pdist
    from sklearn.cluster import SpectralClustering

    gamma = 1 / np.median(pdist(x[:2000], "sqeuclidean")) if c.affinity == "rbf" else 1.0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Graph is not fully connected")
        return SpectralClustering(
            k, affinity=c.affinity, gamma=gamma, n_neighbors=min(c.neighbours, len(x) - 1), random_state=seed % 2**32
        ).fit_predict(x)
