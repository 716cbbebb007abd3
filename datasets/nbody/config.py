"""Choices of the charged-particle data; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, option

STREAM = {"train": 10_000, "val": 2_000, "test": 2_000}  # simulations drawn one after another from one random stream


@dataclass
class Config(DataConfig):
    """Five charged particles: positions 1,000 steps ahead from positions and velocities; fold i is the i-th disjoint slice."""

    train: int | None = option(None, "training simulations of a fold (the stream has 10,000)", low=2)
    val: int | None = option(None, "validation simulations of a fold (the stream has 2,000)", low=2)
    test: int | None = option(None, "test simulations of a fold (the stream has 2,000)", low=2)
    splits: int | None = option(None, "folds: disjoint slices of the stream's three parts", low=1)
    seed: int = option(43, "of the random stream; 43 is the published one", low=0)

    adapter: ClassVar[str] = "datasets.nbody.adapter:load"
    kind: ClassVar[str] = "nbody"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by simulation"
    citation: ClassVar[str] = (
        "satorras2021egnn: Satorras, Hoogeboom, Welling, E(n) Equivariant Graph Neural Networks, ICML 2021, arXiv 2102.09844; "
        "simulator after Kipf et al., Neural Relational Inference, ICML 2018"
    )

    def check(self) -> None:
        for part, size in STREAM.items():
            count = getattr(self, part)
            if count and count * (self.splits or 1) > size:
                raise BenchError(
                    f"data.{part}={count} times data.splits={self.splits} is more than the {size} simulations of the "
                    f"stream's {part} part; lower one of them"
                )

    def folds(self) -> list[str]:
        return [str(i) for i in range(self.splits or 1)]
