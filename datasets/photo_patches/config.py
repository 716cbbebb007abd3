"""Facts and choices of the photograph patches; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.schema import BenchError, DataConfig, option

HEIGHT = 427  # pixels of both photographs; the width is 640


@dataclass
class Config(DataConfig):
    """Square grey patches with values in [0, 1] of the two photographs of scikit-learn: training ones of the left half, test ones of the
    right; one fold per draw of their places."""

    side: int = option(16, "pixels along a side", low=2)
    n_train: int | None = option(None, "training patches", low=1)
    n_test: int | None = option(None, "test patches", low=1)
    grid: list[float] = option(lambda: [0.0, 0.25, 0.5, 0.75, 1.0], "weights gamma of smoothness that are scored")
    draws: int = option(8, "number of folds", low=1)

    adapter: ClassVar[str] = "datasets.photo_patches.adapter:load"
    kind: ClassVar[str] = "patches"
    licence: ClassVar[str] = (
        "CC BY 2.0: flickr users danielbuechele (china.jpg) and vultilion (flower.jpg), as shipped with scikit-learn"
    )
    citation: ClassVar[str] = (
        "pedregosa2011sklearn: Pedregosa et al., Scikit-learn: Machine Learning in Python, JMLR 2011"
    )

    def folds(self) -> list[str]:
        return [f"draw{i}" for i in range(self.draws)]

    def present(self, root: Path, cache: Path) -> bool:
        return True

    def where(self, root: Path, cache: Path) -> str:
        return "scikit-learn"

    def check(self) -> None:
        if self.side > HEIGHT // 2:
            raise BenchError(
                f"data.side={self.side} is too large for photographs of {HEIGHT} rows; give at most {HEIGHT // 2}"
            )
        if not self.grid or any(not 0 <= g <= 1 for g in self.grid) or not any(0 < g < 1 for g in self.grid):
            raise BenchError(f"data.grid={self.grid} must hold weights of [0, 1], at least one of them inside")
