"""One optimiser for networks whose parameters live on different manifolds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from models.geometry.eig import EXP, LYAPUNOV, Eig, sym

MANIFOLDS = ("euclidean", "spd_bw", "spd_aim", "stiefel")
SPD_FLOOR = 1e-10
"""Smallest eigenvalue kept by an SPD update, relative to the largest."""


def manifold_groups(module: nn.Module, **options: float) -> list[dict]:
    """Parameter groups of a network, one per manifold that occurs.

    A module declares its manifolds in a class attribute ``manifolds = {parameter name: manifold}``; every
    other parameter is Euclidean. Parameters with requires_grad False are left out. `options` (lr, momentum,
    ...) are put in every group.
    """
    found: dict[str, list[nn.Parameter]] = {name: [] for name in MANIFOLDS}
    seen: set[int] = set()
    for sub in module.modules():
        declared = getattr(sub, "manifolds", {})
        for name, p in sub.named_parameters(recurse=False):
            if p.requires_grad and id(p) not in seen:
                seen.add(id(p))
                found[declared.get(name, "euclidean")].append(p)
    return [{"params": ps, "manifold": name, **options} for name, ps in found.items() if ps]


def spd_bw_step(w: Tensor, grad: Tensor, lr: float, max_step: float | None = None) -> Tensor:
    """Exp_w(-lr w sym(grad) w) by the Bures-Wasserstein exponential map, (I + L) w (I + L).

    w sym(grad) w is the affine-invariant gradient (Wang et al. 2025 follow it with the Bures-Wasserstein
    exponential). (I + L) w (I + L) is positive semi-definite for every L, so a step cannot leave the closed
    cone; a step with an eigenvalue of L at or below -1 would fold through its boundary. `max_step` bounds
    ||L||_F: below 1 this keeps I + L positive definite, inside the domain where the exponential map is
    injective. Eigenvalues below SPD_FLOOR times the largest are raised to it.

    Parameters
    ----------
    w : Tensor (..., n, n), SPD
    grad : Tensor (..., n, n), ambient (Euclidean) gradient

    Returns
    -------
    Tensor (..., n, n), exactly symmetric
    """
    w = sym(w)
    step = Eig(w).schur(-lr * (w @ sym(grad) @ w), LYAPUNOV)
    if max_step is not None:
        size = torch.linalg.matrix_norm(step)[..., None, None]
        step = step * (max_step / size).clamp_max(1.0)
    half = step + torch.eye(w.shape[-1], dtype=w.dtype, device=w.device)
    e = Eig(half @ w @ half)
    floor = SPD_FLOOR * e.w[..., -1:]
    if bool((e.w[..., :1] >= floor).all()):
        return sym(e.x)
    return sym((e.q * torch.maximum(e.w, floor).unsqueeze(-2)) @ e.q.mT)


def spd_aim_step(w: Tensor, grad: Tensor, lr: float) -> Tensor:
    """Affine-invariant exponential of -lr times the affine-invariant gradient w sym(grad) w.

    w^(1/2) exp(-lr w^(1/2) sym(grad) w^(1/2)) w^(1/2), the update of the bias in SPDNetBN (Brooks et al. 2019). Shapes and
    floor as `spd_bw_step`; SPD for every step size.
    """
    root = Eig(sym(w)).sqrt()
    out = sym(root @ Eig(sym(-lr * (root @ sym(grad) @ root))).apply(EXP) @ root)
    e = Eig(out)
    floor = SPD_FLOOR * e.w[..., -1:]
    if bool((e.w[..., :1] >= floor).all()):
        return out
    return sym((e.q * torch.maximum(e.w, floor).unsqueeze(-2)) @ e.q.mT)


def stiefel_project(w: Tensor, v: Tensor) -> Tensor:
    """Orthogonal projection of v on the tangent space at w (n_in, n_out), w^T w = I: v - w sym(w^T v)."""
    return v - w @ sym(w.mT @ v)


def stiefel_retract(w: Tensor, v: Tensor) -> Tensor:
    """Q factor of w + v with a positive diagonal of R."""
    q, r = torch.linalg.qr(w + v)
    return q * torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).unsqueeze(-2)


class MixedRiemannianSGD(Optimizer):
    """Gradient descent on Euclidean, SPD and Stiefel parameters (MixOptimizer of arXiv 2504.00660).

    Groups carry ``manifold``: "euclidean" (default; momentum and weight decay as in `torch.optim.SGD`),
    "spd_bw" (`spd_bw_step`: no momentum) or "stiefel" (embedded metric: projected gradient, momentum carried
    along by projection, QR retraction; the rule of geoopt's RiemannianSGD on EuclideanStiefel). Weight decay
    is never applied to SPD and Stiefel parameters, whatever the group says: it has no meaning on either.

    Parameters
    ----------
    params : iterable
        Parameters or groups; `manifold_groups(model)` makes them.
    lr, momentum, weight_decay : float
        Defaults of the paper's SPDNet experiment.
    max_step : float or None
        Bound on the relative SPD step, see `spd_bw_step`; 0.5 is inactive in ordinary training, None is the
        released code's unbounded step.

    Raises
    ------
    ValueError
        Negative lr, momentum or weight decay, max_step not in (0, 1), or an unknown manifold.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 2.5e-3,
        momentum: float = 0.9,
        weight_decay: float = 5e-2,
        max_step: float | None = 0.5,
    ):
        for name, value in (("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay)):
            if value < 0:
                raise ValueError(f"{name} is {value}; it must not be negative")
        if max_step is not None and not 0 < max_step < 1:
            raise ValueError(f"max_step is {max_step}; take a number between 0 and 1, or None for no bound")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "weight_decay": weight_decay,
                "max_step": max_step,
                "manifold": "euclidean",
            },
        )

    def add_param_group(self, param_group: dict) -> None:
        """Add a group; weight decay (and momentum on SPD) is set to 0 where it has no meaning."""
        manifold = param_group.setdefault("manifold", "euclidean")
        if manifold not in MANIFOLDS:
            raise ValueError(f"unknown manifold {manifold!r}; choose one of {', '.join(MANIFOLDS)}")
        if manifold != "euclidean":
            param_group["weight_decay"] = 0.0
        if manifold.startswith("spd"):
            param_group["momentum"] = 0.0
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """One update; returns the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            update = getattr(self, f"_step_{group['manifold']}")
            for p in group["params"]:
                if p.grad is not None:
                    update(p, p.grad, group)
        return loss

    def _momentum(self, p: Tensor, grad: Tensor, momentum: float) -> Tensor:
        if not momentum:
            return grad
        state = self.state[p]
        if "momentum_buffer" in state:
            state["momentum_buffer"].mul_(momentum).add_(grad)
        else:
            state["momentum_buffer"] = grad.clone()
        return state["momentum_buffer"]

    def _step_euclidean(self, p: Tensor, grad: Tensor, group: dict) -> None:
        if group["weight_decay"]:
            grad = grad.add(p, alpha=group["weight_decay"])
        p.add_(self._momentum(p, grad, group["momentum"]), alpha=-group["lr"])

    def _step_spd_bw(self, p: Tensor, grad: Tensor, group: dict) -> None:
        p.copy_(spd_bw_step(p, grad, group["lr"], group["max_step"]))

    def _step_spd_aim(self, p: Tensor, grad: Tensor, group: dict) -> None:
        p.copy_(spd_aim_step(p, grad, group["lr"]))

    def _step_stiefel(self, p: Tensor, grad: Tensor, group: dict) -> None:
        direction = self._momentum(p, stiefel_project(p, grad), group["momentum"])
        p.copy_(stiefel_retract(p, -group["lr"] * direction))
        if group["momentum"]:
            direction.copy_(stiefel_project(p, direction))
