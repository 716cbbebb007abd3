"""What is no part of a cell's key: folders, placement, logger, deadline. Checked before anything heavy is imported."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from bench import ROOT
from bench.registry import did_you_mean
from bench.schema import BenchError

LOGGERS = ("csv", "tensorboard", "wandb")


def folders(cfg: dict[str, Any]) -> tuple[Path, Path, Path]:
    """(out, root, cache), absolute: the value, else the environment (BENCH_DATA, BENCH_CACHE), else the default."""
    cache = Path(cfg.get("cache") or os.environ.get("BENCH_CACHE") or Path.home() / ".cache" / "holonomy")
    cache = cache.expanduser().absolute()
    root = Path(cfg.get("root") or os.environ.get("BENCH_DATA") or cache / "data").expanduser().absolute()
    return Path(cfg.get("out") or ROOT / "results").expanduser().absolute(), root, cache


def settings(cfg: dict[str, Any]) -> dict[str, Any]:
    """The settings of a composed run. Raises BenchError naming the word that is wrong."""
    out, root, cache = folders(cfg)
    reuse, deadline, trainer, logger = cfg["reuse"], cfg["deadline"], cfg["trainer"], cfg["logger"]
    if reuse not in ("any", "fresh"):
        raise BenchError(
            f"reuse={reuse} is unknown; use any (keep finished cells) or fresh (rerun those whose code changed)"
        )
    if deadline is not None and not _number(deadline, 0):
        raise BenchError(f"deadline={deadline} must be a number of seconds, 0 or more, or null")
    if trainer["accelerator"] not in ("cpu", "gpu", "auto"):
        raise BenchError(f"trainer.accelerator={trainer['accelerator']} is unknown; use cpu, gpu or auto")
    if trainer["strategy"] not in ("auto", "ddp"):
        raise BenchError(f"trainer.strategy={trainer['strategy']} is unknown; use auto or ddp")
    for name in ("threads", "devices"):
        if trainer[name] is not None and (
            isinstance(trainer[name], bool) or not isinstance(trainer[name], int) or trainer[name] < 1
        ):
            raise BenchError(f"trainer.{name}={trainer[name]} must be a whole number from 1 on")
    if not _number(trainer["checkpoint_every_s"], 0):
        raise BenchError(
            f"trainer.checkpoint_every_s={trainer['checkpoint_every_s']} must be a number of seconds, 0 or more"
        )
    if trainer["deterministic"] not in (True, False, "warn"):
        raise BenchError(f"trainer.deterministic={trainer['deterministic']} is unknown; use true, false or warn")
    if logger["kind"] not in LOGGERS:
        raise BenchError(f"logger.kind={logger['kind']} is unknown{did_you_mean(logger['kind'], LOGGERS)}")
    return {
        "out": str(out),
        "root": str(root),
        "cache": str(cache),
        "reuse": reuse,
        "deadline": deadline,
        "trainer": trainer,
        "logger": logger,
    }


def _number(value: Any, low: float) -> bool:
    return not isinstance(value, bool) and isinstance(value, (int, float)) and math.isfinite(value) and value >= low
