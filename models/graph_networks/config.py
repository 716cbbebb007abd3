"""Choices of the graph classifiers; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import DataConfig, TrainConfig, option


@dataclass
class Config(TrainConfig):
    """GIN, GIN with vertex positions, or a perceptron on the adjacency; bare, or averaged over frame or group."""

    network: str = option("gin_id", "network on a numbered graph", choices=("gin", "gin_id", "mlp"))
    average: str = option("frame", "none, over the frame, or over all permutations", choices=("none", "frame", "group"))
    samples: int = option(1, "elements drawn per graph and training step", low=1)
    votes: int = option(4, "elements drawn per graph in evaluation", low=1)
    width: int = option(64, "of the layers of GIN", low=1)
    hidden: list[int] | None = option(None, "widths of the perceptron")
    official_parity: bool = option(False, "frames as in the released code: float32, exact equality, two decimals")
    batch: int = option(100, "graphs per optimiser step, over all devices together", low=1)
    lr: float = option(1e-3, "step size of Adam", low=0.0)

    plugin: ClassVar[str] = "models.graph_networks.plugin:GraphNetwork"
    accepts: ClassVar[tuple[str, ...]] = ("graphs",)
    margin: ClassVar[float] = 0.0

    def parts(self) -> tuple[str, ...]:
        return ("frame_averaging",)

    def fits(self, data: DataConfig) -> str | None:
        if getattr(data, "graphs", "exp") != "exp":
            return f"{self.name} classifies, and {getattr(data, 'name', 'the data')} has no labels; use data=exp"
        return super().fits(data)
