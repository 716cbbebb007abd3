"""bench.load: a finished cell gives its fitted model, which predicts the stored test split again, and new samples."""

import json
import shutil

import numpy as np
import pytest
import torch

import bench as package
from bench import cell as cells
from bench import plan
from bench.schema import BenchError

SMOKE = ("data=eeg_twin", "scale=smoke", "fold=0", "trainer.threads=1")


def finished(method, out, *words):
    """A finished cell: (folder of its row, its record, its bundle)."""
    cell = plan.expand([f"method={method}", *SMOKE, f"out={out}", *words])[0]
    outcome, record = cells.run(cell)
    assert outcome == "done", record["traceback"]
    return cell.folder, record, cells.load(cell)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    return out, {m: finished(m, out) for m in ("gbw_rbn", "ts_lr")}


@pytest.mark.parametrize("method", ["gbw_rbn", "ts_lr"])
def test_a_loaded_model_gives_the_stored_predictions(results, method):
    out, found = results
    folder, record, bundle = found[method]
    before = sorted(p.name for p in folder.iterdir())
    model = package.load(record["key"], out=out)
    with np.load(folder / "predictions.npz") as stored:
        score, y = stored["y_score"], stored["y_true"]
    assert np.abs(model.outputs(bundle.test.x, bundle.test.group)["y_score"] - score).max() < 1e-6
    assert np.array_equal(model.predict(bundle.test.x), score.argmax(1))
    accuracy = next(m["value"] for m in record["metrics"] if m["metric"] == "accuracy")
    assert (model.predict(bundle.test.x) == y).mean() == accuracy
    p = model.predict_proba(bundle.test.x[:3])  # a few epochs alone: nothing depends on the others
    assert p.shape == (3, 4) and np.allclose(p.sum(1), 1)
    want = np.exp(score[:3]) / np.exp(score[:3]).sum(1, keepdims=True)
    assert np.allclose(p, want, atol=1e-6)
    assert model.classes == ["left_hand", "right_hand", "feet", "tongue"] and model.record["key"] == record["key"]
    assert sorted(p.name for p in folder.iterdir()) == before  # the row's folder stays as it was


def test_the_kept_weights_are_small_data_and_those_that_were_tested(results, tmp_path):
    out, found = results
    folder, record, bundle = found["gbw_rbn"]
    weights = torch.load(folder / "weights.pt", weights_only=True)
    assert sum(w.numel() for w in weights.values()) >= record["params"]
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 1e6
    # without them the network is trained again, to the same predictions
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    again = next(copy.rglob("weights.pt"))
    again.unlink()
    model = package.load(record["key"][:8], out=copy)
    assert np.array_equal(model.predict(bundle.test.x), package.load(record["key"], out=out).predict(bundle.test.x))
    # other weights are not passed off as the cell's model
    torch.save({k: w + 0.1 if w.is_floating_point() else w for k, w in weights.items()}, again)
    with pytest.raises(BenchError, match=r"does not give the stored y_score of \w+ again"):
        package.load(record["key"], out=copy)


def test_a_pickle_in_place_of_weights_does_not_run(results, tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    out, found = results
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    next(copy.rglob("weights.pt")).write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(BenchError, match="holds no weights of this network"):
        package.load(found["gbw_rbn"][1]["key"], out=copy)
    assert not (tmp_path / "ran").exists()


def test_what_cannot_be_loaded_is_said_in_one_sentence(results, tmp_path):
    out, found = results
    folder, record, bundle = found["ts_lr"]
    for key, words in (
        ("ffff", "there is no such cell"),
        ("*", "there is no such cell"),
        ("", "there is no such cell"),
    ):
        with pytest.raises(BenchError, match=words):
            package.load(key, out=out)
    model = package.load(record["key"], out=out)
    with pytest.raises(
        BenchError, match=r"x has shape \(2, 3\); this model takes one or more samples of shape \(22, 250\)"
    ):
        model.predict(np.zeros((2, 3)))
    with pytest.raises(BenchError, match="NaN"):
        model.predict(np.full((1, *bundle.shape), np.nan))
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    row = copy / folder.relative_to(out) / "cell.json"
    for change, words in (
        ({"data_fp": "0" * 64}, "are not those of the row"),
        ({"config": record["config"] | {"c": 2.0}}, "give the key"),
        ({"status": "failed", "error": "why"}, r"is not finished \(why\)"),
    ):
        row.write_text(json.dumps(record | change))
        with pytest.raises(BenchError, match=words):
            package.load(record["key"], out=copy)
    cell = plan.expand(["method=bw_descent", "scale=smoke", "fold=0", f"out={copy}"])[0]
    cells.run(cell)
    with pytest.raises(BenchError, match="there is no model to load"):
        package.load(cell.key, out=copy)


def test_importing_bench_stays_light():
    from tests.conftest import command

    code = "import bench, sys; bench.load; assert not {'torch', 'numpy', 'hydra', 'omegaconf'} & set(sys.modules)"
    assert command("-c", code).returncode == 0
