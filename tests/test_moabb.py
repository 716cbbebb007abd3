"""MOABB's own evaluations, loaders and result files against ours: the same folds, the same last digit, the same columns."""

import csv
import io
import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

from bench import cell as cells
from bench import plan, store
from bench.report.moabb import MOABB, PER_GROUP, moabb_csv
from bench.schema import BenchError
from datasets.eeg.moabb import prepare
from datasets.eeg.moabb.config import catalog
from tests.conftest import command
from tests.test_eeg_data import config, load, real

pytest.importorskip("moabb")
FAKE = ("data=moabb", "data.dataset=FakeDataset", "data.paradigm=MotorImagery", "data.subjects=[1,2]")
TWO = ("data.events=[fake1,fake2]",)
EVALUATIONS = {
    "within_session": "WithinSessionEvaluation",
    "cross_session": "CrossSessionEvaluation",
    "cross_subject": "CrossSubjectEvaluation",
}


# ------------------------------------------------------------------------------------------ MOABB's evaluations


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """Results of MOABB's evaluation classes on its FakeDataset, by (evaluation, number of classes)."""
    from moabb import evaluations
    from moabb.datasets.fake import FakeDataset
    from moabb.paradigms import MotorImagery
    from pyriemann.classification import MDM
    from pyriemann.estimation import Covariances
    from pyriemann.tangentspace import TangentSpace
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pipelines = {
        "mdm": make_pipeline(Covariances("lwf"), MDM(metric="riemann")),
        "ts_lr": make_pipeline(Covariances("lwf"), TangentSpace("riemann"), LogisticRegression(C=1.0, max_iter=1000)),
    }
    kept = {}

    def ask(evaluation, n):
        if (evaluation, n) not in kept:
            home = tmp_path_factory.mktemp(f"{evaluation}{n}")
            classes = [f"fake{i + 1}" for i in range(n)]
            dataset, paradigm = (
                FakeDataset(event_list=classes, n_subjects=2, seed=0),
                MotorImagery(n_classes=n, events=classes),
            )
            with prepare._moabb(home, local=True):
                made = getattr(evaluations, EVALUATIONS[evaluation])(
                    paradigm=paradigm, datasets=[dataset], random_state=42, hdf5_path=str(home), overwrite=True
                )
                # evaluate, not process: the file behind process rounds to single precision
                process = paradigm.make_process_pipelines(dataset)[0]
                kept[evaluation, n] = list(made.evaluate(dataset, pipelines, None, process))
        return kept[evaluation, n]

    return ask


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """Finished records of mdm and ts_lr on the same data through the harness, by (evaluation, number of classes)."""
    out = tmp_path_factory.mktemp("ours")

    def ask(evaluation, n):
        records = []
        for method in ("mdm", "ts_lr"):
            words = [*FAKE, *(TWO if n == 2 else ()), f"method={method}", f"data.evaluation={evaluation}"]
            words += ["data.subjects=[1]"] if evaluation == "within_session" else []
            for cell in plan.expand([*words, "data.val_share=0", f"out={out}", "trainer.threads=1"]):
                outcome, record = cells.run(cell)
                assert outcome in ("done", "kept"), record["traceback"]
                records.append(record)
        return records

    return ask


@pytest.mark.parametrize(
    ("evaluation", "n"), [("within_session", 2), ("cross_session", 2), ("cross_session", 3), ("cross_subject", 2)]
)
def test_scores_equal_moabbs_to_the_last_digit(evaluation, n, theirs, ours):
    """pyriemann pipelines through MOABB's evaluation, and our methods through the harness: one score per subject and session."""
    wanted = {(str(r["subject"]), r["session"], r["pipeline"]): r for r in theirs(evaluation, n)}
    rows = list(csv.DictReader(io.StringIO(moabb_csv(ours(evaluation, n)))))
    subjects = 1 if evaluation == "within_session" else 2  # half of MOABB's rows are enough there
    assert list(rows[0]) == MOABB and len(rows) == subjects * 2 * 2 and len(wanted) == 2 * 2 * 2
    for r in rows:
        want = wanted[r["subject"], r["session"], r["pipeline"]]
        assert float(r["score"]) == want["score"], (r, want)
        for column, name in (("samples", "n_samples"), ("n_classes", "n_classes"), ("channels", "n_channels")):
            assert int(r[column]) == want[name], (r, want)
        assert int(r["samples_test"]) == want["n_samples_test"] and int(r["n_sessions"]) == 2
        assert r["dataset"] == "FakeDataset (synthetic twin)"  # random numbers are never called a data set


