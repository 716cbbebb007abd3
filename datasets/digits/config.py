"""Facts and choices of the digit images; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.schema import BenchError, DataConfig, File, option

MNIST = File(
    "mnist/mnist.npz", "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64", 11490519
)  # arrays x_train, y_train, x_test, y_test in the original order
LICENCES = {
    "digits": "CC BY 4.0 (UCI Optical Recognition of Handwritten Digits), as shipped with scikit-learn",
    "mnist": "no licence text of MNIST's authors is known; the file was made from two repositories under MIT",
}
CITATIONS = {
    "digits": "alpaydin1998digits: Alpaydin, Kaynak, Optical Recognition of Handwritten Digits, UCI repository 1998",
    "mnist": "lecun1998mnist: LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition, 1998",
}


@dataclass
class Config(DataConfig):
    """Digit images with values in [0, 1]; each fold is a random split (digits) or random subsets of the two parts (mnist)."""

    dataset: str = option(
        "digits", "digits: 1,797 of 8 x 8, from scikit-learn; mnist: 28 x 28", choices=("digits", "mnist")
    )
    n_train: int | None = option(None, "training images; null: all of them", low=10)
    n_test: int | None = option(None, "test images; null: all of them (digits: one fifth of the set)", low=10)
    splits: int = option(10, "number of folds", low=1)

    adapter: ClassVar[str] = "datasets.digits.adapter:load"
    kind: ClassVar[str] = "image"
    licence: ClassVar[str] = "; ".join(f"{k}: {v}" for k, v in LICENCES.items())
    citation: ClassVar[str] = "; ".join(CITATIONS.values())

    def folds(self) -> list[str]:
        return [f"split{i}" for i in range(self.splits)]

    def files(self) -> tuple[File, ...]:
        return (MNIST,) if self.dataset == "mnist" else ()

    def present(self, root: Path, cache: Path) -> bool:
        return self.dataset == "digits" or super().present(root, cache)

    def where(self, root: Path, cache: Path) -> str:
        return "scikit-learn" if self.dataset == "digits" else super().where(root, cache)

    def check(self) -> None:
        total = {"digits": (1437, 360), "mnist": (60000, 10000)}[self.dataset]
        for name, given, most in zip(("n_train", "n_test"), (self.n_train, self.n_test), total, strict=True):
            if given is not None and given > most:
                raise BenchError(f"data.{name}={given} is more than {self.dataset} has; give at most {most}")
