"""Gradient-normalised smoothness as a torch optimiser for small networks, on the whole data or on mini-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

TRIALS, GUARD = 40, 1e-8


class GNS(torch.optim.Optimizer):
    """x_{k+1} = x_k - (H + lambda I)^-1 g, lambda = ||g|| / gamma, with gamma found by the search of Algorithm 1.

    A trial is accepted when f(x_k) - f(x_{k+1}) >= ||g_{k+1}||^2 / (8 lambda), both sides on the batch of the closure; then gamma
    doubles, otherwise it is halved. No learning rate.

    Parameters
    ----------
    params : parameters of one dtype on one device; frozen ones are left out by the caller.
    curvature : "fisher", H = (1/n) sum_i g_i g_i^T from the gradients of n samples, solved in n dimensions by Woodbury's formula;
        "rank_one", H = g g^T by Sherman-Morrison; "hessian", the exact Hessian of d parameters, d x d (a trial with
        H + lambda I not positive definite is rejected); "zero", normalised gradient descent.
    gamma : first bound on the length of a step.
    growth : largest factor by which gamma may grow over one step; 2 as in the deterministic method. Below 2 a lucky batch
        changes gamma less.

    `step(closure)`: the closure returns the losses of the samples of the batch (n,), or their mean () unless curvature is "fisher".
    It must be deterministic between two calls of one step (no dropout) and must not call backward.

    Raises ValueError for parameters of mixed dtype, an unknown curvature, losses of another shape, and a first loss that is not
    finite.
    """

    def __init__(
        self, params: Iterable[Any], curvature: str = "fisher", gamma: float = 1.0, growth: float = 2.0
    ) -> None:
        if curvature not in ("fisher", "rank_one", "hessian", "zero"):
            raise ValueError(f"curvature={curvature!r} is unknown; use fisher, rank_one, hessian or zero")
        if not gamma > 0 or not growth > 1:
            raise ValueError(f"gamma={gamma} must be positive and growth={growth} larger than 1")
        super().__init__(params, {"curvature": curvature, "gamma": gamma, "growth": growth})
        if len(self.param_groups) != 1:
            raise ValueError("GNS takes one group of parameters: H couples them all")
        group = self.param_groups[0]["params"]
        if len({(p.dtype, p.device) for p in group}) != 1 or not all(p.requires_grad for p in group):
            raise ValueError("parameters must share one dtype and device and need gradients; leave out frozen ones")

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # type: ignore[override]
        """One iteration; returns the mean loss of the batch before it. A search without an accepted trial changes only gamma."""
        group = self.param_groups[0]
        params, curvature, gamma = group["params"], group["curvature"], group["gamma"]
        x = parameters_to_vector(params)
        with torch.enable_grad():
            losses = closure()
            if not bool(torch.isfinite(losses).all()):
                raise ValueError("the loss of the batch is not finite; start from smaller weights or check the data")
            solve, value, g = self._model(losses, params, curvature)
        norm = torch.linalg.vector_norm(g)
        if norm == 0:
            return value
        for _ in range(TRIALS):
            shift = norm / (gamma + GUARD)
            step = solve(shift)
            accepted = False
            if step is not None:
                vector_to_parameters(x - step, params)
                new_value, new_g = _value_and_gradient(closure, params)
                accepted = bool(value - new_value >= new_g.square().sum() / (8 * shift))
            if accepted:
                gamma = max(group["growth"] * gamma, 1e-9)
                break
            gamma /= 2
        else:
            vector_to_parameters(x, params)
        group["gamma"] = gamma
        return value

    @staticmethod
    def _model(losses: Tensor, params: list[Tensor], curvature: str) -> tuple[Callable, Tensor, Tensor]:
        """(lambda -> (H + lambda I)^-1 g or None where that is not positive definite, mean loss, its gradient g)."""
        if curvature == "fisher":
            if losses.dim() != 1:
                raise ValueError(
                    f"the closure returned shape {tuple(losses.shape)}; fisher needs one loss per sample (n,)"
                )
            n = len(losses)
            eye = torch.eye(n, dtype=losses.dtype, device=losses.device)
            each = torch.autograd.grad(losses, params, eye, is_grads_batched=True)
            rows = torch.cat([e.reshape(n, -1) for e in each], 1)  # gradients of single samples (n, d)
            g, gram = rows.mean(0), rows @ rows.mT

            def woodbury(shift: Tensor) -> Tensor:
                factor = torch.linalg.cholesky(gram + n * shift * eye)
                return (g - rows.mT @ torch.cholesky_solve((rows @ g)[:, None], factor)[:, 0]) / shift

            return woodbury, losses.detach().mean(), g
        value = losses.mean()
        first = torch.autograd.grad(value, params, create_graph=curvature == "hessian")
        flat = torch.cat([e.reshape(-1) for e in first])
        g = flat.detach()
        if curvature == "zero":
            return lambda shift: g / shift, value.detach(), g
        if curvature == "rank_one":  # (g g^T + lambda I)^-1 g = g / (lambda + ||g||^2)
            return lambda shift: g / (shift + g @ g), value.detach(), g
        eye = torch.eye(len(g), dtype=g.dtype, device=g.device)
        rows = torch.autograd.grad(flat, params, eye, is_grads_batched=True)
        h = torch.cat([e.reshape(len(g), -1) for e in rows], 1)
        h = (h + h.mT) / 2

        def newton(shift: Tensor) -> Tensor | None:
            factor, info = torch.linalg.cholesky_ex(h + shift * eye)
            return None if int(info) else torch.cholesky_solve(g[:, None], factor)[:, 0]

        return newton, value.detach(), g


def _value_and_gradient(closure: Callable[[], Tensor], params: list[Tensor]) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        value = closure().mean()
        g = torch.autograd.grad(value, params)
    return value.detach(), torch.cat([e.reshape(-1) for e in g])
