"""Choices of S-GCN and of message passing on the same graphs; imports nothing heavy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option

NONLINEARITIES = ("elu", "relu", "tanh", "mish", "none")


@dataclass
class Config(MethodConfig):
    """Spherical convolutions on residue graphs; or message passing that sees who touches whom but not where, or e3nn's convolutions."""

    network: str = option(
        "spherical",
        "spherical: convolutions in residue frames; message_passing: no directions; equivariant: e3nn's point convolutions, no frames",
        choices=("spherical", "message_passing", "equivariant"),
    )
    order: int = option(5, "harmonics of degrees 0 to order - 1; 1: no direction is seen", low=1, high=12)
    widths: list[int] | None = option(
        lambda: [20, 16, 8, 4], "channels behind each convolution but a last one of one channel"
    )
    encoder: list[int] | None = option(list, "widths of a perceptron in front of message passing")
    scorer: list[int] | None = option(
        list, "hidden widths of a perceptron behind the convolutions; empty: a last convolution gives the score"
    )
    irreps: str | None = option(
        None, "equivariant: features of a residue, even, in the words of e3nn, e.g. 16x0e + 8x1e + 4x2e"
    )
    layers: int | None = option(None, "equivariant: point convolutions", low=1)
    weights: bool = option(False, "edges count by contact (nearness, or area of Voronoi contacts), not all alike")
    normalise: bool = option(True, "mean over neighbours; false: sum")
    near: int = option(
        6, "message passing: neighbours fewer residues away in the sequence have weights of their own", low=1
    )
    nonlinearity: str = option("elu", "between layers", choices=NONLINEARITIES)
    dropout: float | None = option(0.02, "share of channels dropped behind every layer but the last", low=0.0, high=0.9)
    epochs: int | None = option(None, "passes over the training models", low=1)
    draws: int | None = option(None, "models drawn without repetition for each epoch; null: all of them", low=1)
    max_steps: int | None = option(None, "stop after this many optimiser steps", low=1)
    batch: int | None = option(None, "models per optimiser step", low=1)
    lr: float | None = option(None, "step size of Adam", low=0.0)
    weight_decay: float | None = option(None, "L2 penalty of Adam", low=0.0)
    meter: int = option(2, "test models on which the errors under motions are measured, in float64", low=1)
    official_parity: bool = option(
        False, "as released: the names tanh and mish are misspelt there, so that they choose no nonlinearity at all"
    )

    plugin: ClassVar[str] = "models.sgcn.plugin:ResidueNetwork"
    accepts: ClassVar[tuple[str, ...]] = ("protein_models",)
    margin: ClassVar[float] = 0.2  # of Spearman's rho; the trivial predictor has 0

    def check(self) -> None:
        if self.widths is not None and (not self.widths or min(self.widths) < 1):
            raise BenchError("method.widths needs one or more positive widths, e.g. [20,16,8,4]")
        if self.network == "message_passing" and self.scorer == []:
            raise BenchError("method.network=message_passing needs method.scorer, e.g. [16,8]")
        if self.network == "equivariant" and self.irreps and not re.fullmatch(r"\d+x0e( *\+ *\d+x\d+e)*", self.irreps):
            raise BenchError(f"method.irreps={self.irreps!r} needs scalars and even irreps, e.g. 16x0e + 8x1e + 4x2e")
        if self.network == "spherical" and self.encoder:
            raise BenchError("method.encoder belongs to network=message_passing; drop it")
