"""Choices of the full-batch linear classifiers; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import DataConfig, MethodConfig, option

ALGORITHMS = ("lr_gd", "norm_lr_gd", "batch_perceptron", "norm_batch_perceptron", "perceptron")


@dataclass
class Config(MethodConfig):
    """A linear classifier from theta = 0 until every training sample is strictly on its side."""

    algorithm: str = option("norm_lr_gd", "update rule", choices=ALGORITHMS)
    gamma: float = option(1.0, "step size (lr_gd, norm_lr_gd; the perceptrons have none)", low=1e-12)
    max_iter: int | None = option(None, "updates at most", low=1)
    bounds: bool = option(
        True, "find the margin mu (and refuse data that are not separable) and draw the theory's bound"
    )

    plugin: ClassVar[str] = "models.lr_perceptron.plugin:LinearClassifier"
    accepts: ClassVar[tuple[str, ...]] = ("objective",)
    margin: ClassVar[float] = 0.0

    def fits(self, data: DataConfig) -> str | None:
        if data.kind in self.accepts and tuple(getattr(data, "labels", ())) != (-1, 1):
            return f"{self.name} needs samples with labels -1 and +1, and {data.name} has none"
        return super().fits(data)
