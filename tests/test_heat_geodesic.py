"""Heat kernels of graphs, the distances in their logarithm, multidimensional scaling, and the manifolds they are scored on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.linalg import expm
from scipy.sparse.csgraph import shortest_path
from scipy.spatial.distance import pdist, squareform

from bench import cell as cells
from bench import plan
from bench.schema import BenchError
from datasets.manifolds.adapter import load, swiss_roll
from datasets.manifolds.config import Config as Manifold
from datasets.manifolds.task import agreement
from models.geometry import heat, mds
from models.heat_geodesic.distances import HeatDistances
from models.heat_geodesic.landmarks import landmark_distances, landmark_embedding

ROOT = Path(__file__).resolve().parents[1]


def cloud(n: int = 80, d: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def path_graph(n: int) -> sp.csr_array:
    return sp.diags_array([np.ones(n - 1), np.ones(n - 1)], offsets=[-1, 1]).tocsr()


def close(a, b, tol):
    assert np.shape(a) == np.shape(b) and np.max(np.abs(np.asarray(a) - b)) <= tol


# --- graph and kernel
# ------------------------------------------------------------------------------------------------------


def test_graph_is_its_formula_entry_by_entry():
    x, knn = cloud(60), 5
    d = squareform(pdist(x))
    scale = np.sort(d, axis=1)[:, knn]
    k = np.exp(-((d / scale[:, None]) ** 40))
    k[k < 1e-4] = 0
    np.fill_diagonal(k, 0)
    close(heat.alpha_decay_graph(x, knn).toarray(), (k + k.T) / 2, 1e-14)
    dense = heat.alpha_decay_graph(x, knn, decay=2.0)  # wide: the search for neighbours has to widen too
    k = np.exp(-((d / scale[:, None]) ** 2))
    k[k < 1e-4] = 0
    np.fill_diagonal(k, 0)
    close(dense.toarray(), (k + k.T) / 2, 1e-14)


@pytest.mark.parametrize("kind", ["normalised", "combinatorial"])
@pytest.mark.parametrize("t", [0.05, 3.0, 60.0])
def test_routes_are_the_matrix_exponential(kind, t):
    lap = heat.laplacian(heat.alpha_decay_graph(cloud(), 8), kind)
    true = expm(-t * lap.toarray())
    close(heat.heat_kernel(lap, [t], "exact")[0], true, 1e-12)
    close(heat.heat_kernel(lap, [t], "chebyshev")[0], true, 1e-12)
    close(heat.chebyshev(lap, [t], np.eye(80))[0], true, 1e-6)
    close(heat.heat_kernel(lap, [t], "lowrank", rank=79)[0], true, 1e-12)
    values = np.linalg.eigvalsh(lap.toarray())
    close(heat.heat_kernel(lap, [t], "lowrank", rank=30)[0], true, float(np.exp(-t * values[30])) + 1e-9)
    one = heat.heat_kernel(lap, [t], "euler", order=1)[0]
    close(one, np.linalg.inv(np.eye(80) + t * lap.toarray()), 1e-11)
    few, many = (np.abs(heat.heat_kernel(lap, [t], "euler", order=k)[0] - true).max() for k in (20, 40))
    assert many < 0.7 * few  # of first order in t / K
    h = heat.heat_kernel(lap, [t])[0]
    close(h, h.T, 0)
    assert np.linalg.eigvalsh(h)[0] > -1e-12
    if kind == "combinatorial":
        close(h.sum(1), np.ones(80), 1e-11)


def test_times_share_one_recurrence():
    lap = heat.laplacian(heat.alpha_decay_graph(cloud(), 8))
    together = heat.heat_kernel(lap, [0.3, 7.0])
    for t, h in zip((0.3, 7.0), together, strict=True):
        close(h, heat.heat_kernel(lap, [t])[0], 1e-13)


def test_order_is_the_least_with_the_bessel_tail_asked_for():
    from scipy.special import ive

    for z in (0.0, 0.5, 50.0, 125.0):
        k = heat.chebyshev_order(z)
        tail = [2 * ive(np.arange(m + 1, m + 400), z).sum() for m in (k - 1, k)]
        assert tail[1] < 1e-7 and (k == 0 or tail[0] >= 1e-7)
    assert abs(2 * ive(np.arange(31, 400), 50).sum() / 2e-5 - 1) < 0.5  # thirty terms do not do for every time


def test_largest_eigenvalue_bounds_the_spectrum():
    for kind in ("normalised", "combinatorial"):
        lap = heat.laplacian(heat.alpha_decay_graph(cloud(120), 6), kind)
        true = np.linalg.eigvalsh(lap.toarray())[-1]
        assert true <= heat.largest_eigenvalue(lap) <= 1.02 * true


# --- distances
# ------------------------------------------------------------------------------------------------------


def test_distance_of_the_gaussian_heat_kernel_is_exact():
    """h = (4 pi t)^(-1/2) exp(-(x - y)^2 / 4t) gives |x - y| with rho = 1."""
    x, t = np.linspace(0, 3, 40), 0.7
    h = np.exp(-((x[:, None] - x) ** 2) / (4 * t)) / np.sqrt(4 * np.pi * t)
    d, saturated = heat.varadhan(h, t)
    close(d, np.abs(x[:, None] - x), 1e-6)
    assert saturated == 0


@pytest.mark.parametrize("circle", [False, True])
def test_varadhan_on_a_fine_line_and_circle(circle):
    """Spacing 1 / 200: the distance tends to the length along the curve."""
    m, t = 200, 1e-3
    w = path_graph(m)
    if circle:
        w = (w + sp.coo_array(([1.0, 1.0], ([0, m - 1], [m - 1, 0])), shape=(m, m))).tocsr()
    lap = heat.laplacian(w, "combinatorial") * m**2
    d, _ = heat.varadhan(heat.heat_kernel(lap, [t], "exact")[0], t)
    steps = np.abs(np.arange(m)[:, None] - np.arange(m))
    length = (np.minimum(steps, m - steps) if circle else steps) / m
    inside = (length > 0.05) & (length < 0.25) & (circle | ((np.arange(m) > 40) & (np.arange(m) < 160))[:, None])
    assert np.abs(d / np.where(length > 0, length, 1) - 1)[inside].max() < 0.05


def test_small_times_order_pairs_by_hops():
    rng = np.random.default_rng(0)
    w = np.triu(rng.random((30, 30)) < 0.04, 1).astype(float)
    w[np.arange(29), np.arange(1, 30)] = 1
    w = sp.csr_array(w + w.T)
    t = 1e-2
    d, _ = heat.varadhan(heat.heat_kernel(heat.laplacian(w, "combinatorial"), [t], "exact")[0], t)
    hops = shortest_path(w, unweighted=True)
    scaled = d / np.sqrt(-4 * t * np.log(t))
    assert hops.max() >= 4
    for k in range(1, int(hops.max())):
        assert scaled[hops == k].max() < scaled[hops == k + 1].min()


def test_volume_term():
    lap = heat.laplacian(heat.alpha_decay_graph(cloud(), 8))
    h = heat.heat_kernel(lap, [2.0])[0]
    one, _ = heat.varadhan(h, 2.0, 1.0)
    none, _ = heat.varadhan(h, 2.0, 0.0)
    assert not one.diagonal().any() and (one >= 0).all()
    close(none.diagonal() ** 2, -8 * np.log(h.diagonal() + 1e-16), 1e-12)
    close(one, one.T, 1e-12)


def test_rigid_motions_and_orders_of_the_points_change_nothing():
    x, rng = cloud(60), np.random.default_rng(1)
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    order = rng.permutation(60)
    d = HeatDistances(knn=6, t=5.0)(x)
    close(HeatDistances(knn=6, t=5.0)(x @ turn + 3.0), d, 1e-6)
    close(HeatDistances(knn=6, t=5.0)(x[order]), d[np.ix_(order, order)], 1e-8)


def test_denoising_with_weight_one_is_the_distance_of_rows():
    x = cloud(60)
    d = HeatDistances(knn=6, t=5.0)(x)
    close(HeatDistances(knn=6, t=5.0, denoise=1.0)(x), squareform(pdist(d)), 1e-12)
    close(HeatDistances(knn=6, t=5.0, denoise=0.25)(x), 0.75 * d + 0.25 * squareform(pdist(d)), 1e-12)


def test_time_is_the_knee_of_the_entropy():
    assert heat.knee(np.arange(5.0), np.array([0, 3, 3.5, 3.8, 4])) == 1
    found = HeatDistances(knn=6)
    found(cloud(60))
    assert np.all(np.diff(found.entropies) > 0) and found.t in np.linspace(0.05, 200, 10)


# --- scaling
# ------------------------------------------------------------------------------------------------------


def test_scaling_recovers_points_from_their_distances():
    x = cloud(50, 2)
    d = squareform(pdist(x))
    close(squareform(pdist(mds.classical(d))), d, 1e-9)
    start = mds.classical(d) + 0.3 * cloud(50, 2, 1)
    for weights in (None, np.exp(-d)):
        assert mds.stress(d, mds.metric(d, start, weights, steps=500, tol=1e-12), weights) < 1e-4
    noisy = d * np.exp(0.3 * squareform(pdist(cloud(50, 1, 2))))
    stresses = [mds.stress(noisy, mds.metric(noisy, mds.classical(noisy), steps=k, tol=0)) for k in (0, 1, 5, 50)]
    assert stresses == sorted(stresses, reverse=True)


def test_majorisation_is_that_of_scikit_learn():
    from sklearn.manifold import smacof

    d = squareform(pdist(cloud(40, 3)))
    start = mds.classical(d)
    theirs, _ = smacof(d, n_init=1, init=start, max_iter=30, eps=0, normalized_stress=False, metric=True)
    close(squareform(pdist(mds.metric(d, start, steps=30, tol=0))), squareform(pdist(theirs)), 1e-6)


def test_landmarks():
    """Exact for Euclidean distances; the heat distances to landmarks are the columns of the whole matrix, up to the estimated diagonal."""
    x = cloud(60, 2)
    d, at = squareform(pdist(x)), np.arange(0, 60, 7)
    close(squareform(pdist(mds.landmarks(d[:, at], at))), d, 1e-9)
    y = cloud(300, 3)
    lap = heat.laplacian(heat.alpha_decay_graph(y, 8))
    whole, _ = heat.varadhan(heat.heat_kernel(lap, [10.0])[0], 10.0)
    at = np.sort(np.random.default_rng(0).choice(300, 40, replace=False))
    part = landmark_distances(lap, 10.0, at, 1.0, np.random.default_rng(0))
    close(part[at], whole[np.ix_(at, at)], 1e-5)
    rows = np.setdiff1d(np.arange(300), at)
    assert np.corrcoef(part[rows].ravel(), whole[np.ix_(rows, at)].ravel())[0, 1] > 0.98
    z, _, _ = landmark_embedding(y, 40, 10.0, knn=8)
    assert z.shape == (300, 2) and np.isfinite(z).all()


# --- data, scores, cells
# ------------------------------------------------------------------------------------------------------


def test_swiss_roll_is_an_isometric_plane():
    """Lengths of fine polygons along the roll equal the true distances of their ends."""
    rng = np.random.default_rng(0)
    t = np.linspace(5, 14, 20_000)
    arc = (np.sqrt(t**2 + 1) * t + np.arcsinh(t)) / 2
    curve = np.column_stack([t * np.cos(t), t * np.sin(t)])
    assert abs(np.linalg.norm(np.diff(curve, axis=0), axis=1).sum() - (arc[-1] - arc[0])) < 1e-3
    x, d, t = swiss_roll(200, 10, rng)
    assert x.shape == (200, 10) and np.linalg.matrix_rank(x) == 3 and (t >= 1.5 * np.pi).all()
    flat = squareform(pdist(x))
    assert (d >= flat - 1e-9).all()  # no way on the roll is shorter than the straight one
    near = flat < 1.0
    assert np.abs(d[near] - flat[near]).max() < 0.1


def test_scores():
    rng = np.random.default_rng(0)
    truth = squareform(pdist(rng.standard_normal((40, 3))))
    same = agreement(truth, truth)
    assert same == pytest.approx({"spearman": 1.0, "pearson": 1.0, "precision_at_10": 1.0})
    cubed = agreement(truth**3, truth)
    assert cubed["spearman"] == pytest.approx(1.0) and cubed["pearson"] < 0.99
    from scipy.stats import spearmanr

    other = squareform(pdist(rng.standard_normal((40, 3))))
    rows = [spearmanr(np.delete(other[i], i), np.delete(truth[i], i)).statistic for i in range(40)]
    assert agreement(other, truth)["spearman"] == pytest.approx(np.mean(rows), abs=1e-12)


@pytest.mark.parametrize("shape", ["swiss_roll", "tree", "clusters"])
def test_bundles(shape, tmp_path):
    config = Manifold(name="x", shape=shape, n=80, noise=0.1)
    options = {"source": "simulated", "root": tmp_path, "cache": tmp_path}
    first, again, other = (load(config, fold=f, **options) for f in ("draw0", "draw0", "draw1"))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    d = first.test.y
    close(d, d.T, 1e-9)
    assert np.isfinite(d).all() and (d[~np.eye(80, dtype=bool)] > 0).all()
    assert (shape == "clusters") == ("labels" in first.meta)


def test_heat_distances_beat_straight_ones_on_a_noisy_roll(tmp_path):
    words = ["method=heat_geodesic", "fold=0", "scale=smoke", f"out={tmp_path}", "trainer.threads=1"]
    values = []
    for extra in (
        [],
        ["method.landmarks=100", "method.t=50"],
        ["method.weights=heat"],
        ["method.route=euler", "method.t=10"],
    ):
        cell = plan.expand([*words, *extra])[0]
        outcome, record = cells.run(cell)
        assert outcome == "done", record.get("error")
        values.append({m["metric"]: m["value"] for m in record["metrics"]})
    bundle = cells.load(cell)
    plain = bundle.task.score(bundle, bundle.task.trivial(bundle))[0].value
    assert values[0]["spearman"] > plain + 0.1 and values[0]["embedding_spearman"] > plain
    assert values[1]["spearman"] > plain


def test_bad_input(bench):
    x = cloud(30)
    far = np.concatenate([x, x + 1e3, x + 5e3])
    for call, said in (
        (lambda: heat.alpha_decay_graph(far, 5), "3 components"),
        (lambda: heat.alpha_decay_graph(np.concatenate([x, np.repeat(x[:1], 9, axis=0)]), 5), "same point"),
        (lambda: heat.alpha_decay_graph(x * np.nan, 5), "NaN"),
        (lambda: heat.alpha_decay_graph(x[:5], 5), "lower knn"),
        (lambda: heat.laplacian(path_graph(5), "random"), "combinatorial"),
        (lambda: heat.heat_kernel(heat.laplacian(path_graph(5)), [0.0]), "positive"),
        (lambda: heat.heat_kernel(heat.laplacian(path_graph(5)), [1.0], "magic"), "exact"),
        (lambda: heat.heat_kernel(heat.laplacian(path_graph(heat.DENSE + 1)), [1.0]), "landmarks"),
        (lambda: landmark_embedding(x, 31, 1.0), "landmarks"),
    ):
        with pytest.raises(ValueError, match=said) as info:
            call()
        assert "\n" not in str(info.value)
    joined = heat.alpha_decay_graph(far, 5, bridge=True)
    assert np.isfinite(shortest_path(joined, unweighted=True)).all()
    with pytest.raises(BenchError, match="draw0"):
        load(Manifold(name="swiss_roll"), fold="9", source="simulated", root=Path(), cache=Path())
    for words, said in (
        (["method.landmarks=50", "method.denoise=0.5"], "landmarks"),
        (["method.rho=2"], "method.rho"),
        (["data=noisy_tree", "data.branches=90"], "data.branches"),
    ):
        code, _, err = bench("plan", "method=heat_geodesic", *words)
        assert code == 2 and said in err


def test_import_is_lazy():
    code = "import sys, models.heat_geodesic as m; assert 'numpy' not in sys.modules; assert 'HeatDistances' in dir(m)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
