"""The embedding as a method of the harness."""

from __future__ import annotations

from typing import Any

import torch

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.geometry import poincare
from models.tree_embedding.config import Config
from models.tree_embedding.embedding import embed


class Embedding(SolverMethod):
    cfg: Config

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        cfg = self.cfg
        self.c = None if cfg.space == "euclidean" else (cfg.c or 1.0)
        generator = torch.Generator().manual_seed(ctx.seed("init"))
        target = torch.as_tensor(bundle.train.x)
        self.found = embed(target, cfg.dim, self.c, cfg.clip, cfg.steps or 1500, cfg.starts, cfg.lr, generator)

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        found = self.found
        for step, value in enumerate(found.history.tolist()):
            ctx.log(step, distortion=value)
        if self.cfg.dim == 2:
            ctx.save_figure("embedding", self.figure(bundle))
        return Result(
            metrics=[
                Metric("distortion", found.distortion, "lower", "1"),
                Metric("distortion_mean", float(found.distortions.mean()), "lower", "1"),
                Metric("scale", found.scale, "none", "1"),
            ],
            params=found.points.numel() + 1,
            n_trials=self.cfg.starts,
        )

    def figure(self, bundle: Bundle) -> Any:
        """Nodes and edges in the plane; on the disc edges are geodesics and the circle is its edge."""
        from matplotlib.figure import Figure

        x, parent = self.found.points, bundle.meta["parent"]
        figure = Figure(figsize=(5, 5), layout="constrained")
        name = (
            "plane"
            if self.c is None
            else f"disc, c = {self.c:g}" + (f", r = {self.cfg.clip:g}" if self.cfg.clip else "")
        )
        axes = figure.add_subplot(
            title=f"{bundle.group} tree, {name}: distortion {self.found.distortion:.3f}", aspect="equal"
        )
        t = torch.linspace(0, 1, 33, dtype=x.dtype)[:, None, None]
        a, b = x[torch.as_tensor(parent[1:])], x[1:]
        if self.c is None:
            lines = a + t * (b - a)
        else:  # the geodesic from a to b is a (+) the multiples of (-a) (+) b
            lines = poincare.mobius_add(
                a, poincare.exp0(t * poincare.log0(poincare.mobius_add(-a, b, self.c), self.c), self.c), self.c
            )
            angle = torch.linspace(0, 2 * torch.pi, 200)
            axes.plot(angle.cos() / self.c**0.5, angle.sin() / self.c**0.5, color="0.6", linewidth=0.8)
        axes.plot(*lines.permute(2, 0, 1).numpy(), color="0.4", linewidth=0.8)
        axes.scatter(*x.T.numpy(), c=bundle.train.x[0], cmap="viridis", s=24, zorder=3)  # colour: depth below the root
        return figure
