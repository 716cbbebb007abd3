"""Point clouds and graph sets: exact normals and curvature, uniform sampling, formats, and known answers."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from bench import plan
from bench.schema import BenchError, MissingData
from datasets.graphs.adapter import load as load_graphs
from datasets.graphs.config import Config as Graphs
from datasets.graphs.sets import connected_seven, cycle_pairs, pack, random_eight
from datasets.points.analytic.adapter import load as load_shapes
from datasets.points.analytic.config import Config as Shapes
from datasets.points.meshes import read_mesh, sample_mesh
from datasets.points.modelnet.adapter import load as load_modelnet
from datasets.points.modelnet.config import Config as ModelNet
from datasets.points.scans.adapter import load as load_scans
from datasets.points.scans.config import Config as Scans
from datasets.points.shapes import FAMILIES, ellipsoid, torus
from models.graph_separation.refinement import wl_classes

REAL = Path(os.environ.get("BENCH_DATA", "nowhere"))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", FAMILIES)
def test_surfaces(name):
    """Normals are unit vectors, orthogonal to short chords of the surface; on closed surfaces they point outward."""
    cloud = FAMILIES[name](3, 4000, rng())
    assert np.allclose(np.linalg.norm(cloud.normals, axis=-1), 1)
    for p, n in zip(cloud.points, cloud.normals, strict=True):
        gap = np.linalg.norm(p[:, None] - p[None, :800], axis=-1) + 9 * np.eye(4000, 800)
        near = gap.argmin(0)
        chord = p[near] - p[:800]
        slope = np.abs((chord * n[:800]).sum(1)) / np.linalg.norm(chord, axis=1)
        assert np.median(slope) < 0.05
        if name not in ("saddle", "torus"):
            assert ((p - p.mean(0)) * n).sum(1).min() > -1e-12


def test_curvature_of_a_sphere_and_gauss_bonnet():
    """A sphere of radius r has K = 1/r^2 and H = 1/r; the mean of K over area is 4 pi / area on an ellipsoid and 0 on a torus."""
    ball = ellipsoid(1, 50, rng(), np.full((1, 3), 2.0))
    assert np.allclose(ball.gauss, 0.25) and np.allclose(ball.mean, 0.5)
    axes = np.array([[0.6, 1.0, 1.5]])
    some = ellipsoid(1, 200_000, rng(), axes)
    u, v = np.meshgrid((np.arange(400) + 0.5) / 400 * np.pi, (np.arange(400) + 0.5) / 400 * 2 * np.pi)
    a, b, c = axes[0]
    sphere = np.stack([np.sin(u) * np.cos(v), np.sin(u) * np.sin(v), np.cos(u)], -1)
    area = (np.linalg.norm(sphere * [b * c, a * c, a * b], axis=-1) * np.sin(u)).mean() * 2 * np.pi**2
    assert abs(some.gauss.mean() * area / (4 * np.pi) - 1) < 0.01
    ring = torus(1, 200_000, rng(), (np.ones(1), np.full(1, 0.4)))
    assert abs(ring.gauss.mean()) < 0.02
    # Willmore: the integral of H^2 over a torus is pi^2 R^2 / (r sqrt(R^2 - r^2)); its area is 4 pi^2 R r
    assert abs((ring.mean**2).mean() * 4 * np.pi**2 * 0.4 / (np.pi**2 / (0.4 * np.sqrt(1 - 0.16))) - 1) < 0.02


@pytest.mark.parametrize("name", ["torus", "saddle", "cone"])
def test_curvatures_agree_with_finite_differences(name):
    """For neighbours on the surface, 2 <x' - x, n> / |x' - x|^2 = -k in the direction of the chord; its mean over directions is -H."""
    cloud = FAMILIES[name](1, 60_000, rng(2))
    p, n, h = cloud.points[0], cloud.normals[0], cloud.mean[0]
    from scipy.spatial import cKDTree

    inside = (
        np.flatnonzero(np.abs(p[:, 2]) < 0.6 * np.abs(p[:, 2]).max())[:200]
        if name != "cone"
        else np.flatnonzero((n[:, 2] > 0) & (p[:, 2] < 0.6 * p[:, 2].max()) & (p[:, 2] > 0.2))[:200]
    )
    if name == "saddle":
        inside = np.flatnonzero(np.abs(p[:, :2]).max(1) < 0.7)[:200]
    near = cKDTree(p).query(p[inside], 41)[1][:, 1:]
    chord = p[near] - p[inside, None]
    k = -2 * (chord * n[inside, None]).sum(-1) / (chord**2).sum(-1)
    assert abs(np.median(k.mean(1) - h[inside])) < 0.05 * max(1.0, float(np.abs(h[inside]).max()))


def test_sampling_is_uniform_by_area():
    """Cylinder and cone: the share of points on flat parts is their share of the area; a torus has more points outside than inside."""
    cloud = FAMILIES["cone"](40, 4000, rng())
    base = cloud.normals[..., 2] < -0.5
    r = np.linalg.norm(cloud.points[..., :2], axis=-1).max(1)
    h = cloud.points[..., 2].max(1)
    assert np.abs(base.mean(1) - r / (r + np.hypot(r, h))).mean() < 0.02
    ring = torus(1, 100_000, rng(), (np.ones(1), np.full(1, 0.5)))
    outside = (np.linalg.norm(ring.points[0, :, :2], axis=1) > 1).mean()
    assert abs(outside - (0.5 + 0.5 / np.pi)) < 0.01


def test_posed_copies(tmp_path):
    """The test split holds every cloud twice; distances are those of the upright copy (times 3 where moved), normals turn along."""
    config = Shapes(name="s", points=20, train=12, val=6, test=12, splits=1, test_pose="moved", target="normals")
    test = load_shapes(config, fold="0", source="simulated", root=tmp_path, cache=tmp_path).test
    upright, posed = (test.x[test.group == g].astype(float) for g in (0, 1))

    def distances(x):
        return np.linalg.norm(x[:, :, None] - x[:, None], axis=-1)

    assert np.allclose(3 * distances(upright), distances(posed), atol=1e-4)
    angle = [(test.y[test.group == g][:, :, None] * test.y[test.group == g][:, None]).sum(-1) for g in (0, 1)]
    assert np.allclose(*angle, atol=1e-5)
    assert np.allclose((upright**2).sum(-1).mean(1), 1, atol=1e-5) and np.allclose(upright.mean(1), 0, atol=1e-5)


TETRA = "OFF\n4 4 0\n0 0 0\n1 0 0\n0 2 0\n0 0 3\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"


def test_meshes_are_sampled_by_area(tmp_path):
    path = tmp_path / "a.off.gz"
    path.write_bytes(gzip.compress(TETRA.encode()))
    points, normals = sample_mesh(*read_mesh(path), 40_000, rng())
    share = [(np.abs(points[:, k]) < 1e-12).mean() for k in (2, 1, 0)]
    areas = np.array([1.0, 1.5, 3.0, 0.5 * np.sqrt(36 + 9 + 4)])
    assert np.allclose(share, areas[:3] / areas.sum(), atol=0.01)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    for text, sentence in (
        ("OFF\n1 0 0\n0 0 0\n", "no triangles|not a readable"),
        ("nothing", "not a readable|no triangles"),
    ):
        bad = tmp_path / "bad.off"
        bad.write_text(text)
        with pytest.raises(BenchError, match=sentence):
            read_mesh(bad)
    with pytest.raises(BenchError, match="no area"):
        sample_mesh(np.zeros((3, 3)), np.array([[0, 1, 2]]), 5, rng())


def test_modelnet_folders(tmp_path):
    """Class folders of .off files, also with the header and the counts on one line, as some published files have them."""
    for name in ("chair", "desk"):
        for part, count in (("train", 4), ("test", 2)):
            folder = tmp_path / "ModelNet40" / name / part
            folder.mkdir(parents=True)
            for k in range(count):
                (folder / f"{name}_{k}.off").write_text(TETRA.replace("OFF\n4", "OFF4") if k else TETRA)
    config = ModelNet(name="m", points=16)
    assert config.present(tmp_path, tmp_path) and not config.present(tmp_path / "x", tmp_path)
    b = load_modelnet(config, fold="0", source="real", root=tmp_path, cache=tmp_path)
    assert b.origin == "real" and b.meta["class_names"] == ["chair", "desk"]
    assert (len(b.train), len(b.val), len(b.test)) == (6, 2, 8) and b.shape == (16, 3)
    with pytest.raises(MissingData, match=r"data\.folder"):
        load_modelnet(
            ModelNet(name="m", points=16, folder="none"), fold="0", source="real", root=tmp_path, cache=tmp_path
        )


def test_unknown_shape_is_named():
    with pytest.raises(BenchError, match="'cov'; there is"):
        Scans(name="s", shapes=["bunny", "cov"]).check()


@pytest.mark.real
@pytest.mark.skipif(not (REAL / "pcpnet_hough_shapes").is_dir(), reason="no scans under BENCH_DATA")
def test_scans():
    config = Scans(name="s", shapes=["cube", "fandisk", "spot"], points=64, clouds=4, test_pose="rotated")
    b = load_scans(config, fold="cube", source="real", root=REAL, cache=REAL)
    assert b.origin == "real" and len(b.train) == 8 and len(b.test) == 8
    axis = np.abs(b.test.y[b.test.group == 0]).max(-1)
    assert np.median(axis) > 0.999  # normals of an upright cube are coordinate axes


# ------------------------------------------------------------------------------------------ graphs


def test_connected_graphs_on_seven_vertices():
    graphs = connected_seven()
    assert len(graphs) == 853 and all(np.array_equal(g, g.T) and not g.diagonal().any() for g in graphs)
    assert min(g.sum() for g in graphs) == 12 and max(g.sum() for g in graphs) == 42


def test_stand_ins_have_a_known_truth():
    """Cycle pairs: 1-WL cannot tell them apart, they differ in one cycle by construction; spectra of the others differ."""
    graphs, features, labels = cycle_pairs(20)
    x = pack(graphs, features)
    n = x.shape[1]
    classes = wl_classes(x[..., :n], np.rint(x[..., n] + 2 * x[..., n + 1]).astype(int))
    assert (classes[::2] == classes[1::2]).all() and labels.tolist() == [1, 0] * 10
    for a, b in zip(graphs[::2], graphs[1::2], strict=True):
        assert not np.allclose(np.linalg.eigvalsh(a), np.linalg.eigvalsh(b))
    assert len(random_eight(50)) == 50


def test_refinement_knows_the_textbook_cases():
    """Two triangles and a hexagon are one class of 1-WL; a path and a star on four vertices are two."""

    def cycle(n):
        return np.roll(np.eye(n), 1, 0) + np.roll(np.eye(n), -1, 0)

    two = np.kron(np.eye(2), cycle(3))
    assert len(set(wl_classes(np.stack([two, cycle(6)])))) == 1
    path, star = np.zeros((2, 4, 4))
    path[[0, 1, 2], [1, 2, 3]] = star[0, 1:] = 1
    assert len(set(wl_classes(np.stack([path + path.T, star + star.T])))) == 2


def test_graph_files_are_used_where_they_are(tmp_path):
    """The enumeration on seven vertices is simulated; the other two sets come from their files, else from a stand-in that says so."""
    seven, eight = Graphs(name="graphs7"), Graphs(name="graphs8", graphs="graph8c")
    assert plan.resolve(seven, tmp_path, tmp_path, False)[0] == "simulated"
    assert plan.resolve(eight, tmp_path / "empty", tmp_path, False)[0] == "synthetic"
    (tmp_path / "graphs_gnn_matlang").mkdir()
    (tmp_path / "graphs_gnn_matlang" / "graph8c.g6").touch()
    assert plan.resolve(eight, tmp_path, tmp_path, False)[0] == "real"


@pytest.mark.real
@pytest.mark.skipif(not (REAL / "graphs_gnn_matlang").is_dir(), reason="no graph files under BENCH_DATA")
def test_published_graph_files():
    """graph8c: 11,117 graphs; EXP: 600 pairs, 800/200/200, all of them inseparable by 1-WL."""
    b = load_graphs(Graphs(name="g", graphs="graph8c"), fold="0", source="real", root=REAL, cache=REAL)
    assert b.train.x.shape == (11117, 8, 9)
    b = load_graphs(Graphs(name="g", graphs="exp"), fold="0", source="real", root=REAL, cache=REAL)
    assert (len(b.train), len(b.val), len(b.test)) == (800, 200, 200)
    for split in (b.val, b.test):
        x, n = split.x, b.meta["vertices"]
        classes = wl_classes(x[..., :n], np.rint(x[..., n] + 2 * x[..., n + 1]).astype(int))
        assert (classes[::2] == classes[1::2]).all() and (split.y[::2] != split.y[1::2]).all()