@pytest.mark.parametrize("evaluation", EVALUATIONS)
def test_folds_are_those_of_moabbs_evaluation(evaluation, monkeypatch, tmp_path):
    """What the evaluation class itself hands to a pipeline, caught there, and our bundles: the same trials on each side."""
    from moabb import evaluations
    from moabb.datasets.fake import FakeDataset
    from moabb.paradigms import MotorImagery
    from sklearn.base import BaseEstimator, ClassifierMixin

    seen = []

    class Catch(ClassifierMixin, BaseEstimator):
        def fit(self, x, y):
            self.classes_ = np.unique(y)
            seen.append(({t.tobytes() for t in x}, set()))
            return self

        def predict(self, x):
            seen[-1][1].update(t.tobytes() for t in x)
            return np.zeros(len(x), dtype=int)

    classes = ["fake1", "fake2", "fake3"]
    with prepare._moabb(tmp_path, local=True):
        getattr(evaluations, EVALUATIONS[evaluation])(
            paradigm=MotorImagery(events=classes, n_classes=3),
            datasets=[FakeDataset(event_list=classes, n_subjects=2, seed=0)],
            random_state=42,
            hdf5_path=str(tmp_path),
            overwrite=True,
        ).process({"catch": Catch()})
    cfg = config(
        "moabb",
        dataset="FakeDataset",
        paradigm="MotorImagery",
        subjects=[1, 2],
        evaluation=evaluation,
        val_share=0.0,
    )
    found = []
    for fold in cfg.folds():
        b = load(cfg, fold, "synthetic", tmp_path, tmp_path)
        assert b.val is None
        found.append(({t.tobytes() for t in b.train.x}, {t.tobytes() for t in b.test.x}))
    assert len(found) == len(seen) == {"within_session": 20, "cross_session": 4, "cross_subject": 2}[evaluation]
    assert all(fold in seen for fold in found)


# ------------------------------------------------------------------------------------------ result files


def test_two_protocols_are_not_mixed_in_one_file(ours):
    with pytest.raises(BenchError, match=r"was run by 2 protocols .*name one with data="):
        moabb_csv([*ours("cross_session", 2), *ours("within_session", 2)])
    with pytest.raises(BenchError, match="no finished cell"):
        moabb_csv([])


LINES = [
    (0.75, "1", "0train"),
    (0.85, "1", "1train"),
    (0.6, "2", "0train"),
    (0.7, "2", "1train"),
]


def result_file(path, dataset="BNCI2014-004", columns=MOABB, lines=LINES):
    """A result file as MOABB's dataframe writes it, with its index column."""
    rows = [
        {
            "score": s, "time": 0.1, "samples": 120, "samples_test": 24, "n_classes": 2, "subject": who, "session": when,
            "channels": 3, "n_sessions": 5, "dataset": dataset, "pipeline": "CSP+LDA",
        }
        for s, who, when in lines
    ]  # fmt: skip
    text = [",".join(["", *columns]), *(",".join([str(i), *(str(r[c]) for c in columns)]) for i, r in enumerate(rows))]
    path.write_text("\n".join(text) + "\n")
    return path


