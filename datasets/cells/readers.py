"""Cells x genes from .h5ad, .csv and .npz files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.schema import BenchError


@dataclass
class Table:
    """`x` (cells, genes) float64; `label` (cells,) strings or None; `time` (cells,) float64 or None."""

    x: np.ndarray
    label: np.ndarray | None = None
    time: np.ndarray | None = None


def read(path: Path, matrix: str = "X", label: str = "", time: str = "") -> Table:
    """Read one file.

    Raises
    ------
    BenchError : an array or column is missing (those that are there are named), is not numeric, has another number of
        cells, or has a value that is not finite (its cell is named, counted from 0).
    """
    path = Path(path)
    x, column = {".h5ad": _h5ad, ".csv": _csv, ".npz": _npz}[path.suffix.lower()](path, matrix, label, time)
    x = _numbers(x, f"{path.name}: {matrix}")
    if x.ndim != 2:
        raise BenchError(f"{path.name}: {matrix} has shape {x.shape}; cells x genes are needed")
    labels = None if not label else np.asarray(column(label)).astype(str)
    times = None if not time else _numbers(column(time), f"{path.name}: {time}")
    for name, found in ((label, labels), (time, times)):
        if found is not None and found.shape != (len(x),):
            raise BenchError(
                f"{path.name}: {name} has shape {found.shape} and there are {len(x)} cells; give one value each"
            )
    return Table(x, labels, times)


def _numbers(values: Any, what: str) -> np.ndarray:
    try:
        out = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise BenchError(f"{what} is not numeric; name another column or write its values as numbers") from None
    bad = np.argwhere(~np.isfinite(out))
    if len(bad):
        raise BenchError(f"{what} is not finite at cell {bad[0][0]}; leave that cell out or fill it")
    return out


def _need(found: Any, name: str, path: Path) -> None:
    if name not in found:
        raise BenchError(f"{path.name} has no {name}; it has {', '.join(map(str, list(found)[:12]))}")


def _npz(path: Path, matrix: str, label: str, time: str):
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files if name in (matrix, label, time, f"{label}_names")}
        names = archive.files

    def column(name: str) -> np.ndarray:
        _need(names, name, path)
        values = arrays[name]
        # integer codes with their names beside them
        coded = name == label and f"{label}_names" in arrays and np.issubdtype(values.dtype, np.integer)
        return arrays[f"{label}_names"][values] if coded else values

    return column(matrix), column


def _csv(path: Path, matrix: str, label: str, time: str):
    """A header, one row per cell; all numeric columns but those of type and time are genes; a first column of names is left out."""
    import pandas as pd

    frame = pd.read_csv(path)

    def column(name: str) -> Any:
        _need(frame.columns, name, path)
        return frame[name]

    genes = frame.drop(columns=[c for c in (label, time) if c in frame]).select_dtypes("number")
    unnamed = [c for c in genes if str(c).startswith("Unnamed:")]  # the row numbers that pandas and R write
    return genes.drop(columns=unnamed), column


def _h5ad(path: Path, matrix: str, label: str, time: str):
    """The layout of AnnData's files: X or layers/<name> dense or compressed sparse, obs/<column> an array or categories with codes.

    Read with h5py, since anndata itself asks for an older pandas than the rest of the harness.
    """
    try:
        import h5py
    except ImportError:
        raise BenchError(f"{path.name} needs h5py; pip install h5py") from None

    def column(name: str) -> np.ndarray:
        with h5py.File(path) as file:
            _need(file["obs"], name, path)
            return _series(file["obs"], name)

    with h5py.File(path) as file:
        if matrix != "X":
            _need(file.get("layers", {}), matrix, path)
        node = file["X"] if matrix == "X" else file["layers"][matrix]
        return _matrix(node, path), column


def _matrix(node: Any, path: Path) -> np.ndarray:
    if hasattr(node, "shape"):
        return node[()]
    from scipy import sparse

    kind = str(node.attrs.get("encoding-type", node.attrs.get("h5sparse_format", "")))
    build = {"csr": sparse.csr_array, "csc": sparse.csc_array}.get(kind.removesuffix("_matrix"))
    if build is None:
        raise BenchError(
            f"{path.name}: a matrix is stored as {kind or 'an unknown layout'}; write it dense, as csr or as csc"
        )
    shape = node.attrs["shape"] if "shape" in node.attrs else node.attrs["h5sparse_shape"]
    return build((node["data"][()], node["indices"][()], node["indptr"][()]), shape=tuple(shape)).toarray()


def _series(obs: Any, name: str) -> np.ndarray:
    """A column of obs; `__categories` is the layout before AnnData 0.7."""
    node = obs[name]
    if hasattr(node, "keys"):
        codes, names = node["codes"][()], node["categories"][()]
    else:
        codes, names = node[()], obs["__categories"][name][()] if name in obs.get("__categories", {}) else None
    if names is None:
        values = codes
    else:
        values = np.append(names.astype(object), "none")[codes]  # code -1: the cell has no value
    return np.array([v.decode() if isinstance(v, bytes) else v for v in values])
