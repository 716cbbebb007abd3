"""Pressure on surfaces as a task: errors over reliable points, and of the lift where the grid allows it; the figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.schema import Bundle, Metric


@dataclass(frozen=True)
class SurfaceTask:
    """Predictions are `y` (n, P), Cp at the points of each test surface.

    `mse`, `mae` over the points where bundle.meta["reliable"] (P,) holds, `mse_all` over all; `cl_mae` where meta["weight"] (n, P)
    gives the lift coefficient as sum weight Cp.
    """

    main: str = "mse"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        import numpy as np

        y, guess = np.asarray(bundle.test.y, dtype=np.float64), np.asarray(predictions["y"], dtype=np.float64)
        if guess.shape != y.shape:
            raise ValueError(f"y has shape {guess.shape}; the test split needs {y.shape}")
        error, good = guess - y, np.asarray(bundle.meta["reliable"])
        spread = y[:, good] - np.asarray(bundle.train.y, dtype=np.float64)[:, good].mean()
        rows = [
            Metric("mse", float(np.mean(error[:, good] ** 2)), "lower", "1"),
            Metric("mse_all", float(np.mean(error**2)), "lower", "1"),
            Metric("mae", float(np.mean(np.abs(error[:, good]))), "lower", "1"),
            Metric("unexplained", float(np.mean(error[:, good] ** 2) / np.mean(spread**2)), "lower", "fraction"),
        ]
        weight = bundle.meta.get("weight")
        if weight is not None:
            rows.append(Metric("cl_mae", float(np.abs((weight * error).sum(1)).mean()), "lower", "1"))
        return rows

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """The mean Cp of all points of the training surfaces."""
        import numpy as np

        mean = np.asarray(bundle.train.y, dtype=np.float64).mean()
        return {"y": np.full(np.shape(bundle.test.y), mean)}

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """Cp on the first test surface from above and from below, as computed, as predicted, and the error; Cp over x at two stations."""
        import numpy as np
        from matplotlib.figure import Figure

        x, y = np.asarray(bundle.test.x[0])[:, :3], np.asarray(bundle.test.y[0])
        guess = np.asarray(predictions["y"][0])
        low, high = np.percentile(np.concatenate([y, guess]), [1, 99])
        worst = float(np.percentile(np.abs(guess - y), 99)) or 1.0
        shown = ((y, "computed", "viridis", low, high), (guess, "predicted", "viridis", low, high),
                 (guess - y, "error", "coolwarm", -worst, worst))  # fmt: skip
        figure = Figure(figsize=(11, 8))
        normal, grid = np.asarray(bundle.test.x[0])[:, 3:6], bundle.meta.get("grid")
        for row, side in enumerate((normal[:, 2] > 0, normal[:, 2] <= 0)):
            for column, (value, title, colours, a, b) in enumerate(shown):
                axes = figure.add_subplot(3, 3, 3 * row + column + 1, aspect="equal")
                look = {"cmap": colours, "vmin": a, "vmax": b}
                if grid is None:
                    marks = axes.scatter(x[side, 1], -x[side, 0], c=value[side], s=14, linewidths=0, **look)
                else:
                    lines = side.reshape(grid).mean(1) > 0.5
                    u, v, w = (c.reshape(grid)[lines] for c in (x[:, 1], -x[:, 0], value))
                    marks = axes.pcolormesh(u, v, w, shading="gouraud", **look)
                axes.set_title(f"{title}, {'upper' if row == 0 else 'lower'} side", fontsize=9)
                axes.set_axis_off()
                figure.colorbar(marks, ax=axes, shrink=0.7)
        for column, share in enumerate((0.2, 0.5, 0.8)):
            band = _station(x, share, grid)
            axes = figure.add_subplot(3, 3, 7 + column, xlabel="x", ylabel="Cp", title=f"y / tip = {share}")
            axes.title.set_fontsize(9)
            axes.plot(x[band, 0], y[band], "o", markersize=3, label="computed")
            axes.plot(x[band, 0], guess[band], "x", markersize=4, label="predicted")
            axes.invert_yaxis()
        axes.legend(fontsize=8)
        figure.tight_layout()
        return {"cp": figure}


def _station(x: Any, share: float, grid: tuple[int, int] | None) -> Any:
    """Indices of the points near a share of the half span."""
    import numpy as np

    away = np.abs(x[:, 1] - share * x[:, 1].max())
    if grid is None:
        return np.flatnonzero(away < 0.04 * x[:, 1].max())
    return np.arange(len(x)).reshape(grid)[:, int(away.reshape(grid).mean(0).argmin())]
