"""Choices of the regression objectives; imports nothing heavy."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.schema import BenchError, DataConfig, File, option

FOLDER = "libsvm"
A9A = (
    File(f"{FOLDER}/a9a.txt", "f5d5ffd8d865ff41328e7ee043e4b020816914ff6843ff15b98905ddbedce906", 2329875),
    File(f"{FOLDER}/a9a.t", "1f7bae8e9729ad2bf9d18f66e5fa622e503e615114f92c37b274dfd24f2e5725", 1164633),
)
SHAPES = {  # samples, features, classes: what the stand-in imitates
    "breast_cancer": (569, 30, 2),
    "wine": (178, 13, 3),
    "iris": (150, 4, 3),
    "digits": (1797, 64, 10),
    "a9a": (4000, 123, 2),
    "file": (500, 20, 2),
}


@dataclass
class Config(DataConfig):
    """Mean negative log-likelihood of logistic (two classes) or softmax regression, without intercept unless `bias`."""

    set: str = option("breast_cancer", "the table", choices=tuple(SHAPES))
    file: str = option("", "path of a LIBSVM file of your own (data.set=file)")
    features: int | None = option(None, "columns of that file; null: the largest index that occurs", low=1)
    standardise: bool = option(
        True, "centre every column and divide it by its standard deviation on the training split"
    )
    bias: bool = option(True, "append a column of ones")
    ridge: float = option(0.0, "weight of ||x||^2 / 2", low=0.0)
    samples: int | None = option(None, "keep only the first samples of the training split", low=2)
    shares: list[float] = option(
        list,
        "shares of training, validation and test samples, stratified; none: all samples train (a9a has its own test file)",
    )
    splits: list[int] = option(lambda: [0], "seeds of the division into shares, one fold each")

    adapter: ClassVar[str] = "datasets.objectives.classification.adapter:load"
    kind: ClassVar[str] = "objective"
    licence: ClassVar[str] = (
        "breast_cancer, wine, iris, digits: CC BY 4.0 (UCI); a9a: no licence file, research use only"
    )
    citation: ClassVar[str] = (
        "chang2011libsvm: Chang, Lin, LIBSVM: a library for support vector machines, ACM TIST 2011; UCI Machine Learning Repository"
    )

    @property
    def labels(self) -> tuple[int, ...]:
        """Labels, where they are -1 and +1."""
        return (-1, 1) if SHAPES[self.set][2] == 2 else ()

    def folds(self) -> list[str]:
        return [f"split{s}" for s in self.splits]

    def files(self) -> tuple[File, ...]:
        return A9A if self.set == "a9a" else ()

    def path(self) -> Path:
        return Path(self.file).expanduser()

    def present(self, root: Path, cache: Path) -> bool:
        if self.set == "file":
            return self.path().is_file()
        return super().present(root, cache) if self.set == "a9a" else True

    def where(self, root: Path, cache: Path) -> str:
        if self.set == "file":
            return str(self.path())
        return super().where(root, cache) if self.set == "a9a" else "scikit-learn"

    def declared(self) -> str:
        """For a file of one's own a digest of what it holds now, so that an edited file is another cell."""
        if self.set == "file" and self.path().is_file():
            return _digest(self.path(), self.path().stat().st_mtime_ns)
        return super().declared()

    def check(self) -> None:
        if (self.set == "file") != bool(self.file):
            raise BenchError(f"data.set={self.set} and data.file={self.file!r}: a file goes with data.set=file")
        if self.shares and (
            len(self.shares) != 3 or min(self.shares) < 0 or self.shares[0] <= 0 or abs(sum(self.shares) - 1) > 1e-9
        ):
            raise BenchError(f"data.shares={self.shares}: give three shares that add up to 1, the first above 0")
        if self.shares and self.set == "a9a":
            raise BenchError("data.shares: a9a has its own test file; drop the word")
        if len(self.splits) > 1 and not self.shares:
            raise BenchError("data.splits: without data.shares every split is the same; give shares")


@functools.cache
def _digest(path: Path, mtime_ns: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
