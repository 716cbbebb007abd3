"""Clouds whose normals have a side: the split, the errors with and without sign, and the picture of where the side is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.schema import Arrays, Bundle, Metric, fingerprint
from datasets.points.closed import CLOSED, draw_closed

GOOD = (5, 10, 20)  # degrees


@dataclass
class Clouds(Arrays):
    """Clouds of one split. `x` (C, n, 3), or a list of (n_i, 3) where sizes differ; `y` normals, of all points where `query` is
    None, else (C, q, 3) of the scored points `query` (C, q); `group` (C,) the category of each cloud."""

    query: Any = None


def errors(guess: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles in degrees, (C, q) without sign and with sign, of unit vectors (C, q, 3).

    Where more than half of a cloud's signed angles exceed 90 degrees all its predictions are flipped: an estimator may know the
    inside from the outside without knowing which is which. Once per shape, never per point or category.
    """
    cosine = (guess.astype(np.float64) * normals).sum(-1).clip(-1, 1)
    cosine *= np.where((cosine < 0).mean(1) > 0.5, -1.0, 1.0)[:, None]
    return np.degrees(np.arccos(np.abs(cosine))), np.degrees(np.arccos(cosine))


def rms(angle: np.ndarray) -> np.ndarray:
    """Root mean square over points, one for each cloud."""
    return np.sqrt((angle**2).mean(1))


class OrientedNormals:
    """Predictions are `y` (C, q, 3), unit vectors at the scored points of the test clouds.

    Every number is made for each shape, averaged over the shapes of a category (a noise level, a density), and then over
    categories. `bundle.meta["signed"]` (C,) says which test shapes have normals with a true side; the others count without sign.
    """

    main = "rmse_oriented"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        y, guess = np.asarray(bundle.test.y), np.asarray(predictions["y"])
        if guess.shape != y.shape:
            raise ValueError(f"y has shape {guess.shape}; the test split needs {y.shape}")
        size = np.linalg.norm(guess, axis=-1)
        if not np.allclose(size, 1, atol=1e-3):
            raise ValueError(f"predicted normals have lengths from {size.min():g} to {size.max():g}; give unit vectors")
        plain, signed = errors(guess / size[..., None], y)
        category = np.asarray(bundle.test.group)
        names: list[str] = list(bundle.meta["categories"])
        sided = np.asarray(bundle.meta.get("signed", np.ones(len(y), bool)))
        sided = sided if len(sided) == len(y) else np.ones(len(y), bool)  # the validation split is analytic

        def mean(value: np.ndarray, among: np.ndarray) -> dict[str, float]:
            return {
                names[c]: float(value[among & (category == c)].mean())
                for c in range(len(names))
                if (among & (category == c)).any()
            }

        every = np.ones(len(y), bool)
        table = [
            ("rmse_oriented", mean(rms(signed), sided), "lower", "degree"),
            ("rmse_unoriented", mean(rms(plain), every), "lower", "degree"),
            ("correct", mean((signed < 90).mean(1), sided), "higher", "fraction"),
        ]
        table += [(f"pgp_{a}", mean((plain < a).mean(1), every), "higher", "fraction") for a in GOOD]
        table += [(f"pgp_{a}_oriented", mean((signed < a).mean(1), sided), "higher", "fraction") for a in GOOD]
        out = [Metric(name, float(np.mean(list(v.values()))), better, unit) for name, v, better, unit in table if v]
        if len(names) > 1:
            out += [
                Metric(f"{name}_{c}", value, better, unit)
                for name, v, better, unit in table[:3]
                for c, value in v.items()
            ]
        return out

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """One direction for all points."""
        return {"y": np.broadcast_to([0.0, 0.0, 1.0], np.asarray(bundle.test.y).shape)}

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """The first test clouds along their direction of least extent, scored points coloured by the error with sign: a wrong side
        is above 90 degrees. Points in front are drawn last."""
        from matplotlib.figure import Figure

        signed = errors(np.asarray(predictions["y"]), np.asarray(bundle.test.y))[1]
        sided = bundle.meta.get("signed", np.ones(len(signed), bool))
        shown = np.flatnonzero(sided)[:6]
        figure = Figure(figsize=(10.5, 7))
        for axes, i in zip(figure.subplots(2, 3).flat, shown, strict=False):
            x = np.asarray(bundle.test.x[i], dtype=float)
            x = (x @ np.linalg.eigh(np.cov(x.T))[1][:, ::-1])[bundle.test.query[i]]
            back = x[:, 2].argsort()
            marks = axes.scatter(*x[back, :2].T, c=signed[i][back], cmap="coolwarm", vmin=0, vmax=180, s=9)
            title = f"{bundle.meta['names'][i]}: {rms(signed[i : i + 1])[0]:.1f}°, {(signed[i] < 90).mean():.1%} right"
            axes.set_title(title, fontsize=9)
            axes.set_aspect("equal")
            axes.set_axis_off()
        figure.colorbar(marks, ax=figure.axes, shrink=0.7, label="angle to the outward normal (degrees)")
        return {"orientation": figure}


def pick(count: int, n: int, q: int, rng: np.random.Generator) -> np.ndarray:
    """Indices (count, q) of the scored points, without repetition; all points where q >= n."""
    return np.sort(rng.random((count, n)).argsort(1)[:, : min(q, n)], 1)


def taken(normals: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Normals (C, q, 3) of the scored points."""
    return np.take_along_axis(normals, query[..., None], 1)


def analytic(
    count: int, n: int, noise: list[float], seed: list[int], query: int | None = None
) -> tuple[Clouds, list[str]]:
    """Clouds of `draw_closed`, with `query` scored points each (None: a training split), and the name of each cloud."""
    rng = np.random.default_rng(seed)
    points, normals, family, level = draw_closed(count, n, noise, rng)
    names = [f"{list(CLOSED)[f]}, {noise_name(noise[k])}" for f, k in zip(family, level, strict=True)]
    if query is None:
        return Clouds(points, normals, level), names
    chosen = pick(count, n, query, rng)
    return Clouds(points, taken(normals, chosen), level, chosen), names


def noise_name(level: float) -> str:
    return f"noise{100 * level:g}"


def oriented(splits: dict[str, Clouds], *, group: str, origin: str, card: dict[str, Any], **meta: Any) -> Bundle:
    """A bundle of kind oriented_clouds; meta: names and `signed` of the test clouds, names of the categories."""
    parts = [a for s in splits.values() for a in (*s.x, *s.y, s.query)]
    return Bundle(
        kind="oriented_clouds",
        **splits,
        n_out=3,
        shape=tuple(np.shape(splits["train"].x[0])),
        group=group,
        origin=origin,
        fingerprint=fingerprint(*parts),
        task=OrientedNormals(),
        card=card,
        meta=meta,
    )
