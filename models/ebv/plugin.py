"""The generator of equiangular basis vectors as a method of the harness."""

from __future__ import annotations

from typing import Any

import torch

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.ebv.basis import SLACK, cosines, generate, optimality
from models.ebv.bounds import welch_bound
from models.ebv.config import Config


class BasisStudy(SolverMethod):
    cfg: Config

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        n, d, self.max_cos = int(bundle.meta["n"]), int(bundle.meta["d"]), float(bundle.meta["max_cos"])
        kind = "official" if self.cfg.official_parity else "equiangular"
        options: dict[str, Any] = {"kind": kind, "seed": self.cfg.basis_seed, "steps": self.cfg.steps or 4000}
        self.basis = generate(n, d, self.max_cos, lr=self.cfg.lr, **options)

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        basis, (n, d) = self.basis, self.basis.vectors.shape
        reached = basis.coherence
        self._draw(ctx)
        out = [
            Metric("max_cos", reached, "lower", "1"),
            Metric("excess", max(0.0, reached - self.max_cos - SLACK), "lower", "1"),
            Metric("reached", float(basis.reached), "higher", "fraction"),
            Metric("steps", float(basis.steps), "lower", "steps"),
        ]
        if n > d:
            out.append(Metric("coherence_over_welch", optimality(basis), "lower", "1"))
        return Result(metrics=out)

    def _draw(self, ctx: Any) -> None:
        """Cosines of all pairs, with what was asked for and the Welch bound."""
        from matplotlib.figure import Figure

        n, d = self.basis.vectors.shape
        gram = cosines(self.basis.vectors)
        figure = Figure(figsize=(5, 3))
        axes = figure.add_subplot(xlabel="|cosine|", ylabel="pairs", title=f"{n} vectors in R^{d}")
        axes.hist(gram[tuple(torch.triu_indices(n, n, 1))].abs().numpy(), bins=60)
        axes.axvline(self.max_cos, color="C1", label="asked for")
        axes.axvline(welch_bound(n, d), color="0.3", linestyle=":", label="Welch bound")
        axes.legend()
        ctx.save_figure("cosines", figure)
