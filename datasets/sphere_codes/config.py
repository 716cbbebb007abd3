"""Choices of the sphere codes; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, option


@dataclass
class Config(DataConfig):
    """Find n unit vectors of R^d with max |cos| at most c; one fold for each request."""

    requests: list[str] = option(
        lambda: ["100x100@0.005", "100x50@0.13", "100x50@0.12", "100x20@0.3", "200x100@0.09"],
        "the requests as nxd@c, one fold each",
    )

    adapter: ClassVar[str] = "datasets.sphere_codes.adapter:load"
    kind: ClassVar[str] = "sphere_code"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: three numbers"

    def folds(self) -> list[str]:
        return list(self.requests)

    def check(self) -> None:
        for text in self.requests:
            parse(text)


def parse(text: str) -> tuple[int, int, float]:
    """(n, d, c) of nxd@c."""
    size, _, c = text.partition("@")
    n, _, d = size.partition("x")
    try:
        out = int(n), int(d), float(c)
    except ValueError:
        out = (0, 0, 0.0)
    if min(out[:2]) < 1 or not 0 < out[2] <= 1:
        raise BenchError(f"data.requests has {text!r}; write nxd@c, e.g. 100x50@0.13")
    return out
