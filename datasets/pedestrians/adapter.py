"""Read, cut and split the recordings; or walk pedestrians by a formula."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from bench.schema import ORIGIN, Arrays, BenchError, Bundle, fingerprint
from datasets.files import verified
from datasets.pedestrians.config import FILES, SITES, Config
from datasets.pedestrians.task import ForecastTask
from datasets.pedestrians.twin import walk
from datasets.pedestrians.windows import cut, read_table, split_in_time

STEP_S = 0.4
PARTS = ("train", "val", "test")


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`x` (n, 3 (past - 1)), the earlier positions from the present one, `y` (n, 3 future), the next ones: vectors in metres, float32.

    The ground is the plane of the first two axes; the third is 0. `meta`: rep_in, rep_out (tensors by rank), candidate `groups` (the
    largest first), `exact` (none is), `step` in seconds.
    """
    config.fold_number(fold)
    length, pieces = config.past + config.future, {p: [] for p in PARTS}  # type: dict[str, list[np.ndarray]]
    for name, site in SITES.items():
        if name != fold and site == SITES[fold]:
            continue  # the same place, seen from the same camera
        for table in _tables(config, name, source, Path(root)):
            places, ends = cut(table, length)
            if name == fold:
                pieces["test"].append(places)
            else:
                first = ends - (length - 1) * _step(table)
                early, late = split_in_time(places, ends, first, config.val_share)
                pieces["train"].append(early)
                pieces["val"].append(late)
    rng = np.random.default_rng([list(SITES).index(fold), 61])
    split = {p: _arrays(config, _some(pieces[p], getattr(config, f"n_{p}"), p, rng)) for p in PARTS}
    return Bundle(
        kind=config.kind,
        **split,
        n_out=3 * config.future,
        shape=(3 * (config.past - 1),),
        group=fold,
        origin=ORIGIN[source],
        fingerprint=fingerprint(*(a for s in split.values() for a in (s.x, s.y))),
        task=ForecastTask(),
        card={"licence": config.licence, "source": "shangfeng2000/PI-STGCN2 on GitHub", "citation": config.citation},
        meta={
            "rep_in": [0, config.past - 1, 0],
            "rep_out": [0, config.future, 0],
            "groups": ["o3", "o2xy", "o2yz", "o2xz"],
            "exact": [],
            "step": STEP_S,
        },
    )


def _tables(config: Config, name: str, source: str, root: Path) -> list[np.ndarray]:
    if source == "real":
        return [read_table(verified(root, f)) for f in FILES[name]]
    return [walk(config.twin_walkers, SITES[name], np.random.default_rng([zlib.crc32(name.encode()), 62]))]


def _step(table: np.ndarray) -> float:
    steps, counts = np.unique(np.diff(np.unique(table[:, 0])), return_counts=True)
    return float(steps[counts.argmax()])


def _some(pieces: list[np.ndarray], n: int | None, part: str, rng: np.random.Generator) -> np.ndarray:
    """n of all windows, drawn without repetition; all of them where n is None or there are fewer."""
    windows = np.concatenate(pieces)
    if not len(windows):
        raise BenchError(f"there is no {part} window of this length; lower data.past or data.future")
    if n is None or n >= len(windows):
        return windows
    return windows[np.sort(rng.choice(len(windows), n, replace=False))]


def _arrays(config: Config, windows: np.ndarray) -> Arrays:
    now = windows[:, config.past - 1 : config.past]
    flat = np.pad(windows - now, ((0, 0), (0, 0), (0, 1))).astype(np.float32)
    past, future = flat[:, : config.past - 1], flat[:, config.past :]
    return Arrays(past.reshape(len(flat), -1), future.reshape(len(flat), -1))
