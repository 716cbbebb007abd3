"""EEG data: the simulator (physics, known truth, determinism), MAMEM, MOABB, and what splits must never share."""

import importlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from bench.schema import BenchError, MissingData
from datasets.eeg import leadfield as lf
from datasets.eeg.bundle import last_of_each_class
from datasets.eeg.mamem import adapter as mamem
from datasets.eeg.moabb import adapter as moabb
from datasets.eeg.moabb import prepare, splits
from datasets.eeg.moabb.config import Config as Moabb
from datasets.eeg.moabb.config import catalog
from datasets.eeg.twin import Recording, condition, resized, simulate
from datasets.eeg.twin_config import TwinConfig

ROOT = Path(__file__).resolve().parent.parent
DATA = os.environ.get("BENCH_DATA", "")
CH22 = tuple(catalog()["BNCI2014_001"]["channels"])
MI = Recording("mi", ("left_hand", "right_hand", "feet", "tongue"), ((72,) * 4,) * 2, CH22, 250.0, 438)
EASY = TwinConfig(ill_share=0.0, signal=3.0, erd=0.7)


def real(folder):
    if not DATA or not (Path(DATA) / folder).is_dir():
        pytest.skip(f"BENCH_DATA holds no {folder}")
    return Path(DATA)


def config(name, **changes):
    """The dataclass behind a YAML, as the frame makes it at scale=paper."""
    section = yaml.safe_load((ROOT / "conf" / "data" / f"{name}.yaml").read_text())
    cls = importlib.import_module(f"datasets.{section['use']}.config").Config
    twin = TwinConfig(**changes.pop("twin", {}))
    made = cls(**section, twin=twin)
    for key, value in changes.items():
        setattr(made, key, value)
    made.check()
    return made


def load(cfg, fold, source, root, cache):
    module, _, name = cfg.adapter.partition(":")
    return getattr(importlib.import_module(module), name)(cfg, fold=fold, source=source, root=root, cache=cache)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def closeness(a, b):
    return abs(a @ b) / np.linalg.norm(a) / np.linalg.norm(b)


# ------------------------------------------------------------------------------------------ physics of the simulator


def test_leadfield_is_the_forward_solution_of_mne():
    mne = pytest.importorskip("mne")
    field, names = lf.leadfield(), ("Fp1", "C3", "Cz", "T8", "PO7", "Oz", "TP10")
    rows, k = field.rows(names), [0, 9, 16, 40, 80]
    info = mne.create_info(list(names), 100.0, "eeg")
    for c, row in zip(info["chs"], rows, strict=True):
        c["loc"][:3] = lf.RADIUS * lf.electrodes()[field.electrodes[row]]
        c["coord_frame"] = mne.io.constants.FIFF.FIFFV_COORD_HEAD
    radii, sigmas = zip(*lf.SHELLS, strict=True)
    sphere = mne.make_sphere_model((0.0, 0.0, 0.0), lf.RADIUS, relative_radii=radii, sigmas=sigmas, verbose="ERROR")
    pos = {"rr": field.position[k], "nn": np.tile([0.0, 0.0, 1.0], (len(k), 1))}
    sources = mne.setup_volume_source_space(pos=pos, sphere_units="m", verbose="ERROR")
    forward = mne.make_forward_solution(info, None, sources, sphere, meg=False, eeg=True, mindist=0, verbose="ERROR")
    theirs, ours = forward["sol"]["data"].reshape(len(names), len(k), 3), field.gain[np.ix_(rows, k)]
    assert (
        np.abs(theirs - ours).max() < 0.01 * np.abs(theirs).max()
    )  # MNE fits MU and WEIGHT anew: the fit is the difference


