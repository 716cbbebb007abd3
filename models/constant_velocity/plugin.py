"""Constant velocity as a method of the harness."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.schema import Bundle, Result, SolverMethod
from models.constant_velocity.config import Config
from models.geometry.equivariance import EuclideanAction, equivariance_errors


def go_on(past: Tensor, steps: int, future: int) -> Tensor:
    """past (n, p, 3), the earlier positions from the present one, oldest first -> (n, future, 3): k times minus past[-steps] / steps."""
    velocity = -past[:, -steps] / steps
    return torch.arange(1, future + 1, dtype=past.dtype, device=past.device)[:, None] * velocity[:, None]


class ConstantVelocity(SolverMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        seen = bundle.shape[0] // 3
        return (
            f"method.steps={self.cfg.steps} and only {seen} steps are seen; lower it" if self.cfg.steps > seen else None
        )

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        self.future = bundle.n_out // 3

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        past = torch.as_tensor(np.asarray(bundle.test.x)).double().unflatten(1, (-1, 3))

        def f(x: Tensor) -> Tensor:
            return go_on(x, self.cfg.steps, self.future)

        errors = equivariance_errors(f, EuclideanAction("O(3)", "vector"), past[:200], draws=4, steps=5)
        return Result(predictions={"y": f(past).flatten(1).numpy()}, metrics=errors.metrics(), params=0)
