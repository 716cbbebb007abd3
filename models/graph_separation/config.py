"""Choices of the separation test; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Count pairs of graphs that no random initialisation of a network separates, or that colour refinement (1-WL) cannot."""

    network: str = option(
        "gin",
        "wl: exact 1-WL; gin: tanh GIN; gin_id: GIN with vertex positions; mlp: perceptron on the adjacency",
        choices=("wl", "gin", "gin_id", "mlp"),
    )
    average: str = option("none", "none, over the frame, or over all permutations", choices=("none", "frame", "group"))
    samples: int = option(0, "elements drawn per graph; 0: all of them, exact", low=0)
    inits: int = option(20, "random initialisations; a pair counts when none separates it", low=1)
    threshold: float = option(1e-3, "L1 distance of embeddings above which a pair is separated", low=0.0)
    width: int = option(64, "of the layers of GIN", low=1)
    precision: str = option("32", "floating-point numbers of the networks", choices=("32", "64"))
    official_parity: bool = option(False, "frames as in the released code: float32, exact equality, two decimals")
    relabel: int = option(100, "graphs whose relabelled copies are compared", low=2)

    plugin: ClassVar[str] = "models.graph_separation.plugin:GraphSeparation"
    accepts: ClassVar[tuple[str, ...]] = ("graphs",)
    margin: ClassVar[None] = None  # pairs have no trivial predictor

    def parts(self) -> tuple[str, ...]:
        return ("frame_averaging",) if self.average != "none" else ()

    def check(self) -> None:
        if self.network == "wl" and self.average != "none":
            raise BenchError("method.network=wl is invariant already; use method.average=none")
        if self.average == "group" and not self.samples:
            raise BenchError("method.average=group has n! elements; give method.samples")