def test_electrodes_are_where_a_head_has_them():
    mne = pytest.importorskip("mne")
    montages = mne.channels.get_builtin_montages()
    montage = mne.channels.make_standard_montage("colin27_1020" if "colin27_1020" in montages else "standard_1020")
    theirs = {n: p - (0.0, 0.0, 0.01) for n, p in montage.get_positions()["ch_pos"].items()}
    ours = lf.electrodes()
    assert len(ours) == 85 + lf.N_FREE and np.allclose([np.linalg.norm(p) for p in ours.values()], 1)
    shared = [n for n in ours if n in theirs]
    assert len(shared) > 80
    a, b = (np.array([places[n] for n in shared]) for places in (ours, theirs))
    b -= (0, np.mean(b[:, 1]), 0)
    cosine = (a * b).sum(1) / np.linalg.norm(b, axis=1)
    assert cosine.min() > 0.75 and np.median(cosine) > 0.95


def test_a_radial_dipole_is_strongest_above_itself():
    field = lf.leadfield()
    for name in ("C3", "C4", "Cz", "Oz"):
        pattern = field.pattern(name, field.direction(name))[: -lf.N_FREE]
        assert field.electrodes[int(pattern.argmax())] == name
    left, right = (
        field.pattern(n, field.direction(n))[[field.electrodes.index(e) for e in pair]]
        for n, pair in (("C3", ("F3", "F4")), ("C4", ("F4", "F3")))
    )
    assert np.allclose(left, right)  # the head is symmetric
    assert len(set(field.rows(("Oz", "x1", "x2", "T3", "t7b")))) == 5  # unknown names get places of their own


def band_covariance(x, sfreq, low, high):
    spectrum = np.fft.rfft(x - x.mean(-1, keepdims=True))
    f = np.fft.rfftfreq(x.shape[-1], 1 / sfreq)
    kept = spectrum[..., (f >= low) & (f <= high)]
    return np.einsum("ncf,ndf->ncd", kept, kept.conj()).real


def test_motor_imagery_sources_are_found_again():
    """The class difference of band covariances is minus a rank-one matrix: its eigenvector is the pattern of the source, and
    the dipole that explains it best lies where the source was put."""
    t = simulate(MI, EASY, 1)
    field, rows = lf.leadfield(), lf.leadfield().rows(CH22)
    one = t.session == 1
    c = band_covariance(t.x[one], 250.0, 7, 14)
    for k, place in enumerate(("C4", "C3", "Cz", None)):
        mine = t.y[one] == k
        found = np.linalg.eigh(c[mine].mean(0) - c[~mine].mean(0))[1][:, 0]
        source = t.truth["class_source"][k]
        assert closeness(found, t.truth["drift"][0] @ t.truth["patterns"][source]) > 0.9
        if place:
            fit = {
                name: np.linalg.norm(np.linalg.qr(field.gain[rows, i])[0].T @ found) for i, name in enumerate(lf.CORTEX)
            }
            best = max(fit, key=fit.get)
            distance = field.position[field.dipoles.index(best)] - t.truth["positions_m"][source][0]
            assert np.linalg.norm(distance) < 0.025


def test_desynchronisation_is_as_deep_as_asked():
    quiet = TwinConfig(background=0, noise=0, drift=0, ill_share=0, erd=0.6)
    t = simulate(
        Recording("mi", ("right_hand", "rest"), ((200, 200),), ("C3", "Cz", "C4"), 125.0, 250, start=1.0), quiet, 3
    )
    power = (t.x**2).sum((1, 2))
    assert power[t.y == 0].mean() / power[t.y == 1].mean() == pytest.approx(0.4**2, rel=0.1)


def test_flicker_responses_are_found_again():
    t = simulate(mamem.recording(), EASY, 2)
    assert t.truth["patterns"].shape == (1, 8)
    pattern = t.truth["drift"][0] @ t.truth["patterns"][0]
    one, seconds = t.session == 1, np.arange(125) / 125
    score = []
    for k, f in enumerate(mamem.FREQUENCIES):
        z = t.x @ np.exp(-2j * np.pi * f * seconds)
        c = np.einsum("nc,nd->ncd", z, z.conj()).real
        mine = t.y[one] == k
        assert closeness(np.linalg.eigh(c[one][mine].mean(0) - c[one][~mine].mean(0))[1][:, -1], pattern) > 0.9
        score.append(np.abs(z @ pattern))
    guess = (np.log(score) - np.log(score).mean(1, keepdims=True)).argmax(0)
    assert (guess == t.y).mean() > 0.6  # chance 0.2, with no training at all


