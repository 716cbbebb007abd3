"""Own recordings: FIF, EDF and BIDS trees written here by MNE, read back, split, and what is said of damaged ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.schema import BenchError
from datasets.eeg.folder import adapter
from datasets.eeg.folder.config import Config
from tests.conftest import command

mne = pytest.importorskip("mne")
RATE, CLASSES = 100.0, ("left", "right")
NAMES = ["C3", "Cz", "C4", "Pz"]


def recording(seed, n=12, classes=CLASSES, bad=()):
    """(signal (n_channels, n_times) V, onsets s, names): alternating events 1.5 s apart; the class sets the power of C3 or C4."""
    rng = np.random.default_rng(seed)
    onset, names = 1.0 + 1.5 * np.arange(n), [classes[i % len(classes)] for i in range(n)]
    x = 1e-5 * rng.normal(size=(len(NAMES), round(RATE * (onset[-1] + 2))))
    for t, name in zip(onset, names, strict=True):
        span = slice(round(RATE * t), round(RATE * (t + 1)))
        x[0 if name == classes[0] else 2, span] *= 6
    for kind in bad:
        x[1] = {"flat": 3e-6, "nan": np.where(np.arange(x.shape[1]) == 150, np.nan, x[1])}[kind]
    return x, onset, names


def raw_of(x, onset=(), names=()):
    raw = mne.io.RawArray(x, mne.create_info(NAMES, RATE, "eeg"), verbose="ERROR")
    return raw.set_annotations(mne.Annotations(onset, 0.0, names)) if len(onset) else raw


def events_tsv(path, onset, names, column="trial_type"):
    lines = [f"onset\tduration\t{column}", *(f"{t}\t1.0\t{n}" for t, n in zip(onset, names, strict=True))]
    path.write_text("\n".join(lines) + "\n")


def bids(root, subject, session, run, seed, ending="edf", column="trial_type", **options):
    """One recording of a BIDS tree with its events table."""
    folder = root / f"sub-{subject}" / f"ses-{session}" / "eeg"
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"sub-{subject}_ses-{session}_task-mi_run-{run}"
    x, onset, names = recording(seed, **options)
    path = folder / f"{stem}_eeg.{ending}"
    if ending == "fif":
        raw_of(x).save(path, overwrite=True, verbose="ERROR")
    else:
        mne.export.export_raw(path, raw_of(x), overwrite=True, verbose="ERROR")
    events_tsv(folder / f"{stem}_events.tsv", onset, names, column)
    return x, onset, names


def config(path, **changes):
    made = Config(name="eeg_folder", use="eeg.folder", path=str(path), classes=list(CLASSES), tmax=0.99)
    for key, value in changes.items():
        setattr(made, key, value)
    made.check()
    return made


def load(cfg, fold, tmp_path, source="real"):
    return adapter.load(cfg, fold=fold, source=source, root=tmp_path, cache=tmp_path / "cache")


@pytest.fixture
def study(tmp_path):
    """Two subjects, two sessions, EDF in BIDS; subject 02 has two runs in its first session."""
    for i, (s, k, r) in enumerate([("01", "1", 1), ("01", "2", 1), ("02", "1", 1), ("02", "1", 2), ("02", "2", 1)]):
        bids(tmp_path / "study", s, k, r, i)
    return tmp_path / "study"


# ------------------------------------------------------------------------------------------ what is read


def test_a_bids_tree_gives_the_samples_that_were_written(study, tmp_path):
    cfg = config(study)
    assert cfg.folds() == ["sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1", "sub-02_ses-2"]
    b = load(cfg, "sub-01_ses-2", tmp_path)
    assert (b.shape, b.n_out, b.group, b.origin, b.meta["sfreq"]) == ((4, 100), 2, "sub-01", "real", 100.0)
    x, onset, names = recording(1)
    want = np.stack([x[:, round(RATE * t) : round(RATE * t) + 100] for t in onset]) * 1e6
    assert np.abs(b.test.x - want).max() < 0.01 * want.std()  # EDF stores 16 bits
    assert b.test.y.tolist() == [CLASSES.index(n) for n in names] and b.meta["ch_names"] == NAMES
    assert len(b.train) + len(b.val) == 12 and set(b.train.group) == {1} and set(b.test.group) == {2}
    assert set(b.card["files"]) == {f"sub-01/ses-{k}/eeg/sub-01_ses-{k}_task-mi_run-1_eeg.edf" for k in (1, 2)} and all(
        len(d) == 64 for d in b.card["files"].values()
    )


def test_fif_raw_annotations_and_epochs_agree_with_bids(tmp_path):
    x, onset, names = recording(5)
    late = raw_of(np.concatenate([np.zeros((4, 300)), x], 1)).crop(3.0)  # its first sample is not 0
    late.set_annotations(mne.Annotations(onset, 0.0, names))
    dated = raw_of(x, onset, names).set_meas_date(1_000_000_000.0)
    for i, raw in enumerate([raw_of(x, onset, names), late, dated]):
        (tmp_path / f"raw{i}").mkdir()
        for k in (1, 2):
            raw.save(tmp_path / f"raw{i}" / f"sub-a_ses-{k}_raw.fif", verbose="ERROR")
    (tmp_path / "epo").mkdir()
    codes = [[round(RATE * t), 0, 1 + CLASSES.index(n)] for t, n in zip(onset, names, strict=True)]
    epochs = mne.Epochs(
        raw_of(x), codes, {"left": 1, "right": 2}, -0.2, 1.2, baseline=None, verbose="ERROR", preload=True
    )
    pandas = pytest.importorskip("pandas")
    epochs.metadata = pandas.DataFrame({"hand": [n[0] for n in names]})
    for k in (1, 2):
        epochs.save(tmp_path / "epo" / f"sub-a_ses-{k}_epo.fif", verbose="ERROR")
    want = np.stack([x[:, round(RATE * t) : round(RATE * t) + 100] for t in onset]) * 1e6
    cases = [config(tmp_path / f"raw{i}") for i in range(3)]
    cases += [config(tmp_path / "epo"), config(tmp_path / "epo", column="hand", classes=["l", "r"])]
    for cfg in cases:
        b = load(cfg, "sub-a_ses-2", tmp_path)
        assert np.allclose(b.test.x, want, atol=1e-4 * want.std()), cfg.path
        assert b.test.y.tolist() == [CLASSES.index(n) for n in names]


def test_band_rate_reference_and_channels_are_those_of_mne(study, tmp_path):
    cfg = config(study, fmin=8.0, fmax=30.0, resample=50.0, reference=["average"], channels=["C4", "C3"], tmax=1.0)
    b = load(cfg, "sub-01_ses-2", tmp_path)
    path = next((study / "sub-01" / "ses-2").rglob("*.edf"))
    raw = mne.io.read_raw(path, preload=True, verbose="ERROR").set_eeg_reference("average", verbose="ERROR")
    raw.pick(["C4", "C3"]).filter(8.0, 30.0, verbose="ERROR")
    _, onset, names = recording(1)
    codes = [[round(RATE * t), 0, CLASSES.index(n)] for t, n in zip(onset, names, strict=True)]
    epochs = mne.Epochs(raw, codes, tmin=0, tmax=1.0, baseline=None, preload=True, verbose="ERROR").resample(50.0)
    assert np.allclose(b.test.x, 1e6 * epochs.get_data(copy=False)) and b.meta["sfreq"] == 50 and b.shape == (2, 50)
    mean = load(config(study, reference=["Pz", "Cz"]), "sub-01_ses-2", tmp_path).test.x
    assert np.allclose(mean[:, 1] + mean[:, 3], 0, atol=1e-6) and mean.std() > 1


# ------------------------------------------------------------------------------------------ what is tested


@pytest.mark.parametrize(
    ("leave_out", "validate_on", "fold", "sizes"),
    [
        ("session", "share", "sub-02_ses-1", (10, 2, 24)),
        ("run", "share", "sub-02_ses-1_run-2", (22, 2, 12)),
        ("run", "run", "sub-02_ses-1_run-2", (12, 12, 12)),
        ("run", "session", "sub-02_ses-1_run-2", (12, 12, 12)),
        ("subject", "share", "sub-02", (22, 2, 36)),
    ],
)
def test_protocols(study, tmp_path, leave_out, validate_on, fold, sizes):
    cfg = config(study, leave_out=leave_out, validate_on=validate_on)
    assert fold in cfg.folds()
    b = load(cfg, fold, tmp_path)
    assert (len(b.train), len(b.val), len(b.test)) == sizes
    seen = [{t.tobytes() for t in p.x} for p in (b.train, b.val, b.test)]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    if leave_out != "run":
        assert not set(b.train.group) & set(b.test.group)


def test_the_subject_after_the_tested_one_validates(study, tmp_path):
    bids(study, "03", "1", 1, 9)
    b = load(config(study, leave_out="subject", validate_on="subject"), "sub-02", tmp_path)
    assert (set(b.train.group), set(b.val.group), set(b.test.group)) == ({1}, {3}, {2})


def test_other_files_are_another_cell_and_unchanged_ones_are_read_once(study, tmp_path, monkeypatch):
    from datasets.eeg.folder import read

    cfg = config(study)
    before, b = cfg.declared(), load(cfg, "sub-01_ses-1", tmp_path)
    monkeypatch.setattr(read, "_extract", lambda *a: pytest.fail("read again"))
    assert load(cfg, "sub-01_ses-1", tmp_path).fingerprint == b.fingerprint
    monkeypatch.undo()
    bids(study, "01", "2", 1, 77, n=14)
    assert cfg.declared() != before and load(cfg, "sub-01_ses-1", tmp_path).fingerprint != b.fingerprint


# ------------------------------------------------------------------------------------------ what is said


def test_bad_folders_get_one_sentence(study, tmp_path):
    first = next(study.rglob("sub-01_ses-1*_events.tsv"))
    cases = [
        (
            {"classes": ["left", "feet"]},
            r"sub-01 has no event feet in the column trial_type; its events are left, right",
        ),
        ({"column": "stimulus"}, r"events.tsv has no column stimulus; it has onset, duration, trial_type"),
        ({"channels": ["C3", "Fz"]}, r"has no channel Fz; it has C3, Cz, C4, Pz"),
        ({"reference": ["M1"]}, r"data.reference: .* has no channel M1"),
        ({"fmax": 60.0}, r"data.fmax=60 must lie below 50 Hz"),
        ({"tmax": 60.0}, r"covers .* s and data.tmin to data.tmax need 60 s"),
        ({"leave_out": "run"}, r"fold=sub-01_ses-1: missing"),
    ]
    for changes, words in cases:
        with pytest.raises(BenchError, match=words):
            load(config(study, **changes), "sub-01_ses-1", tmp_path)
    first.write_text("onset\tduration\ttrial_type\nsoon\t1\tleft\n")
    with pytest.raises(BenchError, match="an onset is no number"):
        load(config(study), "sub-01_ses-1", tmp_path)
    first.write_text("onset\tduration\ttrial_type\n2.0\t1\tleft\n2.0\t1\tright\n")
    with pytest.raises(BenchError, match=r"two events of data\.classes lie at 2 s"):
        load(config(study), "sub-01_ses-1", tmp_path)
    next(study.rglob("sub-01_ses-1*_eeg.edf")).write_bytes(b"not an EDF")
    with pytest.raises(BenchError, match=r"run-1_eeg\.edf cannot be read"):
        load(config(study), "sub-01_ses-1", tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": ["left"]}, "two or more different events"),
        ({"pattern": "("}, "no regular expression"),
        ({"pattern": "(?P<run>x)"}, "needs the group"),
        ({"tmax": -1.0}, "must lie after"),
        ({"fmin": 9.0, "fmax": 8.0}, "must lie above"),
        ({"leave_out": "subject", "validate_on": "run"}, "share or subject"),
        ({"validate_on": "subject"}, "goes with leave_out=subject"),
    ],
)
def test_bad_choices_get_one_sentence(tmp_path, changes, words):
    with pytest.raises(BenchError, match=words):
        config(tmp_path, **changes)


def test_a_name_that_tells_no_subject(tmp_path):
    raw_of(*recording(0)).save(tmp_path / "monday_raw.fif", verbose="ERROR")
    with pytest.raises(BenchError, match=r"data.pattern does not fit monday_raw.fif"):
        config(tmp_path).folds()
    assert config(tmp_path, pattern=r"(?P<subject>\w+)_raw").folds() == ["sub-monday_ses-1"]


def test_damaged_subjects_fail_by_name_and_the_others_keep_their_rows(tmp_path):
    """The real command on written files: a missing session, unequal counts, a constant channel, NaN, an unknown event."""
    study = tmp_path / "study"
    for i, s in enumerate(("good", "few", "flat", "nan", "odd")):
        options = {
            "few": {"n": 9},
            "flat": {"bad": ["flat"]},
            "nan": {"bad": ["nan"]},
            "odd": {"classes": ("left", "up")},
        }
        for k in (1, 2):
            bids(study, s, k, 1, 10 * i + k, ending="fif", **options.get(s, {}))
    bids(study, "alone", 2, 1, 99, ending="fif")
    out = tmp_path / "out"
    words = [f"data.path={study}", "data.classes=[left,right]", "data.tmax=0.99", "trainer.threads=1", f"out={out}"]
    ran = command("method=mdm", "data=eeg_folder", *words, env={"BENCH_CACHE": str(tmp_path / "cache")})
    assert ran.returncode == 1, ran.stderr
    rows = {r["fold"]: r for r in (json.loads(p.read_text()) for p in Path(out).rglob("cell.json"))}
    assert len(rows) == 12
    for subject in ("good", "few"):  # unequal counts are no obstacle
        for k in (1, 2):
            row = rows[f"sub-{subject}_ses-{k}"]
            assert row["status"] == "done" and row["origin"] == "real"
            assert next(m["value"] for m in row["metrics"] if m["metric"] == "accuracy") > 0.8
    said = {
        "sub-flat_ses-1": "sub-flat: channel Cz is constant in session 1; name the other channels in data.channels",
        "sub-nan_ses-2": "sub-nan: 2 of 24 trials have NaN or infinite samples, first trial 1 in channel Cz",
        "sub-odd_ses-1": "data.classes: sub-odd has no event right in the column trial_type; its events are left, up",
        "sub-alone_ses-1": "fold=sub-alone_ses-1: missing among the sessions here, which are sub-alone_ses-2",
        "sub-alone_ses-2": "fold=sub-alone_ses-2: the only one among the sessions here",
    }
    for fold, words in said.items():
        assert rows[fold]["status"] == "failed" and words in rows[fold]["error"], rows[fold]["error"]
        assert rows[fold]["error"] in ran.stdout


@pytest.mark.parametrize("method", ["mdm", "ts_lr"])
def test_a_rank_deficient_covariance_is_an_error_or_shrunk(tmp_path, method):
    """An average reference leaves rank n_channels - 1: the sample covariance is refused by name, shrinkage makes it definite."""
    from bench import cell as cells
    from bench import plan

    for k in (1, 2):
        bids(tmp_path / "study", "01", k, 1, k, ending="fif")
    words = [f"method={method}", "data=eeg_folder", f"data.path={tmp_path / 'study'}", "data.classes=[left,right]"]
    words += ["data.reference=[average]", "data.tmax=0.99", "fold=0", f"out={tmp_path}", f"cache={tmp_path / 'cache'}"]
    outcome, record = cells.run(plan.expand([*words, "method.estimator=scm"])[0])
    assert outcome == "failed" and record["metrics"] == []
    assert "the covariance of trial 0 (10 of 10) is rank-deficient with method.estimator=scm" in record["error"]
    for estimator in ("lwf", "oas"):
        outcome, record = cells.run(plan.expand([*words, f"method.estimator={estimator}"])[0])
        assert outcome == "done" and all(np.isfinite(m["value"]) for m in record["metrics"]), record["error"]
