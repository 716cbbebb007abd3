"""Choices of the mesh network; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Messages along the edges of each mesh; the nodes' fields are read out, one network for all of them."""

    width: int | None = option(None, "features of nodes and edges", low=2)
    layers: int | None = option(None, "rounds of messages", low=1)
    epochs: int | None = option(None, "passes over the training meshes", low=1)
    batch: int = option(2, "meshes per step", low=1)
    lr: float = option(2e-3, "of Adam at the start; it falls as a cosine", low=1e-8)

    plugin: ClassVar[str] = "models.mesh_graph_net.plugin:MeshGraphNet"
    accepts: ClassVar[tuple[str, ...]] = ("mesh_fields",)
    margin: ClassVar[float | None] = 0.0