def real_record(fold, value, method="mdm"):
    """The record of a cell on real data, as far as tables read it; it is never stored as a result."""
    cell = plan.expand([f"method={method}", "data=bnci2014_004", "data.source=synthetic", f"fold={fold}"])[0]
    identity = cell.identity()
    identity["data"][2].pop("twin", None)
    return {
        **dict.fromkeys(store.COLUMNS),
        "key": cell.key, "status": "done", "method": method, "data": "bnci2014_004", "kind": "eeg_trials", "origin": "real",
        "scale": "reduced", "seed": 0, "fold": fold, "group": fold[:3], "schema": 1, "identity": identity, "main": "roc_auc",
        "metrics": [{"metric": "roc_auc", "value": value, "better": "higher", "unit": "fraction"}],
        "cpu": "x", "threads": 1, "versions": {}, "git_sha": None, "dirty": None, "config": {}, "data_config": {}, "wall_s": 1.0,
    }  # fmt: skip


@pytest.fixture
def results(tmp_path):
    for fold, value in (("S01s1k1", 0.8), ("S02s1k1", 0.9)):
        record = real_record(fold, value)
        store.write_cell(tmp_path / "cells" / "mdm" / "bnci2014_004" / record["key"], record)
    return tmp_path


def test_imported_results_are_shown_marked_and_never_counted(results, bench):
    file = result_file(results / "results.csv")
    claims = bench("claims", f"out={results}", "--json")[1]
    code, out, err = bench("import", str(file), "data=bnci2014_004", f"out={results}")
    assert code == 0 and "4 scores (roc_auc) of CSP+LDA" in out, err
    code, out, _ = bench("report", f"out={results}", "--md", str(results / "t.md"), "--tex", str(results / "t.tex"))
    line = next(x for x in out.splitlines() if "imported" in x and x.startswith("|"))
    assert code == 0 and [c.strip() for c in line.split("|")[1:5]] == [
        "CSP+LDA (imported from results.csv)",
        "0.725",
        line.split("|")[3].strip(),
        "2",
    ]
    assert "imported, not run here" in line and "nothing is known here of their code" in out
    assert (
        "imported from results.csv" in (results / "t.md").read_text()
        and "imported from" in (results / "t.tex").read_text()
    )
    csv_rows = bench("report", f"out={results}", "--csv", str(results / "rows.csv"))
    assert csv_rows[0] == 0 and "CSP+LDA" not in (results / "rows.csv").read_text()  # no row
    assert bench("claims", f"out={results}", "--json")[1] == claims  # no claim sees them
    assert {r["method"] for r in store.all_records(results)} == {"mdm"}


def test_imported_results_stay_out_of_other_tables(results, bench):
    bench(
        "import",
        str(result_file(results / "results.csv")),
        "data=bnci2014_004",
        "data.evaluation=cross_session",
        f"out={results}",
    )
    assert "imported" not in bench("report", f"out={results}")[1]  # the rows are within-session
    from bench.imported import read
    from bench.table import tables

    simulated = [r | {"origin": "synthetic_twin"} for r in store.all_records(results)]
    assert not any("imported" in t.markdown() for t in tables(simulated, read(results)))


def test_bad_result_files_get_one_sentence(results, bench):
    file = results / "r.csv"
    cases = [
        ({"columns": ["score", "subject", "pipeline"]}, "no column dataset"),
        ({"dataset": "Zhou2016"}, "no results of bnci2014_004 (BNCI2014-004); it has Zhou2016"),
        ({"lines": [("high", "1", "0")]}, "line 2: the score 'high' is no number"),
        ({"lines": [(0.5, "77", "0")]}, "no subject that data=bnci2014_004 has; it has 77"),
    ]
    for changes, words in cases:
        result_file(file, **changes)
        code, _, err = bench("import", str(file), "data=bnci2014_004", f"out={results}")
        assert code == 2 and words in err and err.count("\n") == 1, err
    assert bench("import", str(file), f"out={results}")[0] == 2
    assert bench("import", str(results / "none.csv"), "data=bnci2014_004")[0] == 2
    assert not (results / "imported").exists()