def test_event_related_potentials_tell_targets():
    rec = Recording("erp", ("NonTarget", "Target"), ((60, 60),) * 2, ("Fz", "Cz", "Pz", "Oz"), 125.0, 100)
    t = simulate(rec, EASY, 1)
    peak = t.x[:, 2, 38:50].mean(1) * np.sign(t.truth["patterns"][1][2])
    assert peak[t.y == 1].mean() > peak[t.y == 0].mean() + 2


def test_a_simple_classifier_beats_chance_on_new_sessions(cache):
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    b = load(config("eeg_twin"), "S01", "synthetic", cache, cache)
    features = [np.log(np.einsum("nct->nc", np.abs(np.fft.rfft(p.x)[..., 14:30]) ** 2)) for p in (b.train, b.test)]
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(features[0], b.train.y)
    assert lda.score(features[1], b.test.y) > 0.5  # chance 0.25
    assert b.origin == "synthetic_twin" and b.meta["truth"]["class_source"] == [0, 1, 2, 3]


# ------------------------------------------------------------------------------------------ the simulator as a stand-in


def test_the_stand_in_is_deterministic_and_every_part_differs():
    a, b = (simulate(MI, TwinConfig(), 1) for _ in range(2))
    assert np.array_equal(a.x, b.x) and np.array_equal(a.y, b.y)
    short = simulate(Recording(**{**MI.__dict__, "counts": MI.counts[:1]}), TwinConfig(), 1)
    assert np.array_equal(short.x, a.x[a.session == 1])  # a session does not depend on how many follow
    for other in (simulate(MI, TwinConfig(), 2), simulate(MI, TwinConfig(seed=1), 1)):
        assert not np.allclose(other.x, a.x)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_of_ill_conditioned_trials_is_as_asked_and_measured(share):
    t = simulate(mamem.recording(), TwinConfig(ill_share=share, trials_per_session=40), 1)
    direct = np.array([np.linalg.cond(np.cov(trial)) for trial in t.x])
    assert np.allclose(condition(t.x), direct, rtol=1e-3)
    assert t.ill_share == np.mean(direct > 1e5) == share


def test_counts_are_scaled_and_kept():
    assert resized((20, 20, 24, 20, 16), None) == (20, 20, 24, 20, 16)
    assert resized((20, 20, 24, 20, 16), 50) == (10, 10, 12, 10, 8)
    assert sum(resized((700, 3500), 33)) == 33 and min(resized((1, 999), 4)) == 1
    with pytest.raises(BenchError, match=r"trials_per_session=4 .*raise it"):
        resized((1,) * 5, 4)


