"""The manifold-learning baselines as methods of the harness."""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any

import numpy as np
from scipy.spatial.distance import pdist, squareform

from bench.schema import Bundle, Result, SolverMethod
from models.embeddings.config import Config

PACKAGES = {"phate": "phate", "umap": "umap"}


class Baseline(SolverMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        package = PACKAGES.get(self.cfg.algorithm)
        if package and importlib.util.find_spec(package) is None:
            return f"{package} is not installed; pip install '.[manifold]'"
        if len(bundle.test) < self.cfg.knn + 2:
            return f"there are {len(bundle.test)} points and method.knn={self.cfg.knn}; lower it"
        if self.cfg.algorithm == "tsne" and self.cfg.perplexity >= len(bundle.test):
            return f"there are {len(bundle.test)} points and method.perplexity={self.cfg.perplexity:g}; lower it"
        return None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        x, seed = np.asarray(bundle.test.x, dtype=np.float64), ctx.seed("embedding") % 2**31
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.predictions: dict[str, Any] = getattr(self, f"_{self.cfg.algorithm}")(x, seed)

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        return Result(self.predictions, transductive=True)

    def _shortest_path(self, x: np.ndarray, seed: int) -> dict[str, Any]:
        """Shortest paths in the neighbour graph, whose components scikit-learn joins by their shortest edges; classical scaling."""
        from sklearn.manifold import Isomap

        found = Isomap(n_neighbors=self.cfg.knn, n_components=self.cfg.dim).fit(x)
        return {"distances": squareform(found.dist_matrix_, checks=False), "embedding": found.embedding_}

    def _diffusion_map(self, x: np.ndarray, seed: int) -> dict[str, Any]:
        """Distances between rows of phi diag(mu^t), mu and phi the eigenpairs of the random walk of the alpha-decay graph (Coifman and
        Lafon 2006), all but the constant one."""
        from models.geometry.heat import alpha_decay_graph

        w = alpha_decay_graph(x, self.cfg.knn, bridge=True)
        degree = np.asarray(w.sum(1)).ravel() + 1.0  # a lazy step: the kernel of a point to itself is 1
        root = degree**-0.5
        values, vectors = np.linalg.eigh(root[:, None] * (w.toarray() + np.eye(len(x))) * root)
        values, phi = values[::-1][1:], (root[:, None] * vectors)[:, ::-1][:, 1:]
        z = phi * np.maximum(values, 0) ** (self.cfg.t or 1)
        return {"distances": pdist(z), "embedding": z[:, : self.cfg.dim]}

    def _tsne(self, x: np.ndarray, seed: int) -> dict[str, Any]:
        from sklearn.manifold import TSNE

        return {"embedding": TSNE(self.cfg.dim, perplexity=self.cfg.perplexity, random_state=seed).fit_transform(x)}

    def _spectral(self, x: np.ndarray, seed: int) -> dict[str, Any]:
        from sklearn.manifold import SpectralEmbedding

        options = {"n_neighbors": self.cfg.knn, "random_state": seed}
        return {"embedding": SpectralEmbedding(self.cfg.dim, **options).fit_transform(x)}

    def _phate(self, x: np.ndarray, seed: int) -> dict[str, Any]:
        """Distances between the rows of its log-transformed diffusion operator, and its embedding."""
        import phate

        found = phate.PHATE(
            self.cfg.dim, knn=self.cfg.knn, t=self.cfg.t or "auto", random_state=seed, n_jobs=1, verbose=0
        )
        z = found.fit_transform(x)
        return {"distances": pdist(np.asarray(found.diff_potential)), "embedding": np.asarray(z)}

    def _umap(self, x: np.ndarray, seed: int) -> dict[str, Any]:
        import umap

        options = {"n_neighbors": self.cfg.knn, "min_dist": self.cfg.min_dist, "random_state": seed, "n_jobs": 1}
        return {"embedding": umap.UMAP(n_components=self.cfg.dim, **options).fit_transform(x)}