def test_a_line_for_each_subject_and_method(results, bench):
    assert bench("report", f"out={results}", "--per-group", str(results / "g.csv"))[0] == 0
    rows = list(csv.DictReader((results / "g.csv").read_text().splitlines()))
    assert list(rows[0]) == PER_GROUP
    assert [(r["method"], r["group"], r["value"], r["cells"]) for r in rows] == [
        ("mdm", "S01", "0.8", "1"),
        ("mdm", "S02", "0.9", "1"),
    ]


def test_every_eeg_table_says_how_the_signal_was_cut(results, bench, tmp_path):
    assert (
        "Signal: band 8 to 32 Hz, 3 to 7.5 s after the event, 250 Hz as recorded, reference as recorded."
        in bench("report", f"out={results}")[1]
    )
    bench("report", f"out={results}", "--csv", str(results / "rows" / "x.csv"))
    shutil.rmtree(results / "cells")  # committed rows say it too
    assert "Signal: band 8 to 32 Hz" in bench("report", f"out={results}")[1]
    own = config("bnci2014_001")
    assert own.signal("real").startswith(
        "band as recorded, 1.5 to 6 s after the event (samples 124 to 561 of it), resampled to 125"
    )
    assert "without a filter" in own.signal("synthetic_twin") and "reference at infinity" in own.signal(
        "synthetic_twin"
    )
    for name in ("bci", "eeg_twin", "eeg_folder", "zhou2016"):
        assert "Hz" in config(name).signal("synthetic_twin") and config(name).signal("real")


# ------------------------------------------------------------------------------------------ original layouts


def offline(monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *a: pytest.fail("contacted"))


def run_struct(rng, channels, sfreq, y, first, step, classes, age=True):
    """One run of a BNCI file: X (n_times, n_channels) uV, trial (1-based samples), y, fs, classes, artifacts, age, gender."""
    trial = np.array([first + i * step for i in range(len(y))], dtype=float)
    x = rng.normal(scale=10.0, size=(int(first + (len(y) + 1) * step), channels))
    for t, label in zip(trial.astype(int), y, strict=True):
        x[t - 1 : t - 1 + step, 0] *= 1 + 2 * label  # labelled: the class is in the power of the first channel
    names = np.empty(len(classes), dtype=object)
    names[:] = classes
    made = {"X": x, "trial": trial.astype(np.int32), "y": np.array(y, dtype=np.uint8), "fs": sfreq, "classes": names}
    return made | ({"artifacts": np.zeros(len(y)), "age": 25, "gender": "female"} if age else {})


def bnci_file(path, runs):
    from scipy.io import savemat

    cell = np.empty(len(runs), dtype=object)
    cell[:] = runs
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"data": cell})


LAYOUT = {  # preset: file names of a subject, channels in a file, runs in each, classes as the files call them, sessions
    "bnci2014_001": (["A01T", "A01E"], 25, 2, ["left hand", "right hand", "feet", "tongue"], 2),
    "bnci2014_002": (["S01T", "S01E"], 15, 2, ["right hand", "feet"], 1),
    "bnci2014_004": (["B01T", "B01E"], 6, (3, 2), ["left hand", "right hand"], 5),
    "bnci2015_001": (["S01A", "S01B"], 13, 1, ["right hand", "feet"], 2),
}


def bnci(raw, preset, seed=0):
    """The files of subject 1 of a BNCI set as the server has them; returns how many trials of each class a session has."""
    names, channels, runs, classes, _sessions = LAYOUT[preset]
    number = preset.removeprefix("bnci").split("_")
    sfreq, rng = catalog()[preset.upper().replace("BNCI", "BNCI")]["sfreq"], np.random.default_rng(seed)
    per_run = 5 * len(classes)
    for i, name in enumerate(names):
        parts = []
        for _ in range(runs[i] if isinstance(runs, tuple) else runs):
            y = rng.permutation(np.arange(per_run) % len(classes)) + 1
            parts.append(run_struct(rng, channels, sfreq, y, int(sfreq), int(8.5 * sfreq), classes))
        if preset == "bnci2014_001":  # a run without trials, as those of eye movements are
            parts.insert(
                0, run_struct(rng, channels, sfreq, [], int(sfreq), int(sfreq), classes) | {"artifacts": np.zeros(0)}
            )
        bnci_file(raw / "MNE-bnci-data" / "~bci" / "database" / f"{number[1]}-{number[0]}" / f"{name}.mat", parts)
    return per_run