def test_one_subject_takes_less_than_half_a_second_and_no_mne():
    code = (
        "import sys, time; from datasets.eeg.twin import *; from datasets.eeg.mamem.adapter import recording\n"
        "start = time.process_time(); simulate(recording(), TwinConfig(), 1)\n"
        "assert time.process_time() - start < 0.5; assert 'mne' not in sys.modules and 'moabb' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_configs_import_nothing_heavy():
    code = (
        "import sys; import datasets.eeg.mamem.config, datasets.eeg.moabb.config, datasets.eeg.standalone.config\n"
        "import datasets.eeg.folder.config, datasets.files as f\n"
        "assert not {'numpy', 'scipy', 'mne', 'moabb', 'pandas', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


# ------------------------------------------------------------------------------------------ MAMEM


def counts(part):
    return np.bincount(part.y, minlength=5).tolist()


def check_bci(b):
    assert (b.kind, b.shape, b.n_out, b.group) == ("eeg_trials", (8, 125), 5, "S01")
    assert (len(b.train), len(b.val), len(b.test)) == (300, 100, 100)
    assert (counts(b.train), counts(b.val), counts(b.test)) == (
        [60, 60, 72, 60, 48],
        [20, 20, 24, 20, 16],
        [20, 20, 24, 20, 16],
    )
    assert b.train.x.dtype == np.float64 and b.train.y.dtype == np.int64 and np.isfinite(b.train.x).all()
    assert (set(b.train.group), set(b.val.group), set(b.test.group)) == ({1, 2, 3}, {4}, {5})
    for part in (b.train, b.val, b.test):  # four pieces of one presentation stay together
        assert (part.y.reshape(-1, 4) == part.y.reshape(-1, 4)[:, :1]).all()
    assert (
        b.meta["sfreq"] == 125
        and b.meta["frequencies"] == [12.0, 10.0, 8.57, 7.5, 6.66]
        and len(b.meta["ch_names"]) == 8
    )


def test_bci_stand_in_has_the_shape_of_bci(cache):
    cfg = config("bci")
    assert cfg.folds() == [f"S{i:02d}" for i in range(1, 12)] and len(cfg.files()) == 11
    a, b, c = (load(cfg, f, "synthetic", cache, cache) for f in ("S01", "S01", "S02"))
    check_bci(a)
    assert a.origin == "synthetic_twin" and a.card["files"] == {} and "never evidence" in a.card["source"]
    assert a.fingerprint == b.fingerprint != c.fingerprint
    small = load(config("bci", twin={"trials_per_session": 40}), "S01", "synthetic", cache, cache)
    assert (len(small.train), len(small.test)) == (120, 40)
    with pytest.raises(BenchError, match="fold=S12 is unknown"):
        load(cfg, "S12", "synthetic", cache, cache)


def test_bci_real(cache):
    root, cfg = real("mamem_ssvep2_gbwbn"), config("bci")
    assert cfg.present(root, cache)
    b = load(cfg, "S01", "real", root, cache)
    check_bci(b)
    assert (
        b.origin == "real"
        and b.card["files"] == {cfg.files()[0].path: cfg.files()[0].sha256}
        and "2504.00660" in b.card["citation"]
    )
    assert b.fingerprint != load(cfg, "S02", "real", root, cache).fingerprint
    crossed = load(config("bci", official_split=True), "S01", "real", root, cache)
    assert np.array_equal(crossed.test.x, b.val.x) and np.array_equal(crossed.val.x, b.test.x)
    assert crossed.fingerprint != b.fingerprint
    # label -> frequency: power at a flicker frequency is largest in the trials of its class
    seconds = np.arange(125) / 125
    power = np.array(
        [np.log(np.abs(b.train.x @ np.exp(-2j * np.pi * f * seconds))).mean(1) for f in b.meta["frequencies"]]
    )
    mean = np.array([[power[f, b.train.y == c].mean() for c in range(5)] for f in range(5)])
    assert (mean.argmax(1) == np.arange(5)).all()


def test_an_altered_file_is_refused(tmp_path, cache):
    cfg = config("bci")
    path = tmp_path / cfg.files()[0].path
    path.parent.mkdir()
    path.write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(BenchError, match=r"U001.mat has 19 bytes and 2332531 are declared"):
        load(cfg, "S01", "real", tmp_path, cache)
    content = bytearray((real("mamem_ssvep2_gbwbn") / cfg.files()[0].path).read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BenchError, match="sha256"):
        load(cfg, "S01", "real", tmp_path, cache)


def test_missing_data_and_offline(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: pytest.fail("contacted"))
    start = time.monotonic()
    for name in ("bci", "bnci2014_001"):
        cfg = config(name, source="real")
        assert not cfg.present(tmp_path, tmp_path)
        with pytest.raises(MissingData):
            load(cfg, "S01", "real", tmp_path, tmp_path)
        with pytest.raises(MissingData, match="cannot be reached"):
            importlib.import_module(cfg.adapter.partition(":")[0]).fetch(cfg, tmp_path, tmp_path)
    assert time.monotonic() - start < 2


# ------------------------------------------------------------------------------------------ MOABB: choices and folds


def test_folds_are_counted_without_data():
    assert config("bnci2014_001").folds() == [f"S{i:02d}" for i in range(1, 10)]
    assert len(config("moabb").folds()) == 9 * 2 * 5
    assert config("moabb", evaluation="cross_session", subjects=[3]).folds() == ["S03s1", "S03s2"]
    assert config("moabb", dataset="PhysionetMI", evaluation="cross_subject").folds()[-1] == "S109"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dataset": "BNCI2014_01"}, "did you mean BNCI2014_001"),
        ({"paradigm": "SSVEP"}, "use LeftRightImagery or MotorImagery"),
        ({"subjects": [10]}, "1 to 9"),
        ({"events": ["left_hand"]}, "are fixed"),
        ({"fmin": 8.0}, "data.filter=band"),
        ({"tmax": 0.0}, "after data.tmin"),
        ({"crop": [5, 2]}, "first, stop"),
        ({"dataset": "Cho2017", "evaluation": "cross_session"}, "one session"),
        ({"evaluation": "cross_session", "test_session": 3}, "2 sessions"),
        ({"evaluation": "cross_subject", "subjects": [1]}, "two or more"),
        ({"paradigm": "MotorImagery", "events": ["hand"]}, "has no hand"),
    ],
)
def test_bad_choices_get_one_sentence(changes, words):
    with pytest.raises(BenchError, match=words):
        config("moabb", **changes)


