"""What the skeleton data sets have in common; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import DataConfig, option
from datasets.spd.twin_config import TwinConfig

NO_LICENCE = (
    "the source repository has no licence file and the terms of the original data set apply; "
    "research use only, not to be passed on"
)


@dataclass
class SkeletonConfig(DataConfig):
    """Covariances of joint coordinates over a sequence, one labelled SPD matrix each.

    Class attributes: `n` matrix size, `classes`, `sizes` of the published training and test halves, `shift` added to the
    file's labels so that they start at 0.
    """

    scale: str = option(
        "trace",
        "trace: each matrix is divided by its trace (the paper's recipe for NTU60); none",
        choices=("trace", "none"),
    )
    eps: float = option(1e-6, "added to the diagonal, after scaling", low=0.0)
    val_share: float = option(0.15, "of the training half, drawn with the classes in proportion", low=0.0, high=0.5)
    resplits: int = option(
        7, "folds beside the published split: random halves with the classes in proportion (the HDM05 protocol)", low=0
    )
    twin: TwinConfig = option(TwinConfig, "the simulation that stands in")

    stand_in: ClassVar[tuple[str, ...]] = ("twin",)
    adapter: ClassVar[str] = "datasets.spd.skeleton:load"
    kind: ClassVar[str] = "spd_trials"
    licence: ClassVar[str] = NO_LICENCE
    n: ClassVar[int] = 0
    classes: ClassVar[int] = 0
    sizes: ClassVar[tuple[int, int]] = (0, 0)
    shift: ClassVar[int] = 0

    def folds(self) -> list[str]:
        return ["standard", *(f"half{i}" for i in range(1, self.resplits + 1))]
