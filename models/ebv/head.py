"""The classification head whose class vectors are fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from bench.schema import BenchError, Bundle, Metric
from models.ebv.basis import Basis, cosines, optimality, unreached
from models.ebv.bounds import welch_bound
from models.ebv.store import cached

if TYPE_CHECKING:
    from models.image_classifier.config import Config


class EquiangularHead(nn.Module):
    """Scores <z / ||z||, v_c> / tau of z = A x + b against fixed unit vectors v_c (Shen et al. 2023).

    Features x (N, D) -> scores (N, n) in [-1 / tau, 1 / tau]. Cross-entropy of these scores, also with label smoothing or soft
    targets, is the loss; the largest score is the nearest vector on the sphere. The cosine is signed. The only parameters are those
    of the linear map to R^d, so their number does not depend on n.

    Parameters
    ----------
    features : D
    vectors : (n, d), normalised here; a buffer: no gradient, no optimiser, no weight decay
    temperature : tau > 0
    """

    vectors: Tensor

    def __init__(self, features: int, vectors: Tensor, temperature: float = 0.07) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature={temperature} must be positive")
        if vectors.dim() != 2 or not bool((vectors.norm(dim=1) > 0).all()):
            raise ValueError(f"vectors has shape {tuple(vectors.shape)}; give n non-zero rows of one dimension")
        self.temperature = temperature
        self.project = nn.Linear(features, vectors.shape[1])
        self.register_buffer("vectors", normalize(vectors.to(self.project.weight.dtype), dim=1))

    def forward(self, x: Tensor) -> Tensor:
        z = self.project(x)
        with torch.autocast(x.device.type, enabled=False):
            return linear(normalize(z.to(self.vectors.dtype), dim=1), self.vectors / self.temperature)

    @torch.no_grad()
    def measure(self, bundle: Bundle) -> list[Metric]:
        """Coherence of the class vectors, and how far it is above what is possible."""
        v = self.vectors.cpu()
        basis = Basis(v, 0, True)
        out = [Metric("max_cos", basis.coherence, "lower", "1")]
        if welch_bound(*v.shape):
            out.append(Metric("coherence_over_welch", optimality(basis), "lower", "1"))
        return out

    def draw(self) -> Any:
        """Histogram of the cosines between class vectors, with the Welch bound."""
        from matplotlib.figure import Figure

        n, d = self.vectors.shape
        figure = Figure(figsize=(5, 3))
        axes = figure.add_subplot(xlabel="cosine between class vectors", ylabel="pairs", title=f"{n} vectors in R^{d}")
        gram = cosines(self.vectors.cpu())
        axes.hist(gram[tuple(torch.triu_indices(n, n, 1))].numpy(), bins=60)
        for bound in {welch_bound(n, d), -welch_bound(n, d)}:
            axes.axvline(bound, color="0.3", linestyle=":")
        return figure


def equiangular(features: int, n_out: int, cfg: Config) -> EquiangularHead:
    d = cfg.basis_dim or n_out
    kind = "official" if cfg.official_parity and cfg.basis == "equiangular" else cfg.basis
    try:
        basis = cached(n_out, d, cfg.max_cos, kind, cfg.basis_seed, cfg.basis_steps)
    except ValueError as error:
        raise BenchError(f"method.basis={cfg.basis}, method.basis_dim={d}: {error}") from None
    if not basis.reached and cfg.max_cos is not None:
        raise BenchError(f"method.max_cos: {unreached(basis, cfg.max_cos)}")
    return EquiangularHead(features, basis.vectors, cfg.temperature)
