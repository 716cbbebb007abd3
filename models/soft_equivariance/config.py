"""Choices of soft equivariance; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option


@dataclass
class Config(MethodConfig):
    """A network on tensor features whose weights are drawn towards, held in, or left free of, the equivariant ones of candidate groups."""

    constraint: str = option(
        "penalty",
        "penalty: PER; none: the same network without; hard: EMLP; rpp: residual pathway priors; mlp: plain perceptron",
        choices=("penalty", "none", "hard", "rpp", "mlp"),
    )
    group: str | None = option(
        None,
        "hard and rpp: the group; null is the data's largest",
        choices=("o3", "so3", "o2xy", "o2yz", "o2xz", "scaling", "so3_scaling"),
    )
    hidden: list[int] | None = option(None, "scalars, vectors and 3 x 3 tensors of the hidden layers")
    bilinear: str = option(
        "emlp", "emlp: tensors of x act on x; outer: and v w^T; none", choices=("emlp", "outer", "none")
    )
    start: float = option(
        0.0, "share of the largest group's projection in the initial weights, s P W + (1 - s) W", low=0.0, high=1.0
    )
    init_equiv: float | None = option(None, "strength that all but the largest group start with", low=0.0)
    adjust_at: int | None = option(None, "epoch of the one adjustment of strengths; null: a quarter of all", low=1)
    window: int = option(100, "epochs before it in which residuals are recorded", low=1)
    skip_calls: int | None = option(None, "first steps of that window that are ignored; null: 50", low=0)
    power: float = option(2.0, "exponent of the adjustment; 0 leaves all strengths equal", low=0.0)
    epochs: int | None = option(None, "passes over the training split", low=1)
    batch: int | None = option(None, "samples per step", low=1)
    lr: float = option(1e-3, "step size of Adam, falling to 0 as a cosine", low=0.0)
    weight_decay: float = option(2e-4, "of linear weights and biases, as half squares", low=0.0)
    gated_decay: float = option(1.0, "of the swish path, as squares", low=0.0)
    rpp_equiv: float = option(1e-5, "rpp: prior of the projected weights", low=0.0)
    rpp_basic: float = option(1.0, "rpp: prior of the free ones", low=0.0)
    meter: int = option(200, "test samples for the equivariance error; 0 leaves it out", low=0)

    plugin: ClassVar[str] = "models.soft_equivariance.plugin:SoftEquivariance"
    accepts: ClassVar[tuple[str, ...]] = ("tensor_regression", "trajectories")
    # a network held in too large a group is worse than the mean target, by theorem; the tests say what the others must beat
    margin: ClassVar[None] = None

    def adjustment(self) -> int:
        """Epoch of the adjustment; models are selected after twice as many."""
        assert self.epochs is not None
        return self.adjust_at or max(1, self.epochs // 4)

    def check(self) -> None:
        if self.hidden is not None and (len(self.hidden) != 3 or min(self.hidden) < 1):
            raise BenchError(
                f"method.hidden={self.hidden} must give three positive numbers: scalars, vectors, 3 x 3 tensors"
            )
        if self.group is not None and self.constraint not in ("hard", "rpp"):
            raise BenchError(f"method.group holds for constraint hard and rpp, not {self.constraint}; leave it out")
        if self.epochs is not None and 2 * self.adjustment() > self.epochs:
            raise BenchError(
                f"method.adjust_at={self.adjust_at} leaves no epoch to select from: models count after twice as many, of {self.epochs}"
            )
