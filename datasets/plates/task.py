"""How fields on meshes and scalars are scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schema import Bundle, Metric
from datasets.plates.meshes import Meshes

Z90 = 1.6448536269514722  # the 95 % quantile of the normal distribution


class MeshFields:
    """Predictions are `fields` (sum N, d), the test meshes end to end, and `outputs` (n, q); optionally `fields_std`, `outputs_std`.

    rrmse of a field: sqrt(mean_i(|U_i - V_i|_2^2 / N_i / |U_i|_inf^2)); of a scalar: sqrt(mean_i |w_i - v_i|^2 / |w_i|^2); `rrmse` is
    the mean over fields. q2 = 1 - SSE / SST over all nodes, or samples. coverage_90: share of nodes, or samples, in the central 90 %
    interval.
    """

    main = "rrmse"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        test: Meshes = bundle.test
        truth = np.concatenate(test.fields)
        metrics = []
        if "fields" in predictions:
            guess = np.asarray(predictions["fields"], dtype=np.float64)
            if guess.shape != truth.shape or not np.isfinite(guess).all():
                raise ValueError(
                    f"fields have shape {guess.shape} or are not finite; the test split needs finite {truth.shape}"
                )
            error = field_rrmse(test, guess)
            metrics.append(Metric("rrmse", float(error.mean()), "lower", "1"))
            metrics += [
                Metric(f"rrmse_{n}", float(e), "lower", "1") for n, e in zip(test.field_names, error, strict=True)
            ]
            q2 = 1 - ((guess - truth) ** 2).sum(0) / ((truth - truth.mean(0)) ** 2).sum(0)
            metrics += [Metric(f"q2_{n}", float(q), "higher", "1") for n, q in zip(test.field_names, q2, strict=True)]
            if "fields_std" in predictions:
                hit = (np.abs(guess - truth) <= Z90 * np.asarray(predictions["fields_std"])).mean(0)
                metrics += [
                    Metric(f"coverage_90_{n}", float(c), "none", "fraction")
                    for n, c in zip(test.field_names, hit, strict=True)
                ]
                metrics.append(Metric("coverage_90", float(hit.mean()), "none", "fraction"))
        if "outputs" in predictions:
            w, v = test.outputs, np.asarray(predictions["outputs"], dtype=np.float64)
            if v.shape != w.shape or not np.isfinite(v).all():
                raise ValueError(
                    f"outputs have shape {v.shape} or are not finite; the test split needs finite {w.shape}"
                )
            relative = np.sqrt(((w - v) ** 2 / w**2).mean(0))
            q2 = 1 - ((w - v) ** 2).sum(0) / ((w - w.mean(0)) ** 2).sum(0)
            metrics += [
                Metric(f"rrmse_{n}", float(e), "lower", "1") for n, e in zip(test.output_names, relative, strict=True)
            ]
            metrics += [Metric(f"q2_{n}", float(q), "higher", "1") for n, q in zip(test.output_names, q2, strict=True)]
            if "outputs_std" in predictions:
                hit = (np.abs(v - w) <= Z90 * np.asarray(predictions["outputs_std"])).mean(0)
                metrics += [
                    Metric(f"coverage_90_{n}", float(c), "none", "fraction")
                    for n, c in zip(test.output_names, hit, strict=True)
                ]
        return metrics

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """The mean of each field over all training nodes, and of each scalar."""
        mean = np.concatenate(bundle.train.fields).mean(0)
        nodes = sum(map(len, bundle.test.points))
        return {
            "fields": np.broadcast_to(mean, (nodes, len(mean))),
            "outputs": np.broadcast_to(bundle.train.outputs.mean(0), bundle.test.outputs.shape),
        }

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """Each field of the first test mesh: truth, prediction, difference."""
        from matplotlib.figure import Figure
        from matplotlib.tri import Triangulation

        if "fields" not in predictions:
            return {}
        test: Meshes = bundle.test
        n, d = test.fields[0].shape
        guess = np.asarray(predictions["fields"])[:n]
        figure = Figure(figsize=(9, 2.7 * d), layout="constrained")
        grid = figure.subplots(d, 3, squeeze=False)
        flat = Triangulation(*test.points[0][:, :2].T, test.triangles[0])
        for k, (row, name) in enumerate(zip(grid, test.field_names, strict=True)):
            truth = test.fields[0][:, k]
            off = guess[:, k] - truth
            for axes, value, title, options in (
                (row[0], truth, f"{name}", {"vmin": truth.min(), "vmax": truth.max()}),
                (row[1], guess[:, k], "predicted", {"vmin": truth.min(), "vmax": truth.max()}),
                (row[2], off, "difference", {"cmap": "RdBu_r", "vmin": -np.abs(off).max(), "vmax": np.abs(off).max()}),
            ):
                figure.colorbar(axes.tripcolor(flat, value, shading="gouraud", **options), ax=axes, shrink=0.8)
                axes.set(title=title, aspect="equal", xticks=[], yticks=[])
        return {"fields": figure}


def field_rrmse(meshes: Meshes, guess: np.ndarray) -> np.ndarray:
    """(d,) of predictions (sum N, d), as `MeshFields` defines it."""
    start = np.cumsum([0, *map(len, meshes.points)])[:-1]
    truth = np.concatenate(meshes.fields)
    count = np.array([len(p) for p in meshes.points])[:, None]
    square = np.add.reduceat((guess - truth) ** 2, start, axis=0) / count
    top = np.maximum.reduceat(np.abs(truth), start, axis=0)
    return np.sqrt((square / top**2).mean(0))
