"""The precision experiment as a method of the harness."""

from __future__ import annotations

from typing import Any

import torch

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.spd_centring.centring import float32_error
from models.spd_centring.config import Config


class SpdCentring(SolverMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        return "one matrix is its own mean; set data.targets to 2 or more" if len(bundle.train) < 2 else None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        self.error, self.condition = float32_error(self.cfg.metric, torch.as_tensor(bundle.train.x))

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        return Result(
            metrics=[
                Metric("float32_error", self.error, "lower", "1"),
                Metric("mean_condition", self.condition, "none", "1"),
            ]
        )
