"""Choices of the real separable sets; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.schema import BenchError, DataConfig, File, option

MNIST = File("mnist/mnist.npz", "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64", 11490519)


@dataclass
class Config(DataConfig):
    """Two classes of one set, one fold per pair; a column of ones stands for the intercept. The first class of a pair is +1."""

    set: str = option(
        "digits",
        "digits: 8 x 8, of scikit-learn; mnist: 28 x 28; breast_cancer: 30 standardised features",
        choices=("digits", "mnist", "breast_cancer"),
    )
    pairs: list[str] = option(lambda: ["1v8", "3v5", "8v9", "3v9"], "pairs of classes, one fold each")
    first: int | None = option(None, "keep only this many samples of the first class (imbalance); null: all", low=1)
    samples: int | None = option(None, "keep the first samples of each class, this many in all; null: all", low=2)

    adapter: ClassVar[str] = "datasets.objectives.separable_sets.adapter:load"
    kind: ClassVar[str] = "objective"
    licence: ClassVar[str] = "digits, breast_cancer: CC BY 4.0 (UCI); MNIST: MIT for the source repositories"
    citation: ClassVar[str] = "UCI Machine Learning Repository; LeCun, Cortes, Burges, The MNIST database"
    labels: ClassVar[tuple[int, ...]] = (-1, 1)

    def folds(self) -> list[str]:
        return ["1v0"] if self.set == "breast_cancer" else list(self.pairs)

    def files(self) -> tuple[File, ...]:
        return (MNIST,) if self.set == "mnist" else ()

    def present(self, root: Path, cache: Path) -> bool:
        return super().present(root, cache) if self.set == "mnist" else True

    def where(self, root: Path, cache: Path) -> str:
        return super().where(root, cache) if self.set == "mnist" else "scikit-learn"

    def check(self) -> None:
        for pair in self.pairs:
            a, v, b = pair.partition("v")
            if not (v and a.isdecimal() and b.isdecimal() and a != b and int(a) < 10 and int(b) < 10):
                raise BenchError(f"data.pairs: {pair!r} is no pair; write two different classes as 3v5")
