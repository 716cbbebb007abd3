"""Choices of the particle networks; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, TrainConfig, option


@dataclass
class Config(TrainConfig):
    """Message passing on five particles: plain, E(n)-equivariant by construction, or by averaging over frames."""

    network: str = option("gnn", "gnn: no symmetry; egnn: equivariant layers", choices=("gnn", "egnn"))
    frames: str = option(
        "none",
        "none; layers: a new frame after every round (FA-GNN); input: one frame around the whole network",
        choices=("none", "layers", "input"),
    )
    group: str = option("E(3)", "of the frames", choices=("E(3)", "SE(3)"))
    width: int = option(60, "features of a particle; a multiple of 3 for frames=layers", low=3)
    layers: int | None = option(None, "rounds of messages", low=1)
    batch: int | None = option(None, "samples per optimiser step, over all devices together", low=1)
    lr: float | None = option(None, "step size of Adam", low=0.0)
    weight_decay: float = option(1e-12, "of Adam", low=0.0)
    augment: bool = option(False, "turn and move every training sample at random")
    meter: int = option(16, "test samples on which the equivariance error is measured, in float64", low=1)

    plugin: ClassVar[str] = "models.nbody_networks.plugin:NBodyNetwork"
    accepts: ClassVar[tuple[str, ...]] = ("nbody",)
    margin: ClassVar[float] = 0.0

    def parts(self) -> tuple[str, ...]:
        return ("frame_averaging",)

    def check(self) -> None:
        if self.frames == "layers" and self.network != "gnn":
            raise BenchError("method.frames=layers is FA-GNN and needs method.network=gnn; use frames=input for egnn")
        if self.frames == "layers" and self.width % 3:
            raise BenchError(f"method.width={self.width} cannot be read as vectors in space; take a multiple of 3")
