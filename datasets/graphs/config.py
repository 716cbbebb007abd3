"""Choices of the graph sets; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import DataConfig, File, option

FOLDER = "graphs_gnn_matlang"
FILES = {
    "graph8c": File(f"{FOLDER}/graph8c.g6", "0002354f1ab3344a2706626a037ad15367bf23a2163aa68f552c3a169ca9a036", 77819),
    "exp": File(
        f"{FOLDER}/EXP_graphsat.npz", "2e6737ac765488569ebc705f390196b5fc67bffa7dd83969934ccf3e6054b488", 62068
    ),
}


@dataclass
class Config(DataConfig):
    """graph7c: the 853 connected graphs on 7 vertices; graph8c: the 11,117 on 8; exp: 600 pairs that 1-WL cannot tell apart."""

    graphs: str = option("graph7c", "which set", choices=("graph7c", "graph8c", "exp"))
    limit: int | None = option(None, "keep only the first graphs of graph7c or graph8c", low=2)
    twin_graphs: int | None = option(None, "graphs of the stand-in of graph8c and exp; even", low=24)

    stand_in: ClassVar[tuple[str, ...]] = ("twin_graphs",)
    adapter: ClassVar[str] = "datasets.graphs.adapter:load"
    kind: ClassVar[str] = "graphs"
    sources: ClassVar[tuple[str, ...]] = ("real", "synthetic", "simulated")
    licence: ClassVar[str] = (
        "graph7c: none needed, an enumeration; graph8c and exp: the source repository has no licence file, research use only"
    )
    citation: ClassVar[str] = (
        "balcilar2021matlang: Balcilar et al., Breaking the Limits of Message Passing Graph Neural Networks, ICML 2021; "
        "abboud2021exp: Abboud et al., The Surprising Power of Graph Neural Networks with Random Node Initialization, IJCAI 2021"
    )

    def available(self) -> tuple[str, ...]:
        return ("simulated",) if self.graphs == "graph7c" else ("real", "synthetic")

    def files(self) -> tuple[File, ...]:
        return (FILES[self.graphs],) if self.graphs in FILES else ()
