"""SPD data: the files against their published facts, the simulations against their truth, and bad input."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from bench.schema import BenchError, MissingData
from datasets.spd import skeleton, twin
from datasets.spd.bundle import bundle, condition, regularise, stratified, unpack
from datasets.spd.clusters import adapter as clusters
from datasets.spd.clusters.config import Config as ClustersConfig
from datasets.spd.fpha.config import Config as Fpha
from datasets.spd.sources import adapter as sources
from datasets.spd.sources.config import Config as SourcesConfig
from datasets.spd.uav_human.config import Config as UavHuman

SETS = {"fpha": Fpha, "uav_human": UavHuman}


def real(config) -> Path:
    root = Path(os.environ.get("BENCH_DATA", "/nowhere"))
    if not config.present(root, root):
        pytest.skip(f"{config.files()[0].path} is not under BENCH_DATA")
    return root


def logm(x: np.ndarray) -> np.ndarray:
    w, q = np.linalg.eigh(x)
    return (q * np.log(w)[..., None, :]) @ q.swapaxes(-1, -2)


def draw(fold: str = "draw0", **choices):
    return clusters.load(ClustersConfig(name="spd_twin", **choices), fold, "simulated", Path(), Path())


def imitation(fold: str, **choices):
    config = Fpha(name="fpha", twin=skeleton.SkeletonConfig().twin.__class__(n=12, classes=4, per_class=10), **choices)
    return skeleton.load(config, fold, "synthetic", Path(), Path())


# ------------------------------------------------------------------------------------------ recordings


@pytest.mark.real
@pytest.mark.parametrize("name", SETS)
def test_file_is_what_was_published(name):
    """Counts, class sizes, symmetry, positive definiteness and the regularisation floor of the source; sha256 by `verified`."""
    config = SETS[name](name=name, scale="none", eps=0.0, val_share=0.0)
    root = real(config)
    x, y, test, card = skeleton._read(config, root)
    assert x.shape == (sum(config.sizes), config.n, config.n) and x.dtype == np.float64
    assert (int((~test).sum()), int(test.sum())) == config.sizes and card["files"] == {
        config.files()[0].path: config.files()[0].sha256
    }
    assert np.array_equal(x, x.swapaxes(1, 2)) and set(y) == set(range(config.classes))
    sizes = {"fpha": ((11, 17), (12, 17)), "uav_human": ((94, 103), (20, 30))}[name]
    for half, (low, high) in zip((~test, test), sizes, strict=True):
        count = np.bincount(y[half])
        assert (count.min(), count.max()) == (low, high)
    kappa = condition(x)
    zero = np.flatnonzero(~x.any((1, 2)))
    assert zero.tolist() == ([600 + 393] if name == "fpha" else [])
    kappa = np.delete(kappa, zero)
    assert kappa.max() < 1000 and abs(np.median(kappa) - {"fpha": 790, "uav_human": 722}[name]) < 5


@pytest.mark.real
@pytest.mark.parametrize("name", SETS)
def test_published_split(name):
    """The published halves; validation from the training half only, in every class."""
    config = SETS[name](name=name)
    b = skeleton.load(config, "standard", "real", real(config), Path())
    assert len(b.train) + len(b.val) == config.sizes[0] and len(b.test) == config.sizes[1]
    assert set(b.val.y) == set(b.train.y) == set(range(config.classes)) and b.origin == "real"
    assert b.meta["ill_share"] == 0.0 and b.meta["condition_max"] < 1000
    assert b.meta["test_in_train"] == {"fpha": 3, "uav_human": 0}[name]
    trace = b.train.x.trace(axis1=1, axis2=2)
    assert np.abs(trace - 1 - config.eps * config.n).max() < 1e-12


@pytest.mark.real
def test_random_halves_share_nothing():
    """The three copies and the zero matrix are left out; halves and their validation splits differ by fold."""
    config = Fpha(name="fpha")
    root = real(config)
    folds = [skeleton.load(config, f, "real", root, Path()) for f in ("half1", "half2")]
    for b in folds:
        assert b.meta["test_in_train"] == 0 and b.meta["condition_max"] < 1000
        assert len(b.train) + len(b.val) + len(b.test) == 1175 - 1 - 6
        count = [np.bincount(np.concatenate([b.train.y, b.val.y])), np.bincount(b.test.y)]
        assert np.abs(count[0] - count[1]).max() <= 1
    assert folds[0].fingerprint != folds[1].fingerprint


@pytest.mark.real
def test_altered_and_missing_files_are_refused(tmp_path):
    config = Fpha(name="fpha")
    root, path = real(config), config.files()[0].path
    with pytest.raises(MissingData, match="BENCH_DATA"):
        skeleton.load(config, "standard", "real", tmp_path, tmp_path)
    (tmp_path / path).parent.mkdir()
    content = bytearray((root / path).read_bytes())
    content[5000] ^= 1
    (tmp_path / path).write_bytes(content)
    with pytest.raises(BenchError, match="altered"):
        skeleton.load(config, "standard", "real", tmp_path, tmp_path)


# ------------------------------------------------------------------------------------------ simulations


def test_clusters_have_the_stated_geometry():
    """Centres at affine-invariant distance `separation` from the base, matrices at root mean square distance `spread`."""
    rng = np.random.default_rng(0)
    found = twin.clusters(6, 3, 800, kappa=1e3, separation=0.7, spread=1.5, rng=rng)
    w = np.linalg.eigvalsh(found.base)
    assert abs(w[-1] / w[0] - 1e3) < 1e-6 and abs(np.trace(found.base) - 6) < 1e-10

    def distance(a, b):
        low = np.linalg.inv(np.linalg.cholesky(a))
        return np.linalg.norm(logm(low @ b @ low.T), axis=(-2, -1))

    assert np.abs([distance(found.base, c) - 0.7 for c in found.centres]).max() < 1e-9
    for c, centre in enumerate(found.centres):
        rms = np.sqrt((distance(centre, found.x[found.y == c]) ** 2).mean())
        assert abs(rms - 1.5) < 0.05


def test_the_truth_is_recovered():
    """The Riemannian mean of a class tends to its centre; with spread 0 it is the centre."""
    from pyriemann.geometry.mean import mean_riemann

    gaps = []
    for spread, per_class in ((0.0, 4), (1.0, 40), (1.0, 640)):
        found = twin.clusters(5, 2, per_class, kappa=1e2, separation=1.0, spread=spread, rng=np.random.default_rng(1))
        low = np.linalg.inv(np.linalg.cholesky(found.centres[1]))
        gaps.append(np.linalg.norm(logm(low @ mean_riemann(found.x[found.y == 1], tol=1e-10) @ low.T)))
    assert gaps[0] < 1e-8 and gaps[1] < 3 / np.sqrt(40) and gaps[2] < min(3 / np.sqrt(640), gaps[1])


def test_conditions_are_one_problem_up_to_a_congruence():
    """X_ill = A X_well A^T for one A: an affine-invariant classifier predicts the same."""
    from pyriemann.classification import MDM

    well, ill = draw(condition="well"), draw(condition="ill")
    assert well.meta["ill_share"] == 0.0 and ill.meta["ill_share"] == 1.0
    assert np.array_equal(well.test.y, ill.test.y) and well.fingerprint != ill.fingerprint
    root = [np.linalg.cholesky(b.meta["truth"]["base"]) for b in (well, ill)]
    w = np.linalg.eigvalsh(np.linalg.inv(root[0]) @ well.test.x @ np.linalg.inv(root[0]).T)
    v = np.linalg.eigvalsh(np.linalg.inv(root[1]) @ ill.test.x @ np.linalg.inv(root[1]).T)
    assert np.abs(v / w - 1).max() < 1e-6
    guesses = [MDM(metric="riemann").fit(b.train.x, b.train.y).predict(b.test.x) for b in (well, ill)]
    assert np.mean(guesses[0] == guesses[1]) > 0.98 and np.mean(guesses[0] == well.test.y) > 0.6


def test_draws_differ_and_repeat():
    assert draw("draw0").fingerprint == draw("draw0").fingerprint != draw("draw1").fingerprint
    b = draw()
    assert [np.bincount(p.y).tolist() for p in (b.train, b.val, b.test)] == [[60] * 4, [20] * 4, [40] * 4]
    assert b.origin == "simulated"


def test_sources_are_rank_deficient_and_drift():
    """All condition numbers above 1e5; copies repeat their channel; with drift only the mixing of the sessions changes."""

    def load(**choices):
        return sources.load(SourcesConfig(name="spd_sources", **choices), "draw0", "simulated", Path(), Path())

    still, moved = load(), load(drift=True)
    for b in (still, moved):
        assert b.meta["ill_share"] == 1.0 and b.val is None and (len(b.train), len(b.test)) == (240, 160)
        assert abs(b.train.x.trace(axis1=1, axis2=2).mean() / 16 - 1) < 1e-12
        assert np.abs(b.train.x[:, 0] - b.train.x[:, 13]).max() < 1e-3 * np.abs(b.train.x).max()
    mixing = still.meta["truth"]["mixing"]
    assert (mixing == mixing[0]).all() and not (moved.meta["truth"]["mixing"][0] == mixing[0]).any()
    assert np.array_equal(still.meta["truth"]["variance"], moved.meta["truth"]["variance"])


def test_the_stand_in_has_the_sizes_of_the_data():
    config = Fpha(name="fpha")
    b = skeleton.load(config, "standard", "synthetic", Path(), Path())
    assert b.shape == (63, 63) and b.n_out == 45 and b.origin == "synthetic_twin" and len(b.test) == 585
    assert set(config.stand_in) == {"twin"}
    assert imitation("half1").fingerprint != imitation("half2").fingerprint


@pytest.mark.parametrize("classifier", ["mdm", "ts_lr"])
def test_classical_rows_are_pyriemanns(classifier):
    """MDM and TS+LR on the matrices as they are, to the last digit of a direct call."""
    from types import SimpleNamespace

    from pyriemann.classification import MDM
    from pyriemann.tangentspace import TangentSpace
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from models.riemann.config import Config
    from models.riemann.plugin import Riemann

    b = draw(train=12, val=0, test=10)
    method, ctx = Riemann(Config(name=classifier, classifier=classifier)), SimpleNamespace(log=lambda *a, **k: None)
    method.fit(b, ctx)
    ours = method.evaluate(b, ctx).predictions["y_score"]
    direct = {
        "mdm": MDM(metric="riemann"),
        "ts_lr": make_pipeline(TangentSpace(metric="riemann"), LogisticRegression(max_iter=1000)),
    }[classifier]
    theirs = direct.fit(b.train.x, b.train.y).predict_proba(b.test.x)
    assert np.array_equal(ours, np.log(np.maximum(theirs, 1e-12)))


def test_figures():
    """A confusion matrix of few classes, a bar for each of many."""
    for classes, name in ((4, "confusion"), (45, "recall")):
        y = np.arange(classes).repeat(4)
        x = np.eye(2) * np.arange(1, len(y) + 1)[:, None, None]
        split = [np.flatnonzero(np.arange(len(y)) % 4 == k) for k in (0, 1, 2)]
        b = bundle(x, y, split, n_out=classes, group="0", source="real", card={}, meta={})
        figures = b.task.figures(b, {"y_score": np.eye(classes)[b.test.y]})
        assert set(figures) == {name} and figures[name].axes[0].get_title().endswith("1.000")


# ------------------------------------------------------------------------------------------ bad input


def test_bad_input_is_named():
    with pytest.raises(BenchError, match="shape"):
        unpack(np.ones((3, 7)), 3)
    triangles = np.ones((3, 6))
    triangles[1, 2] = np.nan
    with pytest.raises(BenchError, match="1 of 3 matrices hold NaN"):
        unpack(triangles, 3)
    with pytest.raises(BenchError, match="fold=half9"):
        imitation("half9")
    with pytest.raises(BenchError, match="fold=x"):
        draw("x")
    with pytest.raises(BenchError, match="val_share"):
        stratified(np.arange(10) % 5, np.arange(10), 0.1, 0)
    with pytest.raises(BenchError, match=r"data\.copies"):
        SourcesConfig(name="s", channels=3, copies=3).check()
    x, y = np.zeros((6, 2, 2)), np.array([0, 1] * 3)
    x[1:] = np.eye(2)
    split = [np.arange(2), np.arange(2, 4), np.arange(4, 6)]
    options = {"n_out": 2, "group": "0", "source": "real", "card": {}, "meta": {}}
    with pytest.raises(BenchError, match=r"1 of 6 matrices are not positive definite; raise data\.eps"):
        bundle(x, y, split, **options)
    regular = bundle(regularise(x, "trace", 1e-6), y, split, **options)
    assert np.array_equal(regular.train.x[0], 1e-6 * np.eye(2)) and regular.meta["condition_max"] == 1.0


def test_triangles_unpack_to_symmetric_matrices():
    a = np.arange(1.0, 10).reshape(3, 3)
    a = a + a.T
    i, j = np.triu_indices(3)
    assert np.array_equal(unpack(a[i, j][None], 3)[0], a)