@pytest.mark.parametrize("preset", LAYOUT)
def test_bnci_files_in_their_original_layout(preset, tmp_path, monkeypatch):
    """Files as the server has them, through MOABB's own loader, with a network refused: classes, sessions, units, folds."""
    cfg = config(preset, subjects=[1])
    raw = cfg.raw(tmp_path)
    bnci(raw, preset)
    prepare._record(raw, 1)  # what a first download leaves
    offline(monkeypatch)
    assert cfg.present(tmp_path, tmp_path)
    facts, sessions = cfg.facts(), LAYOUT[preset][4]
    assert (
        len([f for f in cfg.folds() if f.endswith("k1")]) in (sessions, 0)
        and cfg.sessions(1) == sessions == facts["sessions"]
    )
    b = load(cfg, cfg.folds()[0], "real", tmp_path, tmp_path)
    total = sum(len(p) for p in (b.train, b.val, b.test) if p is not None)
    n_runs = {"bnci2014_001": 4, "bnci2014_002": 4, "bnci2014_004": 1, "bnci2015_001": 1}[preset]
    assert b.origin == "real" and total == n_runs * 5 * b.n_out and b.meta["sfreq"] == (cfg.resample or facts["sfreq"])
    assert b.shape[0] == facts["n_channels"] and set(b.meta["ch_names"]) == set(facts["channels"])
    assert sorted(b.meta["classes"]) == sorted(cfg.classes()) and len(b.card["files"]) == 2
    # the label that the file gives is the label that comes out: power of the first channel of the file grows with it
    if preset == "bnci2015_001":
        with pytest.raises(
            BenchError, match=r"subject 1, session 1: class feet has 5 trials and data.n_folds=9 needs as many"
        ):
            load(config(preset, subjects=[1], n_folds=9), "S01s1k1", "real", tmp_path, tmp_path)
    order = [c.replace(" ", "_") for c in LAYOUT[preset][3]]
    x = np.concatenate([b.train.x, b.test.x])
    y = np.concatenate([b.train.y, b.test.y])
    first = {"bnci2014_001": "Fz", "bnci2014_004": "C3"}.get(preset, "FC3")
    power = [x[y == b.meta["classes"].index(c)][:, b.meta["ch_names"].index(first)].std() for c in order]
    assert power == sorted(power) and power[-1] > 1.3 * power[0] and 1 < x.std() < 100  # microvolts


def test_bnci2015_001_has_three_sessions_where_its_subjects_have():
    cfg = config("bnci2015_001", subjects=[7, 8])
    assert [f for f in cfg.folds() if f.endswith("k1")] == ["S07s1k1", "S07s2k1", "S08s1k1", "S08s2k1", "S08s3k1"]
    assert [f"S{s:02d}s3" in config("bnci2015_001", evaluation="cross_session").folds() for s in (7, 8, 11, 12)] == [
        False, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("preset", "folds"),
    [("bnci2014_002", 14 * 5), ("bnci2014_004", 9 * 5 * 5), ("bnci2015_001", (8 * 2 + 4 * 3) * 5), ("zhou2016", 4 * 3 * 5),
     ("physionet_mi", 109 * 5)],
)  # fmt: skip
def test_presets_are_moabbs_protocol(preset, folds):
    from moabb import paradigms

    cfg = config(preset)
    assert len(cfg.folds()) == folds and cfg.val_share == 0 and cfg.split_seed == 42 and cfg.n_folds == 5
    paradigm = getattr(paradigms, cfg.paradigm)(**({"n_classes": 2} if cfg.paradigm == "MotorImagery" else {}))
    assert paradigm.filters == [[8, 32]] and cfg.classes() == sorted(cfg.classes())


