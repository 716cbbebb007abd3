"""The contracts that plugins and data adapters are written against.

This is the only module of the frame that `models/` and `datasets/` may import. It imports nothing heavy, because
`bench list`, `bench plan` and the validation of a command line read every `config.py` through it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

SCHEMA = 1  # of rows and keys; a reader refuses rows of a newer schema
SCALES = ("smoke", "reduced", "paper")
ORIGIN = {"real": "real", "simulated": "simulated", "synthetic": "synthetic_twin"}  # by resolved source


class BenchError(Exception):
    """A mistake that the user can mend: its text is one sentence that names the argument and the remedy."""


class MissingData(BenchError):
    """Real data are asked for and absent; the text says where they were looked for and how to get them."""


# ------------------------------------------------------------------------------------------ configuration


def option(
    default: Any, help: str, *, choices: Sequence[Any] = (), low: float | None = None, high: float | None = None
) -> Any:
    """A dataclass field with a one-line help text and, optionally, its admissible values.

    Parameters
    ----------
    default : value, or a zero-argument callable (for lists and nested dataclasses).
    choices : admissible values; `low`, `high` : inclusive bounds of a number. All are checked before any heavy import.
    """
    meta = {"help": help, "choices": tuple(choices), "low": low, "high": high}
    if callable(default):
        return field(default_factory=default, metadata=meta)
    return field(default=default, metadata=meta)


@dataclass
class Choice:
    """What every method and data config has. Subclass `MethodConfig` or `DataConfig`, not this."""

    name: str = option("", "name of the row: the file name under conf/, e.g. gbw_rbn")
    use: str = option("", "folder that owns the code when it is not the one called `name`")
    at: dict[str, Any] = option(dict, "values by scale: {smoke: {...}, reduced: {...}, paper: {...}}")

    version: ClassVar[int] = 1  # raise it when a default or an equation changes its meaning: old rows then stay apart

    def check(self) -> None:
        """Raise BenchError when fields contradict each other. Called before any heavy import."""


@dataclass
class MethodConfig(Choice):
    """Static facts and choices of a method; `models/<use>/config.py` defines `Config`, a subclass.

    Class attributes (facts, not choices): `plugin` "package.module:Class"; `accepts` kinds of data; `margin` by how
    much the method must beat the trivial predictor's main metric at smoke scale (None where "beating" has no meaning);
    `parts` folders under models/ whose code the method runs, besides its own (for the code fingerprint).
    """

    plugin: ClassVar[str] = ""
    accepts: ClassVar[tuple[str, ...]] = ()
    margin: ClassVar[float | None] = 0.0

    def parts(self) -> tuple[str, ...]:
        """Other folders of models/ whose code runs for these choices, e.g. ("gbw_rbn",)."""
        return ()

    def fits(self, data: DataConfig) -> str | None:
        """A reason, known without loading anything, why this method cannot run on `data`; None when it can."""
        if data.kind not in self.accepts:
            return f"{self.name} takes {' or '.join(self.accepts)}, and {data.name} is {data.kind}"
        return None


@dataclass
class TrainConfig(MethodConfig):
    """A method trained by mini-batches. `batch` is the global batch, whatever the number of devices."""

    epochs: int | None = option(None, "passes over the training split", low=1)
    batch: int = option(32, "samples per optimiser step, over all devices together", low=1)
    max_steps: int | None = option(None, "stop after this many optimiser steps", low=1)
    select: str = option(
        "best", "weights that are tested: lowest validation loss, or the last epoch's", choices=("best", "last")
    )
    precision: str = option("32", "Lightning precision of the trainer", choices=("32", "64", "bf16-mixed", "16-mixed"))


@dataclass(frozen=True)
class File:
    """One published file: path under the data root, sha256, size in bytes, https address (empty: not offered)."""

    path: str
    sha256: str
    size: int
    url: str = ""


@dataclass
class DataConfig(Choice):
    """Static facts and choices of a data set; `datasets/<use>/config.py` defines `Config`, a subclass.

    Class attributes: `adapter` "package.module:function", called as `load(config, fold=, source=, root=, cache=)` and
    returning a Bundle; `kind` of data; `sources` among real, synthetic, simulated (see ORIGIN) in order of preference;
    `licence`, `citation` (BibTeX key and text) for `bench prepare` and the card.
    """

    source: str = option(
        "auto", "real, synthetic (a stand-in), or auto: real when present", choices=("auto", "real", "synthetic")
    )

    adapter: ClassVar[str] = ""
    kind: ClassVar[str] = ""
    sources: ClassVar[tuple[str, ...]] = ("real", "synthetic")
    stand_in: ClassVar[
        tuple[str, ...]
    ] = ()  # fields that only the synthetic stand-in reads: no part of the key of real cells
    licence: ClassVar[str] = ""
    citation: ClassVar[str] = ""

    def folds(self) -> list[str]:
        """Names of the folds, countable without data; each becomes one cell."""
        return ["0"]

    def fold_number(self, fold: str) -> int:
        """Place of a fold among `folds()`, the seed of its draws; BenchError where it is none of them."""
        names = self.folds()
        if fold not in names:
            those = ", ".join(names) if len(names) < 5 else f"{names[0]} to {names[-1]}"
            raise BenchError(f"fold={fold} is unknown for {self.name}: it has {those}")
        return names.index(fold)

    def available(self) -> tuple[str, ...]:
        """The sources that these choices have; `sources` unless a choice rules one out."""
        return self.sources

    def files(self) -> tuple[File, ...]:
        """The files of the real data, with checksums; empty when they come by another road (then override `present`)."""
        return ()

    def present(self, root: Path, cache: Path) -> bool:
        """Whether the real data can be read without a network. Looks at names only; contents are checked on loading."""
        return bool(self.files()) and all((root / f.path).is_file() for f in self.files())

    def where(self, root: Path, cache: Path) -> str:
        """Where `present` looks, for a person."""
        return str((root / self.files()[0].path).parent) if self.files() else str(root)

    def signal(self, origin: str) -> str:
        """How samples were cut from a recording, for the notes of every table: band, window, rate, reference; else empty."""
        return ""

    def titles(self) -> tuple[str, ...]:
        """Names that result files of other benchmarks have for this data set; the first is the usual one."""
        return (self.name,)

    def declared(self) -> str:
        """One digest of the declared checksums; part of the key of cells on real data."""
        return hashlib.sha256("".join(f.sha256 for f in self.files()).encode()).hexdigest()[:16] if self.files() else ""


# ------------------------------------------------------------------------------------------ data


@dataclass
class Arrays:
    """One split held in memory: `x` (n, ...), `y` (n,) or (n, ...), `group` (n,) or None (e.g. the session of a trial)."""

    x: Any
    y: Any = None
    group: Any = None

    def __post_init__(self) -> None:
        for label in ("y", "group"):
            other = getattr(self, label)
            if other is not None and len(other) != len(self.x):
                raise ValueError(f"{label} has {len(other)} entries and x has {len(self.x)}; give one per sample")

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Metric:
    """One measured number with its direction and unit. `better` is higher, lower or none (a plain description)."""

    name: str
    value: float
    better: str = "higher"
    unit: str = "fraction"

    def __post_init__(self) -> None:
        if self.better not in ("higher", "lower", "none"):
            raise ValueError(f"metric {self.name}: better is {self.better!r}; use higher, lower or none")


class Task(Protocol):
    """How predictions on the test split are scored: the same code for every method on that data.

    `main` names the metric that rankings use. `score(bundle, predictions)` gets the arrays a method returned.
    `trivial(bundle)` gives the predictions of the trivial predictor, fitted on the training split. A task may also have
    `figures(bundle, predictions) -> {name: matplotlib figure}`, stored beside every row.
    """

    main: str

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]: ...

    def trivial(self, bundle: Bundle) -> dict[str, Any]: ...


class Classification:
    """Predictions are `y_score` (n, n_out): logits, log-probabilities or any score whose argmax is the class."""

    main = "accuracy"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        import numpy as np

        score, y = np.asarray(predictions["y_score"]), np.asarray(bundle.test.y)
        if score.shape != (len(y), bundle.n_out):
            raise ValueError(f"y_score has shape {score.shape}; the test split needs {(len(y), bundle.n_out)}")
        hit = score.argmax(1) == y
        recall = [hit[y == c].mean() for c in range(bundle.n_out) if (y == c).any()]
        top = score.max(1, keepdims=True)
        log_p = score - top - np.log(np.exp(score - top).sum(1, keepdims=True))
        metrics = [
            Metric("accuracy", float(hit.mean())),
            Metric("balanced_accuracy", float(np.mean(recall))),
            Metric("nll", float(-log_p[np.arange(len(y)), y].mean()), "lower", "nat"),
        ]
        if bundle.n_out == 2 and len(set(y.tolist())) == 2:
            from scipy.stats import rankdata  # ROC-AUC is the Mann-Whitney statistic of the score difference

            rank, pos = rankdata(score[:, 1] - score[:, 0]), int((y == 1).sum())
            auc = (rank[y == 1].sum() - pos * (pos + 1) / 2) / (pos * (len(y) - pos))
            metrics.append(Metric("roc_auc", float(auc)))
        return metrics

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """The confusion matrix: rows true classes, columns predicted ones, counts; row-normalised shading."""
        import numpy as np
        from matplotlib.figure import Figure

        if bundle.n_out > 40:  # no longer readable
            return {}
        guess, y = np.asarray(predictions["y_score"]).argmax(1), np.asarray(bundle.test.y)
        count = np.zeros((bundle.n_out, bundle.n_out), dtype=int)
        np.add.at(count, (y, guess), 1)
        names = [str(n) for n in bundle.meta.get("class_names") or range(bundle.n_out)]
        figure = Figure(figsize=(0.5 * bundle.n_out + 2, 0.5 * bundle.n_out + 1.5))
        axes = figure.add_subplot(xlabel="predicted", ylabel="true", title=f"{bundle.group}: {(guess == y).mean():.3f}")
        axes.imshow(count / np.maximum(count.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(bundle.n_out), names, rotation=90)
        axes.set_yticks(range(bundle.n_out), names)
        if bundle.n_out <= 12:
            for i, j in np.ndindex(*count.shape):
                axes.text(j, i, str(count[i, j]), ha="center", va="center", fontsize=8)
        return {"confusion": figure}

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """The class frequencies of the training split, for every test sample: the majority class."""
        import numpy as np

        count = np.bincount(np.asarray(bundle.train.y), minlength=bundle.n_out)
        p = np.maximum(count, 1e-12) / count.sum()
        return {"y_score": np.tile(np.log(p), (len(bundle.test), 1))}


@dataclass
class Bundle:
    """One fold of one data set, ready for a method.

    `kind` the sort of data; `train`, `val`, `test` Arrays or map-style datasets of (x, y) with a length (`val` may be
    None, and `test` where nothing is predicted: an objective to minimise); `n_out` number of classes or outputs;
    `shape` of one sample; `group` the unit of paired statistics this fold belongs to (a subject);
    `origin` real, simulated or synthetic_twin; `fingerprint` sha256 of the arrays in canonical order and of the split;
    `card` licence, source, citation, sha256 of each file, sizes; `meta` facts a method may use (sampling rate, channel names).
    """

    kind: str
    train: Any
    val: Any
    test: Any
    n_out: int
    shape: tuple[int, ...]
    group: str
    origin: str
    fingerprint: str
    task: Task = field(default_factory=Classification)
    card: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)


def fingerprint(*parts: Any) -> str:
    """sha256 over arrays (dtype, shape, bytes in C order) and plain values, in the order given."""
    import numpy as np

    digest = hashlib.sha256()
    for part in parts:
        if part is None or isinstance(part, (str, int, float)):
            digest.update(repr(part).encode())
            continue
        a = np.ascontiguousarray(part)
        digest.update(f"{a.dtype.str}{a.shape}".encode())
        digest.update(a.view(np.uint8).reshape(-1).data if a.size else b"")
    return digest.hexdigest()


# ------------------------------------------------------------------------------------------ methods


@dataclass
class Result:
    """What `run` returns. `predictions` are stored per sample and scored by the bundle's task (empty: nothing to score);
    `metrics` are the method's own numbers, beside the task's; `n_trials` how many
    configurations were tried on validation data; `transductive` when unlabelled test data were used; `validation` the one
    number, never from the test split, that a search over configurations may look at."""

    predictions: dict[str, Any] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    params: int | None = None
    epochs: int | None = None
    n_trials: int = 1
    transductive: bool = False
    validation: Metric | None = None


@runtime_checkable
class Method(Protocol):
    """A method is constructed with its config and has these two calls; a base class is not needed."""

    def skip(self, bundle: Bundle) -> str | None: ...

    def run(self, bundle: Bundle, ctx: Any) -> Result: ...


class SolverMethod:
    """Estimators, Gaussian processes, optimisers on an objective, exact identities: implement `fit` and `evaluate`.

    Only `fit(bundle, ctx)` is timed. `evaluate(bundle, ctx)` reads the test split, once, and returns a Result.
    """

    def __init__(self, cfg: Any) -> None:
        self.cfg = cfg

    def skip(self, bundle: Bundle) -> str | None:
        return None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        raise NotImplementedError

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        raise NotImplementedError

    def run(self, bundle: Bundle, ctx: Any) -> Result:
        with ctx.timed():
            self.fit(bundle, ctx)
        return self.evaluate(bundle, ctx)


class LightningMethod:
    """Networks: implement `build`; the frame trains it, resumes it from its last checkpoint and predicts the test split.

    The config is a `TrainConfig`. The module logs `val_loss` in `validation_step` (when the bundle has `val`), and its
    `predict_step(batch, batch_idx)` returns the scores of one batch (tensor), or a dict of tensors.

    `grouped`: batches of Arrays are (x, y, group), for methods that normalise each session or subject by itself.
    """

    grouped: ClassVar[bool] = False

    def __init__(self, cfg: Any) -> None:
        self.cfg = cfg

    def skip(self, bundle: Bundle) -> str | None:
        return None

    def batches(self, split: Any, generator: Any) -> list[list[int]] | None:
        """The indices of each training batch of one epoch, drawn with that epoch's torch.Generator, as many every epoch.

        None: all samples in random order, cut by cfg.batch.
        """
        return None

    def adapt(self, module: Any, bundle: Bundle) -> bool:
        """Called once, between training and prediction; True when it used unlabelled test data (the row says transductive)."""
        return False

    def build(self, bundle: Bundle, cfg: Any) -> Any:
        raise NotImplementedError

    def run(self, bundle: Bundle, ctx: Any) -> Result:
        from bench.train import train

        return train(self, bundle, ctx)


def load_object(path: str) -> Any:
    """The object behind "package.module:name"; only ever called with strings written in Python, never from a config."""
    import importlib

    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def describe(config: type) -> list[tuple[str, Any, str]]:
    """(field, default, help) of a config dataclass, without the fields every config has."""
    common = {f.name for f in dataclasses.fields(Choice)}
    rows = []
    for f in dataclasses.fields(config):
        if f.name not in common:
            default = f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default
            rows.append((f.name, default, f.metadata.get("help", "")))
    return rows
