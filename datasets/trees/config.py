"""Choices of the trees; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, option

MOST = 2000  # nodes; all their distances are kept


@dataclass
class Config(DataConfig):
    """Complete trees with unit edges: path lengths between all nodes; one fold for each tree."""

    trees: list[str] = option(lambda: ["3x3"], "the trees as branching x depth, one fold each")

    adapter: ClassVar[str] = "datasets.trees.adapter:load"
    kind: ClassVar[str] = "metric_space"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by code"

    def folds(self) -> list[str]:
        return list(self.trees)

    def check(self) -> None:
        for text in self.trees:
            parse(text)


def parse(text: str) -> tuple[int, int]:
    """(branching, depth) of bxd."""
    parts = text.split("x")
    b, depth = (int(p) for p in parts) if len(parts) == 2 and all(p.isdigit() for p in parts) else (0, 0)
    if b < 1 or depth < 1 or sum(b**k for k in range(min(depth, 12) + 1)) > MOST:
        raise BenchError(f"data.trees has {text!r}; write branching x depth with at most {MOST} nodes, e.g. 3x3")
    return b, depth