def test_bnci2014_001_stand_in_follows_the_protocol(cache):
    b = load(config("bnci2014_001"), "S01", "synthetic", cache, cache)
    assert b.shape == (22, 438) and b.n_out == 4 and b.meta["sfreq"] == 125 and set(b.meta["ch_names"]) == set(CH22)
    assert (len(b.train), len(b.val), len(b.test)) == (252, 36, 288)
    assert np.bincount(b.val.y).tolist() == [9] * 4
    assert set(b.train.group) == set(b.val.group) == {1} and set(b.test.group) == {2}


def test_validation_is_the_tail_of_each_class():
    y = np.array([0, 1, 0, 1, 0, 1, 0, 0])
    train, val = last_of_each_class(y, np.arange(8), 0.34)
    assert val.tolist() == [5, 7] and sorted([*train, *val]) == list(range(8))


def test_other_paradigms_have_a_stand_in(cache):
    p300 = load(config("moabb", dataset="BNCI2014_009", paradigm="P300"), "S01s1k1", "synthetic", cache, cache)
    assert p300.meta["classes"] == ["NonTarget", "Target"] and p300.n_out == 2
    ssvep = load(config("moabb", dataset="Kalunga2016", paradigm="SSVEP"), "S01s1k1", "synthetic", cache, cache)
    assert ssvep.n_out == 4 and ssvep.meta["frequencies"][-1] == 0.0  # rest
    with pytest.raises(BenchError, match="no synthetic stand-in"):
        load(config("moabb", dataset="Thielen2015", paradigm="CVEP"), "S01s1k1", "synthetic", cache, cache)


def test_every_catalogued_set_has_folds():
    kinds = {"imagery": "MotorImagery", "ssvep": "SSVEP", "p300": "P300", "cvep": "CVEP"}
    for name, facts in catalog().items():
        if facts["paradigm"] in kinds:
            cfg = Moabb(name="moabb", dataset=name, paradigm=kinds[facts["paradigm"]], evaluation="within_session")
            cfg.check()
            assert len(cfg.folds()) == len(set(cfg.folds())) > 0


# ------------------------------------------------------------------------------------------ MOABB: its own code

FAKE = {"dataset": "FakeDataset", "paradigm": "MotorImagery", "subjects": [1, 2, 3]}


