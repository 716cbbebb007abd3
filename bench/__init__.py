"""Holonomy: run geometric machine-learning methods side by side and hold them against their papers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.model import Model

__version__ = "0.1.0"
ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"


def add_root() -> None:
    """Make conf's neighbours (`models`, `datasets`) importable, first on the path so that ours win over namesakes.

    `python bench/run.py` puts bench/ itself on the path; it is taken off, or `import report` would mean bench.report.
    """
    here = str(ROOT / "bench")
    sys.path[:] = [str(ROOT)] + [p for p in sys.path if p not in (here, str(ROOT))]


def load(key: str, out: Any = None, root: Any = None, cache: Any = None) -> Model:
    """The fitted model of a finished cell: `bench.load("6581bdee65a3c37b").predict(x)`. See `bench.model.load`."""
    from bench.model import load

    return load(key, out, root, cache)
