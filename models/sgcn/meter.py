"""What a trained network does under motions of a model: nothing under rotations and translations, something under a reflection."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from bench.schema import Metric
from models.geometry.equivariance import EuclideanAction, equivariance_errors
from models.sgcn.graphs import Graphs

SPREAD = 10.0  # Angstrom: size of the translations


def motions(net: nn.Module, graph: Graphs, models: int, generator: torch.Generator) -> list[Metric]:
    """Relative errors of the scores under SE(3), random and adversarial, and their relative change under a reflection, in float64.

    graph: `models` models of equally many residues; who touches whom is not measured again, as distances stay.
    """
    net, graph = copy.deepcopy(net).double().eval(), graph.double()

    def scores(x: Tensor) -> Tensor:
        return net(replace(graph, backbone=x.reshape(-1, 3, 3))).reshape(models, -1)

    x = graph.backbone.reshape(models, -1, 3)
    action = EuclideanAction("SE(3)", "invariant", spread=SPREAD)
    errors = equivariance_errors(scores, action, x, draws=2, steps=3, generator=generator)
    with torch.no_grad():
        y = scores(x)
        mirror = (scores(x * x.new_tensor([1.0, 1.0, -1.0])) - y).norm() / y.norm()
    return [*errors.metrics(), Metric("mirror_change", float(mirror), "none", "relative")]
