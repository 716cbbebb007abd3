"""The vector-field Gaussian process as a method of the harness."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.geometry.connection import VectorManifold
from models.rvgp.config import Config
from models.rvgp.gp import Parameters, VectorFieldGP


class RVGP(SolverMethod):
    cfg: Config

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        cfg = self.cfg
        points = np.concatenate([bundle.train.x, bundle.test.x])
        self.manifold = VectorManifold.from_points(points, cfg.neighbours, cfg.explained, cfg.dim, cfg.bridge)
        rows = self.manifold.laplacian.shape[0]
        assert cfg.modes is not None
        modes = self.manifold.vector_modes(min(cfg.modes, rows), cfg.laplacian == "rw")
        known = np.arange(len(bundle.train))
        if cfg.official_parity:
            known = np.sort(ctx.rng("held_out").permutation(known)[len(known) // 5 :])
        start = Parameters(cfg.nu, cfg.kappa, cfg.sigma_f, cfg.noise)
        # one process for each field: every frame of time has its own hyper-parameters
        self.processes = [
            VectorFieldGP(*modes, cfg.kernel, start, cfg.optimise, cfg.steps).fit(known, bundle.train.y[known, f])
            for f in range(bundle.train.y.shape[1])
        ]

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        n = len(self.manifold.points)
        index = np.arange(len(bundle.train), n)
        parts = [gp.predict(index) for gp in self.processes]
        mean = np.stack([m for m, _ in parts], 1)
        variance = np.stack(
            [np.diagonal(c, axis1=1, axis2=2) + gp.noise for gp, (_, c) in zip(self.processes, parts, strict=True)], 1
        )
        first = self.processes[0].parameters
        count = np.arange(1, min(40, len(self.processes[0].values)))
        ctx.save_figure("spectrum", _spectrum(self.processes[0], count)) if len(count) > 1 else None
        return Result(
            {"y": mean, "std": np.sqrt(variance)},
            metrics=[
                Metric("dimension", float(self.manifold.frames.shape[2]), "none", "count"),
                Metric("lowest_eigenvalue", float(self.processes[0].values[0]), "none", "1"),
                Metric("nu", first.nu, "none", "1"),
                Metric("kappa", first.kappa, "none", "1"),
                Metric("noise_share", first.noise, "none", "fraction"),
            ],
            params=4 * len(self.processes),
            transductive=True,
        )


def _spectrum(gp: VectorFieldGP, count: np.ndarray) -> Any:
    """Eigenvalues of the connection Laplacian and the weights that the fitted kernel gives to their modes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.add_subplot(xlabel="mode", ylabel="eigenvalue")
    axes.plot(count, gp.values[count - 1], ".-", color="black")
    weight = axes.twinx()
    weight.semilogy(count, gp.weights()[count - 1], ".-", color="tab:red")
    weight.set_ylabel("weight in the kernel", color="tab:red")
    return figure