def zhou(raw, sessions=3):
    """Zhou2016 as MOABB gets it: a BIDS tree of EDF files beside the Zenodo record that lists them."""
    import mne

    root = raw / "MNE-BIDS-zhou2016"
    rng, sfreq, names = np.random.default_rng(0), 250.0, catalog()["Zhou2016"]["channels"]
    for k in range(sessions):
        folder = root / "sub-1" / f"ses-{k}" / "eeg"
        folder.mkdir(parents=True)
        stem = f"sub-1_ses-{k}_task-imagery_run-0"
        onset = 1.0 + 6.0 * np.arange(12)
        x = 1e-5 * rng.normal(size=(len(names), round(sfreq * (onset[-1] + 8))))
        labels = ["left_hand", "right_hand", "feet"] * 4
        for t, label in zip(onset, labels, strict=True):
            x[0, round(sfreq * t) : round(sfreq * (t + 5))] *= 1 + 2 * (label == "right_hand")
        raw_array = mne.io.RawArray(x, mne.create_info(names, sfreq, "eeg"), verbose="ERROR")
        mne.export.export_raw(folder / f"{stem}_eeg.edf", raw_array, verbose="ERROR")
        value = {"left_hand": 1, "right_hand": 2, "feet": 3}
        lines = ["onset\tduration\ttrial_type\tvalue"]
        lines += [f"{t}\t5.0\t{n}\t{value[n]}" for t, n in zip(onset, labels, strict=True)]
        (folder / f"{stem}_events.tsv").write_text("\n".join(lines) + "\n")
        channels = ["name\ttype\tunits", *(f"{n}\tEEG\tuV" for n in names)]
        (folder / f"{stem}_channels.tsv").write_text("\n".join(channels) + "\n")
        (folder / f"{stem}_eeg.json").write_text(
            json.dumps({"TaskName": "imagery", "SamplingFrequency": sfreq, "PowerLineFrequency": 50})
        )
    (root / "dataset_description.json").write_text(json.dumps({"Name": "Zhou2016", "BIDSVersion": "1.8.0"}))
    record = {
        "files": [
            {"key": "sub-1.zip", "links": {"self": "https://zenodo.org/api/records/16534752/files/sub-1.zip/content"}}
        ]
    }
    (root / "16534752.json").write_text(json.dumps(record))
    return root


def test_zhou2016_in_moabbs_layout(tmp_path, monkeypatch):
    cfg = config("zhou2016", subjects=[1], n_folds=2)
    raw = cfg.raw(tmp_path)
    zhou(raw)
    prepare._record(raw, 1)
    offline(monkeypatch)
    assert cfg.present(tmp_path, tmp_path)
    b = load(cfg, "S01s3k1", "real", tmp_path, tmp_path)
    assert (b.shape[0], b.n_out, b.meta["sfreq"], len(b.train) + len(b.test)) == (14, 2, 250.0, 8)
    at = b.meta["ch_names"].index("Fp1")
    assert b.train.x[b.train.y == 1][:, at].std() > 1.5 * b.train.x[b.train.y == 0][:, at].std()


# ------------------------------------------------------------------------------------------ damaged recordings


