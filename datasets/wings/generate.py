"""Draw random wings and solve them, in parallel, the same ones for a seed whatever the number of processes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets.wings.sections import CST, NACA, Coordinates, Section, extent
from datasets.wings.wing import Grid, Wing, WingFlow

ALONE = 48  # fewer wings are not worth the start of other processes
# lowest and highest value of each parameter, drawn uniformly; lengths in root chords, angles in degrees
RANGES = {
    "span": (4.0, 9.0),
    "taper": (0.35, 1.0),
    "sweep": (0.0, 35.0),
    "dihedral": (-2.0, 6.0),
    "twist": (-4.0, 1.0),
}
SECTION = {"camber": (0.0, 0.05), "place": (0.3, 0.5), "thickness": (0.08, 0.16)}
UPPER, LOWER = (0.12, 0.24), (-0.16, -0.06)  # CST weights: about the thickness and camber of SECTION


@dataclass(frozen=True)
class Recipe:
    """What a wing's numbers follow from, beside its place in the stream."""

    section: str = "naca"
    chordwise: int = 32
    spanwise: int = 10
    incidences: int = 1
    alpha: tuple[float, float] = (-2.0, 10.0)
    mach: tuple[float, float] = (0.0, 0.0)
    grid: str = "cosine"
    layout: str = "grid"
    points: int = 0
    seed: int = 0


def draw_section(kind: str, rng: np.random.Generator, table: dict[str, np.ndarray] | None = None) -> Section:
    """A random section; of the UIUC coordinates one of thickness 6-20 % and camber up to 6 %."""
    if kind == "naca":
        return NACA(*(float(rng.uniform(*SECTION[k])) for k in ("camber", "place", "thickness")))
    if kind == "cst":
        return CST(tuple(rng.uniform(*UPPER, 3).tolist()), tuple(rng.uniform(*LOWER, 3).tolist()))
    if table is None:
        raise ValueError("section=uiuc needs the table of coordinates; pass what numpy.load gives of uiuc_airfoils.npz")
    while True:
        i = int(rng.integers(len(table["name"])))
        a, b = table["offsets"][i : i + 2]
        section = Coordinates(table["xy"][a:b], f"section {table['name'][i]}")
        thickness, camber = extent(section)
        if 0.06 <= thickness <= 0.2 and camber <= 0.06:
            return section


def make(recipe: Recipe, place: tuple[int, ...], table: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """The wing at a place of the stream, P points and k incidences, float64.

    x (P, 3) points, normal (P, 3) outward, piece (P,) 0 on the lower and 1 on the upper side, alpha, mach (k,), cp (k, P),
    weight (k, P) with lift coefficient = sum weight cp (zero for scattered points), cl (k,) that sum.
    """
    rng = np.random.default_rng([recipe.seed, *place])
    section = draw_section(recipe.section, rng, table)
    shape = {k: float(rng.uniform(*v)) for k, v in RANGES.items()}
    alpha = rng.uniform(*recipe.alpha, recipe.incidences)
    mach = rng.uniform(*recipe.mach, recipe.incidences)
    warp = rng.uniform(-1, 1, 5)
    grid = Grid.cosine(recipe.chordwise, recipe.spanwise, warp if recipe.grid == "random" else None)
    wing = Wing(section, name=f"wing {place[-1]} of fold {place[0]}", **shape)
    # the wake of the middle incidence serves all: one factorisation
    flow = WingFlow(wing, grid, direction=float(np.mean(recipe.alpha)))
    solved = flow.solve(alpha, mach)
    cl, _ = flow.force(solved)
    common = {"alpha": alpha, "mach": mach, "cl": cl}
    if recipe.layout == "points":
        return {**common, **_scattered(wing, grid, solved.cp, recipe.points, rng)}
    areas, a = flow.areas.reshape(-1, 3), np.radians(alpha)[:, None]
    upper = np.repeat(np.arange(recipe.chordwise) >= recipe.chordwise // 2, recipe.spanwise)
    return {
        **common,
        "x": flow.centres.reshape(-1, 3),
        "normal": areas / np.linalg.norm(areas, axis=1, keepdims=True),
        "piece": upper.astype(np.float64),
        "cp": solved.cp.reshape(len(alpha), -1),
        "weight": -2 * (areas[:, 2] * np.cos(a) - areas[:, 0] * np.sin(a)) / wing.area,
    }


def _scattered(wing: Wing, grid: Grid, cp: np.ndarray, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Points uniform in area, between the outermost panel centres, on the surface itself; Cp by cubic splines over (s, eta)."""
    from scipy.interpolate import RectBivariateSpline

    s, eta = (0.5 * (a[1:] + a[:-1]) for a in (grid.s, grid.eta))
    step = 1e-5
    trial = rng.uniform([s[0], eta[0]], [s[-1], eta[-1]], (40 * count, 2))
    x, along, across = (wing.points(trial[:, 0] + du, trial[:, 1] + dv) for du, dv in ((0, 0), (step, 0), (0, step)))
    normal = np.cross(along - x, across - x)
    size = np.linalg.norm(normal, axis=1)
    pick = rng.choice(len(trial), count, replace=False, p=size / size.sum())
    p = trial[pick]
    return {
        "x": x[pick],
        "normal": normal[pick] / size[pick, None],
        "piece": (p[:, 0] > 0.5).astype(np.float64),
        "cp": np.stack([RectBivariateSpline(s, eta, c)(p[:, 0], p[:, 1], grid=False) for c in cp]),
        "weight": np.zeros((len(cp), count)),
    }


def make_many(
    recipe: Recipe, places: list[tuple[int, ...]], table: Any = None, jobs: int | None = None
) -> dict[str, np.ndarray]:
    """`make` at every place, stacked. `jobs` processes (all cores this process may use by default), one BLAS thread in each."""
    from threadpoolctl import threadpool_limits

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    jobs = jobs or cores
    if jobs == 1 or len(places) <= ALONE:
        with threadpool_limits(1):
            wings = [make(recipe, p, table) for p in places]
    else:
        from joblib import Parallel, delayed

        work = (delayed(_limited)(recipe, places[i : i + 8], table) for i in range(0, len(places), 8))
        wings = [w for part in Parallel(n_jobs=jobs)(work) for w in part]
    return {k: np.stack([w[k] for w in wings]) for k in wings[0]}


def _limited(recipe: Recipe, places: list[tuple[int, ...]], table: Any) -> list[dict[str, np.ndarray]]:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return [make(recipe, p, table) for p in places]


def read_table(path: Path) -> dict[str, np.ndarray]:
    """The UIUC coordinates: xy (total, 2), offsets (count + 1,), name (count,)."""
    with np.load(path) as d:
        return {k: d[k] for k in ("xy", "offsets", "name")}
