"""What the frame gives a running method: random numbers, a device, a log, a checkpoint, a deadline - and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import provenance, stopping, store
from bench.plan import Cell


class DeadlineReached(Exception):
    """The walltime is used up or a signal asked to stop; the checkpoint is on disk and the same command goes on from it."""


WEIGHTS, WEIGHTS_MB = "weights.pt", 16.0  # beside the row, for bench.load; larger networks are trained again there


class Checkpoint:
    """The one checkpoint of a cell: `save` replaces it whole, `load` gives None when there is none. Tensors and plain values.

    It is stamped with the fingerprint of the code: one that other code wrote, or that cannot be read, is set aside with a
    word and the cell starts over, so that a row's code is the code of all its steps.
    """

    def __init__(self, folder: Path, stamp: str) -> None:
        self.path, self.stamp = folder / "last.ckpt", stamp

    def save(self, state: dict[str, Any]) -> None:
        import torch

        temporary = self.path.with_suffix(f".{os.getpid()}.part")
        torch.save({"stamp": self.stamp, "state": state}, temporary)
        self.adopt(temporary)

    def adopt(self, temporary: Path) -> None:
        """Make a file written elsewhere in the same folder the checkpoint, durably and at once."""
        with open(temporary, "rb") as f:
            os.fsync(f.fileno())
        os.replace(temporary, self.path)

    def load(self) -> dict[str, Any] | None:
        content = self._read()
        return None if content is None else content["state"]

    def usable(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return self._read() is not None

    def _read(self) -> dict[str, Any] | None:
        import torch

        if not self.path.exists():
            return None
        why = "was written by other code"
        try:
            # weights_only: a checkpoint is data, and nothing in it may run
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            if isinstance(content, dict) and content.get("stamp") == self.stamp:
                return content
        except Exception as error:
            why = f"cannot be read ({type(error).__name__})"
        print(f"the checkpoint in {self.path} {why}; it is set aside and the cell starts over", flush=True)
        os.replace(self.path, self.path.with_suffix(".unusable"))
        return None


class Context:
    """Handed to `Method.run`.

    Random streams depend on data set, fold, seed and purpose, not on the method: methods compared on one cell get the same
    shuffles and, where shapes agree, the same initial weights, so that differences are paired.
    """

    def __init__(self, cell: Cell, loggers: list[Any]) -> None:
        self.cell = cell
        self.device = device(cell.settings["trainer"])
        self.checkpoint = Checkpoint(cell.folder, provenance.code_fp(cell.method, cell.data))
        limit = cell.settings["deadline"]
        self.deadline = None if limit is None else stopping.START + float(limit)
        self.timed_s: float | None = None
        self.curves: dict[str, list[tuple[int, float]]] = {}
        self.figures: list[str] = []
        self._loggers = loggers

    def seed(self, purpose: str) -> int:
        """A 63-bit seed of its own for each purpose ("init", "shuffle", ...) of this cell."""
        c = self.cell
        text = json.dumps([c.data.name, c.fold, c.seed, purpose])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def rng(self, purpose: str) -> Any:
        """A numpy Generator for one purpose; the same purpose gives the same stream again."""
        import numpy as np

        return np.random.default_rng(self.seed(purpose))

    def log(self, step: int, **values: float) -> None:
        """Record values at a step: stored as curves beside the row and passed to the loggers."""
        for name, value in values.items():
            self.curves.setdefault(name, []).append((int(step), float(value)))
        for logger in self._loggers:
            logger.log(step, {k: float(v) for k, v in values.items()})

    def save_figure(self, name: str, figure: Any) -> None:
        """Store a matplotlib figure as figures/<name>.png beside the row (under 200 KB at 110 dpi)."""
        folder = self.cell.folder / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / f"{name}.png", dpi=110, bbox_inches="tight", metadata={"Software": None})
        self.figures.append(f"figures/{name}.png")

    def keep_weights(self, weights: dict[str, Any]) -> None:
        """Store the weights that are tested beside the row, where they are small: tensors and plain values only."""
        import io

        import torch

        buffer = io.BytesIO()
        torch.save({k: v.detach().cpu() for k, v in weights.items()}, buffer)
        if buffer.tell() <= WEIGHTS_MB * 1e6:
            store.write_atomic(self.cell.folder / WEIGHTS, buffer.getvalue())

    @contextmanager
    def timed(self) -> Iterator[None]:
        """The timed region: what the method itself costs, without loading, evaluation and storing. May be entered again."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timed_s = (self.timed_s or 0.0) + time.perf_counter() - start

    def check_deadline(self) -> None:
        """Raise DeadlineReached once the walltime is used up or a scheduler's signal came; call it after `checkpoint.save`."""
        if self.late():
            raise DeadlineReached

    def late(self) -> bool:
        """Whether the cell should end at its next clean place."""
        return stopping.asked() or (self.deadline is not None and time.monotonic() > self.deadline)


def device(trainer: dict[str, Any]) -> str:
    """cpu or cuda, by the trainer; accelerator=gpu without one is an error said at the start by `bench doctor` and the run."""
    if trainer["accelerator"] == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if trainer["accelerator"] == "gpu":
        from bench.schema import BenchError

        raise BenchError("trainer=gpu: torch sees no GPU on this machine; use trainer=cpu, or see `bench doctor`")
    return "cpu"


def seed_all(seed: int) -> None:
    """Seed every global generator: torch on all devices, numpy, random. Plugins' libraries draw from them."""
    import random

    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
