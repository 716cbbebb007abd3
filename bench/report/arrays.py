"""What lies beside a row: learning curves, thinned and summarised over cells, and figures as data URIs or links."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

POINTS = 200  # points of one curve at most
PNG = b"\x89PNG\r\n\x1a\n"

Curves = dict[str, tuple[Any, Any]]


def folder_of(out: Path, record: dict[str, Any]) -> Path | None:
    """The folder of a row; None when its names lead out of the results (a row file is data, and may say anything)."""
    base = (out / "cells").resolve()
    folder = (base / str(record["method"]) / str(record["data"]) / str(record["key"])).resolve()
    return folder if folder.is_relative_to(base) else None


def read_curves(folder: Path) -> Curves:
    """name -> (steps, values) sorted by step, without points that are not finite; the last of a repeated step counts.

    Raises ValueError when the file is there and cannot be read.
    """
    import zipfile

    import numpy as np

    out: Curves = {}
    try:
        with np.load(folder / "curves.npz", allow_pickle=False) as arrays:
            for name in sorted(n[:-5] for n in arrays.files if n.endswith(".step")):
                step, value = (np.asarray(arrays[f"{name}.{p}"], dtype=float).ravel() for p in ("step", "value"))
                finite = np.isfinite(step) & np.isfinite(value)
                step, value = step[finite][::-1], value[finite][::-1]
                step, last = np.unique(step, return_index=True)
                if step.size:
                    out[name] = step, value[last]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, EOFError, IndexError, zipfile.BadZipFile) as error:
        raise ValueError(f"curves.npz of cell {folder.name} cannot be read ({type(error).__name__})") from None
    return out


def thin(step: Any, value: Any, points: int = POINTS) -> list[list[float]]:
    """At most `points` of a curve, evenly by position, the first and the last among them."""
    import numpy as np

    keep = np.unique(np.linspace(0, len(step) - 1, min(points, len(step))).round().astype(int))
    return [short(step[keep]), short(value[keep])]


def short(values: Iterable[float]) -> list[float]:
    """Five significant digits: what a plot can show."""
    return [float(f"{v:.5g}") for v in values]


def pace(record: dict[str, Any], step: Any) -> float | None:
    """Seconds per step, known when the steps of a curve are the epochs of a timed run."""
    if not record.get("timed_s") or not record.get("epochs"):
        return None
    return record["timed_s"] / record["epochs"] if record["epochs"] - 1 <= step[-1] <= record["epochs"] else None


def band(curves: list[tuple[Any, Any]]) -> dict[str, list[float]] | None:
    """Median and quartiles over the curves that have reached each x (linear between points, nothing beyond the ends)."""
    import numpy as np

    grid = np.unique(np.concatenate([x for x, _ in curves]))
    if len(grid) > POINTS:
        grid = grid[np.unique(np.linspace(0, len(grid) - 1, POINTS).round().astype(int))]
    values = np.stack([np.interp(grid, x, y, left=np.nan, right=np.nan) for x, y in curves])
    n = np.isfinite(values).sum(0)
    grid, values, n = grid[n > 0], values[:, n > 0], n[n > 0]
    low, mid, high = np.nanquantile(values, [0.25, 0.5, 0.75], axis=0)
    return {"x": short(grid), "mid": short(mid), "low": short(low), "high": short(high), "n": n.tolist()}


def summarise(cells: list[tuple[dict[str, Any], Curves]]) -> dict[str, dict[str, Any]]:
    """Curve name -> {"step": band, "seconds": band}; `seconds` only when every cell with that curve knows its pace."""
    out: dict[str, dict[str, Any]] = {}
    for name in sorted({n for _, curves in cells for n in curves}):
        having = [(record, *curves[name]) for record, curves in cells if name in curves]
        out[name] = {"step": band([(x, y) for _, x, y in having])}
        paces = [pace(record, x) for record, x, _ in having]
        known = [p for p in paces if p is not None]
        if len(known) == len(paces):
            out[name]["seconds"] = band([((x + 1) * p, y) for (_, x, y), p in zip(having, known, strict=True)])
    return out


def figure_files(out: Path, record: dict[str, Any]) -> list[Path]:
    """The PNG files a row names that exist inside its own folder."""
    folder = folder_of(out, record)
    found = []
    for name in record.get("figures") or []:
        path = (folder / str(name)).resolve() if folder else None
        if path and folder and path.is_relative_to(folder) and path.is_file():
            with open(path, "rb") as f:
                if f.read(len(PNG)) == PNG:
                    found.append(path)
    return found


def data_uri(path: Path) -> str:
    import base64

    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def link(path: Path, page: Path) -> str:
    """Relative address of a file from the folder of the page."""
    return quote(Path(os.path.relpath(path, page.resolve().parent)).as_posix())