def test_our_rule_is_moabbs_rule():
    pytest.importorskip("moabb")
    rng = np.random.default_rng(0)
    subject = np.repeat([2, 1, 3], 60)
    session = np.tile(np.repeat([1, 2, 3], 20), 3)
    y = rng.permuted(np.tile(np.arange(20) % 3, (9, 1)), axis=1).ravel()
    for evaluation in ("within_session", "cross_session", "cross_subject"):
        ask = (evaluation, y, subject, session, 4, 7)
        ours, theirs = ([(a.tolist(), b.tolist()) for a, b in f(*ask)] for f in (splits.by_rule, splits.by_moabb))
        assert (
            sorted(ours) == sorted(theirs)
            and len(ours) == {"within_session": 36, "cross_session": 9, "cross_subject": 3}[evaluation]
        )


def test_moabb_end_to_end_with_random_numbers(cache, monkeypatch):
    """FakeDataset goes through MOABB's download-free path, its paradigm and its splitters; it is never called real."""
    pytest.importorskip("moabb")
    state = np.random.get_state()[1].copy()
    bundles = {}
    for evaluation, n in (("within_session", 30), ("cross_session", 6), ("cross_subject", 3)):
        cfg = config("moabb", evaluation=evaluation, **FAKE)
        assert len(cfg.folds()) == n and not cfg.present(cache, cache)
        for fold in cfg.folds()[:7]:
            b = bundles[evaluation, fold] = load(cfg, fold, "synthetic", cache, cache)
            assert b.origin == "synthetic_twin" and b.shape == (3, 385) and b.n_out == 3 and len(b.val) > 0
            fitted, held, tested = ({t.tobytes() for t in p.x} for p in (b.train, b.val, b.test))
            assert not (fitted & tested or held & tested or fitted & held)  # no trial twice
            if evaluation != "within_session":  # no session (or subject) on both sides
                assert not (set(b.train.group) | set(b.val.group)) & set(b.test.group)
            if evaluation == "cross_subject":
                assert len(set(b.train.group)) == len(set(b.val.group)) == len(set(b.test.group)) == 1
                assert set(b.train.group) != set(b.val.group)
    parts = [bundles["within_session", f"S01s1k{k}"] for k in range(1, 6)]
    assert (
        len({t.tobytes() for p in parts for t in p.test.x}) == sum(len(p.test) for p in parts) == 120
    )  # a partition of the session
    assert len({b.fingerprint for b in bundles.values()}) == len(bundles)
    assert np.array_equal(state, np.random.get_state()[1])  # MOABB's seeding stays inside
    with pytest.raises(MissingData, match="random numbers"):
        load(cfg, "S01", "real", cache, cache)
    # a second time neither MOABB's paradigm nor its splitters are asked
    monkeypatch.setattr(prepare, "extract", lambda *a: pytest.fail("read again"))
    monkeypatch.setattr(moabb, "by_moabb", lambda *a: pytest.fail("split again"))
    for (evaluation, fold), b in bundles.items():
        assert (
            load(config("moabb", evaluation=evaluation, **FAKE), fold, "synthetic", cache, cache).fingerprint
            == b.fingerprint
        )


def test_unchecked_downloads_are_not_started_by_auto(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "prepare", lambda *a: pytest.fail("downloaded"))
    with pytest.raises(MissingData, match=r"no checksum.*bench prepare data=bnci2014_001 data\.source=real"):
        moabb.fetch(config("bnci2014_001"), tmp_path, tmp_path)


def test_a_recording_and_its_stand_in_have_one_shape(cache):
    pytest.importorskip("moabb")
    for changes in (
        {},
        {"tmin": 0.5, "tmax": 2.0},
        {"resample": 64.0, "filter": "none"},
        {"tmax": 1.0, "crop": [20, 90]},
    ):
        cfg = config("moabb", **FAKE, **changes)
        b, like = load(cfg, "S01s1k1", "synthetic", cache, cache), moabb.imitation(cfg)
        assert b.shape == (len(like.channels), like.n_times) and b.meta["sfreq"] == like.sfreq
        assert np.bincount(np.concatenate([b.train.y, b.val.y, b.test.y])).tolist() == [40, 40, 40]


