"""Choices of the conditioned classifiers; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, option
from models.mip.config import Config as Study


@dataclass
class Config(Study):
    """The classifier of the hypernetwork study with features modulated by gamma (FiLM), or with a network of its own for each gamma.

    `hidden`, `activation`, `norm`, `start`, `encoding` and `independent` are those of the small network that predicts FiLM's modulation.
    """

    form: str = option(
        "film",
        "film: scales and shifts of the hidden features are predicted from gamma (Perez et al., AAAI 2018); "
        "separate: one network for each gamma of the test's grid, trained at that gamma alone with the same number of steps",
        choices=("film", "separate"),
    )

    conditioned: bool = option(False, "whether a hypernetwork predicts all weights; never here")

    plugin: ClassVar[str] = "models.conditional_networks.plugin:Conditional"

    def parts(self) -> tuple[str, ...]:
        return ("mip",)

    def check(self) -> None:
        super().check()
        if self.conditioned:
            raise BenchError("method.conditioned=true is a hypernetwork; that is method=mip or hyper_default")
        if self.form == "separate" and self.gamma_per == "sample":
            raise BenchError("method.gamma_per=sample: separate networks have one gamma each; drop the word")
