"""`bench.load(key)`: the fitted model of a finished cell, for new samples.

A trained network keeps the weights that were tested (weights.pt, tensors only) beside its row. Other methods are fitted again:
a cell is a function of its choices, and arrays of a fit in every library's own format would be code to run. In both cases the
model must first give the stored predictions of the test split again; one that does not is refused.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import add_root, provenance, store
from bench.choices import typed
from bench.plan import Cell
from bench.schema import ORIGIN, Arrays, BenchError, Bundle, LightningMethod, load_object
from bench.settings import folders

TOLERANCE = 1e-5  # of predictions given again, relative to their largest: float32 sums depend on threads and batches


@dataclass
class Model:
    """A fitted model. `record` is its row; `classes` names the labels, where the data set has names."""

    record: dict[str, Any]
    bundle: Bundle
    _outputs: Callable[[Any], dict[str, Any]]

    @property
    def classes(self) -> list[str]:
        return [
            str(c)
            for c in self.bundle.meta.get("classes") or self.bundle.meta.get("class_names") or range(self.bundle.n_out)
        ]

    def outputs(self, x: Any, group: Any = None) -> dict[str, Any]:
        """All arrays that the method predicts for samples `x` (n, *shape); `group` (n,) where it looks at groups (sessions).

        `x` must be prepared as the data set prepares it: same channels, band, window, rate and unit (uV for EEG). A method
        whose row says transductive adapts to the samples of one call together.
        """
        import numpy as np

        x = np.asarray(x)
        if x.shape[1:] != tuple(self.bundle.shape) or not len(x):
            raise BenchError(
                f"x has shape {x.shape}; this model takes one or more samples of shape {tuple(self.bundle.shape)}"
            )
        if x.dtype.kind not in "fiu" or not np.isfinite(x).all():
            raise BenchError("x holds NaN, infinity or no numbers; mend those samples or leave them out")
        group = np.zeros(len(x), dtype=np.int64) if group is None else np.asarray(group)
        kind = np.asarray(self.bundle.train.x).dtype if isinstance(self.bundle.train, Arrays) else x.dtype
        return self._outputs(Arrays(x.astype(kind), np.zeros(len(x), dtype=np.int64), group))

    def predict(self, x: Any, group: Any = None) -> Any:
        """Labels (n,) int64 for a classifier; what the method predicts, by name, for any other."""
        out = self.outputs(x, group)
        return out["y_score"].argmax(1) if self._classifies() else out

    def predict_proba(self, x: Any, group: Any = None) -> Any:
        """Softmax of the scores (n, n_out): what `nll` in the rows is computed from. Classifiers only."""
        import numpy as np

        if not self._classifies():
            raise BenchError(f"{self.record['method']} on {self.record['data']} does not classify; use predict")
        score = np.asarray(self.outputs(x, group)["y_score"], dtype=np.float64)
        p = np.exp(score - score.max(1, keepdims=True))
        return p / p.sum(1, keepdims=True)

    def _classifies(self) -> bool:
        from bench.schema import Classification

        return isinstance(self.bundle.task, Classification)


def load(key: str, out: Any = None, root: Any = None, cache: Any = None) -> Model:
    """The fitted model of the cell with this key (or its first digits) in the results folder `out`.

    Needs the data of the cell: a network is built, and a solver fitted, from the training split. Raises BenchError when there
    is no such cell, its data differ from those of the row, or the stored predictions are not given again.
    """
    add_root()
    result, data_root, data_cache = folders({"out": out, "root": root, "cache": cache})
    record = _record(key, result)
    stored_in = result / "cells" / record["method"] / record["data"] / record["key"]
    with _scratch(record, data_root, data_cache) as cell:
        from bench import cell as cells
        from bench.context import Context

        bundle = cells.load(cell)
        if bundle.fingerprint != record["data_fp"]:
            raise BenchError(
                f"the data of {cell.data.name} fold {cell.fold} are not those of the row; restore them or run it again"
            )
        method = load_object(type(cell.method).plugin)(cell.method)
        ctx = Context(cell, [])
        cells.seed_everything(ctx)
        network = isinstance(method, LightningMethod)
        outputs = _network(method, bundle, ctx, stored_in) if network else _solver(method, bundle, ctx)
        model = Model(record, bundle, outputs)
        _verify(model, bundle, stored_in)
    return model


def _record(key: str, out: Path) -> dict[str, Any]:
    found = sorted((out / "cells").glob(f"*/*/{key}*/{store.ROW}")) if key.isalnum() else []
    if len(found) != 1:
        what = f"{len(found)} cells have keys that start so" if found else "there is no such cell"
        raise BenchError(
            f"key {key!r}: {what} in {out / 'cells'}; bench plan shows keys, out= names the results folder"
        )
    record = store.read_cell(found[0].parent)
    if record is None or record["status"] != "done":
        raise BenchError(f"the cell {key} is not finished ({(record or {}).get('error')}); run it first")
    return record


@contextmanager
def _scratch(record: dict[str, Any], root: Path, cache: Path) -> Iterator[Cell]:
    """The cell of a row, with a folder of its own for what a method writes while it is fitted again."""
    method = typed("method", record["config"], record["scale"])
    data = typed("data", record["data_config"], record["scale"])
    source = next(s for s, origin in ORIGIN.items() if origin == record["origin"])
    with tempfile.TemporaryDirectory(prefix="holonomy-") as folder:
        trainer = {
            "accelerator": "cpu", "devices": 1, "strategy": "auto", "threads": record["threads"], "deterministic": True,
            "checkpoint_every_s": 1e9,
        }  # fmt: skip
        settings = {
            "out": folder, "root": str(root), "cache": str(cache), "reuse": "any", "deadline": None, "trainer": trainer,
            "logger": {"kind": "csv"},
        }  # fmt: skip
        cell = Cell(method, data, record["scale"], record["seed"], record["fold"], source, "", settings)
        if cell.key != record["key"]:
            raise BenchError(
                f"the choices of the row give the key {cell.key} with this code; check out the commit {record['git_sha']}"
            )
        cell.folder.mkdir(parents=True)
        yield cell


def _network(method: Any, bundle: Bundle, ctx: Any, stored_in: Path) -> Callable[[Any], dict[str, Any]]:
    """The network with the weights that were tested; trained again where the row has none (too large, or older)."""
    import torch

    from bench.context import WEIGHTS, seed_all
    from bench.train import predict, train

    path, batch = stored_in / WEIGHTS, 4 * method.cfg.batch
    if not path.is_file():
        train(method, bundle, ctx)
        path = ctx.cell.folder / WEIGHTS
    if not path.is_file():
        raise BenchError(f"{method.cfg.name} has weights too large to be kept, so there is no model to load")
    seed_all(ctx.seed("init"))
    module = method.build(bundle, method.cfg)
    try:
        module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))  # data: nothing in it may run
    except Exception as error:
        raise BenchError(
            f"{path} holds no weights of this network ({type(error).__name__}); delete it and the network is trained again"
        ) from error
    adapt = getattr(method, "adapt", None)  # of methods that adapt to unlabelled samples before they predict
    grouped = {"method": method} if getattr(method, "grouped", False) else {}  # of methods that see groups

    def outputs(split: Any) -> dict[str, Any]:
        if adapt is not None:
            with torch.no_grad():
                adapt(module.to(ctx.device).eval(), replace(bundle, test=split))
        return predict(module, split, batch, ctx.device, **grouped)

    return outputs


def _solver(method: Any, bundle: Bundle, ctx: Any) -> Callable[[Any], dict[str, Any]]:
    if not callable(getattr(method, "fit", None)) or not callable(getattr(method, "evaluate", None)):
        raise BenchError(f"{method.cfg.name} has no fit and evaluate to call apart; bench.load cannot give its model")
    method.fit(bundle, ctx)
    return lambda split: method.evaluate(replace(bundle, test=split), ctx).predictions


def _verify(model: Model, bundle: Bundle, stored_in: Path) -> None:
    """Refuse a model that does not give the stored predictions of the test split again."""
    import numpy as np

    path = stored_in / "predictions.npz"
    if bundle.test is None or not path.is_file():
        raise BenchError(
            f"{model.record['method']} on {model.record['data']} predicts nothing: there is no model to load"
        )
    again = model._outputs(bundle.test)
    with np.load(path, allow_pickle=False) as stored:
        for name, value in again.items():
            value, want = np.asarray(value), stored[name]
            if value.shape != want.shape or np.abs(value - want).max() > TOLERANCE * max(np.abs(want).max(), 1e-30):
                raise BenchError(
                    f"the model does not give the stored {name} of {model.record['key']} again; code {provenance.git()[0]} is "
                    f"here and the row is of {model.record['git_sha']}: run the cell again with reuse=fresh"
                )
