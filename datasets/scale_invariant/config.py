"""Choices of the scale-invariant toy objective; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import DataConfig, option


@dataclass
class Config(DataConfig):
    """Minimise f(w) = -<w / ||w||, (0, 1)>, w in the plane, from (cos a, sin a); one fold per angle a."""

    angles: list[float] = option(
        lambda: [-82.0, -81.0, -83.0, -84.0, -85.0, -86.0, -87.0, -88.0],
        "directions of the starts (degrees), one fold each; the minimum is at 90",
    )

    adapter: ClassVar[str] = "datasets.scale_invariant.adapter:load"
    kind: ClassVar[str] = "scale_invariant_objective"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by formula"

    def folds(self) -> list[str]:
        return [f"{a:g}deg" for a in self.angles]