def test_damaged_moabb_subjects_fail_by_name_and_the_others_keep_their_rows(tmp_path):
    """The real command on written BNCI files: a missing session, unequal counts, a constant channel, NaN, an unknown event."""

    cache, out = tmp_path / "cache", tmp_path / "out"
    raw = config("bnci2015_001").raw(cache)
    home = raw / "MNE-bnci-data" / "~bci" / "database" / "001-2015"
    rng, classes = np.random.default_rng(1), ["right hand", "feet"]
    for subject in range(1, 7):
        for s in "AB":
            y = rng.permutation(np.arange(14 if (subject, s) == (2, "A") else 10) % 2) + 1
            part = run_struct(rng, 13, 512.0, y, 512, 3072, classes, age=False)
            if subject == 3:
                part["X"][:, 6] = 4.0
            if (subject, s) == (4, "B"):
                part["X"][5000:5100, 2] = np.nan
            if subject == 5:
                part["y"][:] = 3  # an event that the data set does not have
            if (subject, s) == (6, "B"):
                part |= {"trial": np.zeros(0), "y": np.zeros(0)}  # nothing was done in it: no session
            bnci_file(home / f"S{subject:02d}{s}.mat", [part])
        prepare._record(raw, subject)
    words = [
        "method=mdm",
        "data=bnci2015_001",
        "data.subjects=[1,2,3,4,5,6]",
        "data.source=real",
        f"out={out}",
        f"cache={cache}",
    ]
    ran = command(*words, "data.evaluation=cross_session", "trainer.threads=1", "data.tmax=2")
    assert ran.returncode == 1, ran.stderr
    rows = {r["fold"]: r for r in (json.loads(p.read_text()) for p in Path(out).rglob("cell.json"))}
    assert len(rows) == 12
    done = {f for f, r in rows.items() if r["status"] == "done"}
    assert {f for f in rows if f[:3] in ("S01", "S02")} <= done  # unequal counts are no obstacle
    said = {
        "S03s1": "BNCI2015_001 subject 3: channel Cz is constant in session 0A",
        "S04s2": "BNCI2015_001 subject 4: ",
        "S05s1": "BNCI2015_001 subject 5: MOABB cuts no epochs of feet, right_hand",
        "S06s2": "BNCI2015_001: subject 6 has 1 session(s) and session 2 is asked for",
    }
    for fold, words in said.items():
        assert rows[fold]["status"] == "failed" and words in rows[fold]["error"], rows[fold]["error"]
    assert done == {"S01s1", "S01s2", "S02s1", "S02s2"}


def test_physionet_subject_1_scores_as_in_moabb(tmp_path, monkeypatch):
    """The committed experiment from the original EDF files, and MOABB's own evaluation of the same files: one score."""
    from moabb.datasets import PhysionetMI
    from moabb.evaluations import WithinSessionEvaluation
    from moabb.paradigms import LeftRightImagery
    from pyriemann.classification import MDM
    from pyriemann.estimation import Covariances
    from sklearn.pipeline import make_pipeline

    root = real("physionet_eegbci_s001")
    offline(monkeypatch)
    words = ["experiment=moabb/physionet", "method=mdm", f"out={tmp_path / 'out'}", f"cache={tmp_path}", f"root={root}"]
    records = [cells.run(cell)[1] for cell in plan.expand(words)]
    assert {(r["status"], r["origin"]) for r in records} == {("done", "real")} and len(records) == 5
    [row] = csv.DictReader(io.StringIO(moabb_csv(records)))
    dataset, paradigm = PhysionetMI(), LeftRightImagery()
    dataset.subject_list = [1]
    with prepare._moabb(config("physionet_mi").raw(tmp_path), local=True):
        made = WithinSessionEvaluation(
            paradigm=paradigm, datasets=[dataset], random_state=42, hdf5_path=str(tmp_path), overwrite=True
        )
        process = paradigm.make_process_pipelines(dataset)[0]
        pipelines = {"mdm": make_pipeline(Covariances("lwf"), MDM(metric="riemann"))}
        [want] = made.evaluate(dataset, pipelines, None, process)
    assert float(row["score"]) == want["score"]
    assert (row["subject"], row["session"], row["dataset"]) == ("1", want["session"], dataset.code)
    assert (int(row["samples"]), int(row["channels"])) == (want["n_samples"], want["n_channels"])