def test_prepared_arrays_that_changed_are_refused(cache, tmp_path):
    pytest.importorskip("moabb")
    cfg = config("moabb", **FAKE)
    path = prepare.prepare(cfg, 1, cache, cache)
    copy = tmp_path / path.name
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["x"][0, 0, 0] += 1
    np.savez(copy, **arrays)
    with pytest.raises(BenchError, match="was altered"):
        prepare.read(cfg, copy)


def test_raw_files_that_changed_are_refused(tmp_path):
    (tmp_path / "MNE-x-data").mkdir()
    file = tmp_path / "MNE-x-data" / "A01T.mat"
    file.write_bytes(b"as first used")
    prepare._record(tmp_path, 1)
    prepare._compare(tmp_path, prepare._read(tmp_path))
    file.write_bytes(b"changed later")
    with pytest.raises(BenchError, match=r"A01T.mat has sha256 .* when it was first used"):
        prepare._compare(tmp_path, prepare._read(tmp_path))


def test_a_session_that_a_subject_lacks(cache):
    pytest.importorskip("moabb")
    with pytest.raises(BenchError, match=r"has 2 session.* data.n_sessions"):
        load(config("moabb", n_sessions=3, **FAKE), "S01s3k1", "synthetic", cache, cache)


def test_physionet_subject_1_offline(tmp_path, monkeypatch):
    pytest.importorskip("moabb")
    root = real("physionet_eegbci_s001")
    monkeypatch.setattr(socket.socket, "connect", lambda *a: pytest.fail("contacted"))
    cfg = config("moabb", dataset="PhysionetMI", subjects=[1])
    assert cfg.present(root, tmp_path) and cfg.folds() == [f"S001s1k{k}" for k in range(1, 6)]
    b = load(cfg, "S001s1k1", "real", root, tmp_path)
    assert (
        b.origin == "real"
        and b.shape == (64, 481)
        and b.meta["classes"] == ["left_hand", "right_hand"]
        and b.meta["sfreq"] == 160
    )
    assert len(b.train) + len(b.val) + len(b.test) == 45 and set(b.card["files"].values()) == {
        f.sha256 for f in cfg.files()
    }
    assert b.shape[1] == moabb.imitation(cfg).n_times
    assert 1 < b.train.x.std() < 100  # microvolts
    # with a folder of altered files the sentence names the file
    other = tmp_path / "root" / "physionet_eegbci_s001"
    other.mkdir(parents=True)
    for f in cfg.files():
        shutil.copyfile(root / f.path, tmp_path / "root" / f.path)
    with (other / "S001R08.edf").open("r+b") as handle:
        handle.seek(-1, os.SEEK_END)
        handle.write(b"\x7f")
    with pytest.raises(BenchError, match=r"S001R08\.edf has sha256"):
        load(cfg, "S001s1k1", "real", tmp_path / "root", tmp_path / "other")


def test_the_catalog_is_of_the_installed_moabb():
    content = json.loads((ROOT / "datasets" / "eeg" / "moabb" / "catalog.json").read_text())
    from datasets.eeg.moabb.config import moabb_version

    if moabb_version() != content["moabb"]:
        pytest.skip(
            f"the catalog is of MOABB {content['moabb']} and {moabb_version()} is installed: scripts/moabb_catalog.py renews it"
        )
    import moabb.datasets as theirs

    for name in ("BNCI2014_001", "PhysionetMI", "Kalunga2016"):
        dataset, facts = getattr(theirs, name)(), content["datasets"][name]
        theirs_say = (len(dataset.subject_list), dataset.n_sessions, list(dataset.event_id))
        assert theirs_say == (facts["subjects"], facts["sessions"], facts["events"])
