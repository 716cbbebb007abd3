"""Single cells from files, and how embeddings of them are scored."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from bench.schema import BenchError
from datasets.cells.adapter import load, reduced, scaled
from datasets.cells.config import PBMC, Config
from datasets.cells.readers import read
from datasets.cells.task import interpolation_error
from datasets.clustering import cluster_scores

REAL = Path(os.environ.get("BENCH_DATA", "data")).resolve()


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    x = rng.poisson(2.0, (40, 6)).astype(np.float32)
    return x, rng.choice(["a", "b"], 40), rng.integers(3, size=40)


def h5ad(path: Path, x, kind, day, layout: str) -> Path:
    """AnnData's on-disk layout, written by hand."""
    h5py = pytest.importorskip("h5py")
    from scipy import sparse

    with h5py.File(path, "w") as file:
        if layout == "dense":
            file["X"] = x
        else:
            m = sparse.csr_array(x) if layout == "csr" else sparse.csc_array(x)
            group = file.create_group("X")
            group.attrs["encoding-type"], group.attrs["shape"] = f"{layout}_matrix", x.shape
            group["data"], group["indices"], group["indptr"] = m.data, m.indices, m.indptr
        file["layers/log"] = np.log1p(x)
        names, codes = np.unique(kind, return_inverse=True)
        if layout == "dense":  # before AnnData 0.7
            file["obs/kind"] = codes.astype(np.int8)
            file["obs/__categories/kind"] = names.astype("S")
        else:
            file["obs/kind/codes"], file["obs/kind/categories"] = codes.astype(np.int8), names.astype("S")
        file["obs/day"] = day
    return path


@pytest.mark.parametrize("layout", ["dense", "csr", "csc", "csv", "npz"])
def test_every_layout_gives_the_same_cells(layout, table, tmp_path):
    x, kind, day = table
    path = tmp_path / f"cells.{layout if layout in ('csv', 'npz') else 'h5ad'}"
    if layout == "npz":
        np.savez(path, X=x, kind=kind, day=day, log=np.log1p(x))
    elif layout == "csv":
        import pandas as pd

        pd.DataFrame(x, columns=[f"g{i}" for i in range(6)]).assign(kind=kind, day=day).to_csv(path)
    else:
        h5ad(path, x, kind, day, layout)
        assert np.array_equal(read(path, "log").x, np.log1p(x).astype(np.float64))
    found = read(path, "X", "kind", "day")
    assert found.x.dtype == np.float64 and np.array_equal(found.x, x)
    assert list(found.label) == list(kind) and np.array_equal(found.time, day)


def test_files_that_cannot_be_read_are_named(table, tmp_path):
    x, kind, day = table
    path = h5ad(tmp_path / "cells.h5ad", x, kind, day, "csr")
    np.savez(tmp_path / "short.npz", X=x, day=day[:-1], kind=kind)
    holes = x.copy()
    holes[7, 2] = np.nan
    np.savez(tmp_path / "holes.npz", X=holes)
    for call, said in (
        (lambda: read(path, "X", "type"), "no type; it has .*kind"),
        (lambda: read(path, "raw"), "no raw; it has log"),
        (lambda: read(path, "X", "", "kind"), "kind is not numeric"),
        (lambda: read(tmp_path / "short.npz", "X", "", "day"), "39.*40 cells"),
        (lambda: read(tmp_path / "holes.npz"), "not finite at cell 7"),
        (lambda: read(tmp_path / "short.npz", "kind"), "not numeric"),
        (lambda: scaled(np.array([[1.0, 2.0], [0.0, 0.0]]), "log"), "cell 1"),
        (lambda: load(Config(name="c", path="short.npz", label="kind", share=0.1), **where(tmp_path)), "4 cells of 40"),
    ):
        with pytest.raises(BenchError, match=said) as info:
            call()
        assert "\n" not in str(info.value)


def where(root: Path, source: str = "real", fold: str = "draw0") -> dict:
    return {"fold": fold, "source": source, "root": root, "cache": root}


def test_own_file_and_stand_in(bench, table, tmp_path):
    x, kind, day = table
    np.savez(tmp_path / "own.npz", X=x, kind=kind, day=day)
    config = Config(name="c", path="own.npz", label="kind", time="day", scaling="log", pca=3)
    first, other = (load(config, **where(tmp_path, fold=f)) for f in ("draw0", "draw1"))
    assert first.origin == "real" and first.test.x.shape == (32, 3) and first.fingerprint != other.fingerprint
    assert first.task.main == "ari" and {m.name for m in first.task.score(first, first.task.trivial(first))} == {
        "ari", "ami", "homogeneity", "interpolation", "interpolation_nearest",
    }  # fmt: skip
    assert not Config(name="c", label="type").present(tmp_path, tmp_path)
    twin = load(Config(name="c", time="time", scaling="log"), **where(tmp_path, "synthetic"))
    assert twin.origin == "synthetic_twin" and twin.task.main == "interpolation"
    for words, said in (
        (["data=pbmc", "data.label=''"], "data.label and data.time"),
        (["data=pbmc", "data.path=x.txt"], "data.path=x.txt"),
    ):
        code, _, err = bench("plan", "method=heat_geodesic", *words)
        assert code == 2 and said in err


@pytest.mark.real
@pytest.mark.skipif(not (REAL / PBMC.path).is_file(), reason="no PBMC file under BENCH_DATA")
def test_pbmc():
    bundle = load(Config(name="pbmc", label="label", share=1.0), **where(REAL))
    assert bundle.test.x.shape == (700, 50) and len(bundle.meta["label_names"]) == 10
    assert np.bincount(bundle.meta["labels"]).max() / 700 == pytest.approx(0.343, abs=5e-4)  # its most frequent type


def test_scaling_and_components():
    x = np.random.default_rng(1).poisson(3.0, (30, 8)) + 1.0
    y = scaled(x, "log")
    assert np.allclose(np.expm1(y).sum(1), 1e4)
    z = reduced(y, 100)
    assert z.shape == (30, 8)
    between = [np.linalg.norm(v[:, None] - v, axis=-1) for v in (y, z)]
    assert np.allclose(*between)  # all components turn the points and move nothing


def test_clusters_of_an_embedding():
    y = np.repeat([0, 1, 2], 20)
    z = np.random.default_rng(0).standard_normal((60, 2)) * 0.1 + np.array([[0, 0], [5, 0], [0, 5000]])[y]
    assert [m.value for m in cluster_scores(z, y)] == pytest.approx([1, 1, 1])
    assert abs(cluster_scores(z, np.random.default_rng(1).permutation(y))[0].value) < 0.1


def test_interpolation_is_exact_for_a_cloud_that_moves_and_ignores_scale():
    pytest.importorskip("ot")
    cloud = np.random.default_rng(0).standard_normal((25, 2))
    time = np.repeat([0.0, 1.0, 4.0], 25)
    z = np.concatenate([cloud + t * np.array([3.0, 1.0]) for t in (0, 1, 4)])
    assert interpolation_error(z, time)[0] == pytest.approx(0, abs=1e-8)  # also where times are not even
    z[time == 1] += [0.0, 0.5]
    radius = np.sqrt(((z - z.mean(0)) ** 2).sum(1).mean())
    between, nearest = interpolation_error(z, time)
    assert between == pytest.approx(0.5 / radius, rel=1e-9) and nearest > between
    assert interpolation_error(7 * z + 3, time)[0] == pytest.approx(between)
