"""Choices of the generator of equiangular basis vectors, as a method of its own; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Generates unit vectors with small coherence: which coherence is reached, in how many steps."""

    official_parity: bool = option(False, "the recursion of the released code; false: Adam on the squared excess")
    steps: int | None = option(None, "at most so many steps; null: 4000", low=1)
    lr: float = option(1e-3, "step size of the released recursion", low=0.0)
    basis_seed: int = option(42, "of the start", low=0)

    plugin: ClassVar[str] = "models.ebv.plugin:BasisStudy"
    accepts: ClassVar[tuple[str, ...]] = ("sphere_code",)
    margin: ClassVar[None] = None  # a coherence has no trivial predictor
