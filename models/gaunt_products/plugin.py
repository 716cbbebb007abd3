"""One route of the Gaunt product as a method: its values, its equivariance, its distance from e3nn, its counted cost."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.gaunt_products.config import Config
from models.gaunt_products.counting import exponent, operations
from models.gaunt_products.peer import e3nn_even_paths
from models.gaunt_tp.backends import BACKENDS
from models.gaunt_tp.product import GauntProduct
from models.geometry.frames import random_orthogonal
from models.geometry.spherical import spherical_harmonics, wigner_d


class Products(SolverMethod):
    cfg: Config

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        top, name = bundle.meta["degree"], self.cfg.backend
        self.product = e3nn_even_paths(top) if name == "e3nn" else GauntProduct(top, backend=name).double()
        self.z = self.product(*self._pair(bundle))

    def _pair(self, bundle: Bundle) -> tuple[Tensor, Tensor]:
        x, y = torch.as_tensor(bundle.test.x, dtype=torch.float64).unbind(1)
        return x, y

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        top, name = bundle.meta["degree"], self.cfg.backend
        points = torch.as_tensor(bundle.meta["points"], dtype=torch.float64)
        values = self.z @ spherical_harmonics(2 * top, points).mT
        metrics = [Metric("equivariance_error", self._equivariance(bundle, ctx), "lower", "1")]
        if name != "e3nn":
            other = e3nn_even_paths(top)(*self._pair(bundle))
            metrics.append(Metric("e3nn_error", float((other - self.z).abs().max()), "lower", "1"))
        if name in BACKENDS:
            metrics.append(Metric("operations", float(operations(self.product.routes[name])), "lower", "flop"))
            metrics.append(Metric("operations_exponent", exponent(name), "lower", "1"))
        return Result(predictions={"y": values.numpy()}, metrics=metrics)

    def _equivariance(self, bundle: Bundle, ctx: Any) -> float:
        """max |z(D x, D y) - D z(x, y)| over random rotations and rotoinversions."""
        top, n = bundle.meta["degree"], self.cfg.turns
        generator = torch.Generator().manual_seed(ctx.seed("turns"))
        r = random_orthogonal(n, 3, generator, proper=True, dtype=torch.float64)
        r[::2] *= -1.0
        d = wigner_d(2 * top, r)
        inner = d[:, : (top + 1) ** 2, : (top + 1) ** 2]
        x, y = self._pair(bundle)
        turned = self.product((x @ inner.mT).flatten(0, 1), (y @ inner.mT).flatten(0, 1)).unflatten(0, (n, -1))
        return float((turned - self.z @ d.mT).abs().max())
