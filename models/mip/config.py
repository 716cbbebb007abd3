"""Choices of the hypernetwork study; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option


@dataclass
class Config(MethodConfig):
    """A classifier whose weights are predicted from the noise level gamma ~ U(0, 1) of its input x + gamma N(0, I)."""

    encoding: str = option(
        "cos_sin", "of gamma: cos_sin is MIP's; none is the standard one", choices=("cos_sin", "complement", "none")
    )
    independent: bool = option(True, "theta_0 starts as weights of its own (MIP), or at zero (standard)")
    conditioned: bool = option(True, "false: one set of weights theta_0 for all gamma, no hypernetwork")
    hidden: list[int] = option(lambda: [16, 128], "hidden widths of the hypernetwork")
    activation: str = option(
        "leaky_relu", "of the hypernetwork", choices=("leaky_relu", "relu", "gelu", "tanh", "silu")
    )
    norm: str = option(
        "none", "normalisation of its hidden layers; batch needs gamma_per=sample", choices=("none", "layer", "batch")
    )
    start: str = option(
        "fan_out",
        "initialisation of its last layer: per tensor by fan-out, as one, or hyperfan-in",
        choices=("fan_out", "joint", "hyperfan_in"),
    )
    primary: str = option("mlp", "the network whose weights are predicted", choices=("mlp", "conv"))
    widths: list[int] | None = option(
        None, "its hidden widths or channels; null: 64, 64, 64 (mlp) or 16, 32, 64, 64 (conv)"
    )
    optimiser: str = option("adam", "adam, or sgd with Nesterov momentum 0.9", choices=("adam", "sgd"))
    lr: float = option(1e-3, "step size", low=0.0)
    batch: int = option(32, "images per step", low=1)
    gamma_per: str = option("batch", "one gamma for each batch, or for each sample of it", choices=("batch", "sample"))
    epochs: int | None = option(None, "passes over the training split", low=1)
    report: list[int] | None = option(None, "epochs after which the test accuracy is a metric of its own")
    target: float = option(0.6, "accuracy whose first epoch counts as time to converge", low=0.0, high=1.0)
    grid: list[float] = option(lambda: [0.0, 0.25, 0.5, 0.75, 1.0], "gammas of the test, with one noise for all")

    plugin: ClassVar[str] = "models.mip.plugin:Mip"
    accepts: ClassVar[tuple[str, ...]] = ("image",)
    margin: ClassVar[float] = 0.1

    def check(self) -> None:
        if self.norm == "batch" and self.gamma_per == "batch":
            raise BenchError("method.norm=batch has one gamma per batch and no statistics; set method.gamma_per=sample")
        if self.epochs is not None and any(not 1 <= e <= self.epochs for e in self.report or []):
            raise BenchError(f"method.report={self.report} has epochs that are not run; keep to 1..{self.epochs}")
        if not self.grid or any(not 0 <= g <= 1 for g in self.grid):
            raise BenchError(f"method.grid={self.grid} must hold noise levels between 0 and 1")
