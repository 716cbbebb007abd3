"""Optimisers of weights on the Grassmann manifold: parameters (..., k, D) whose rows are orthonormal.

One step: the direction d of the optimiser is projected on the tangent space, h = (I - S S^T) d, the weight moves along the geodesic of
-h for the time lr (Wang et al. 2023), and every `reorth_step` steps rounding is removed from the basis. Weight decay has no meaning
here: subspaces have no length. Works in single precision at least, whatever autocast says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from models.geometry import grassmann

if TYPE_CHECKING:
    from models.image_classifier.config import Config


class _Geodesic(Optimizer):
    """What both share: checks, the count of steps, the geodesic and the re-orthonormalisation."""

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if not defaults["lr"] >= 0:
            raise ValueError(f"lr is {defaults['lr']}; it must not be negative")
        if defaults["reorth_step"] < 1:
            raise ValueError(f"reorth_step is {defaults['reorth_step']}; re-orthonormalise every 1 or more steps")
        super().__init__(params, {**defaults, "steps": 0})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group. ValueError for weights that cannot have orthonormal rows, and for weight decay."""
        super().add_param_group(param_group)
        if self.param_groups[-1].get("weight_decay"):
            raise ValueError("weight_decay has no meaning for subspaces; leave it out")
        for p in self.param_groups[-1]["params"]:
            grassmann.check(p.detach().mT, "a parameter, transposed,")

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        """One update; returns the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            again = group["steps"] % group["reorth_step"] == 0  # so the first step is one that re-orthonormalises
            group["steps"] += 1
            for p in group["params"]:
                if p.grad is not None:
                    dtype = torch.promote_types(p.dtype, torch.float32)
                    w = p.to(dtype).contiguous()  # p itself, unless it is in half precision
                    self._move(p, w, p.grad.to(dtype), group, again)
                    if w is not p:
                        p.copy_(w)
        return loss

    def _move(self, p: Tensor, w: Tensor, g: Tensor, group: dict[str, Any], again: bool) -> None:
        """The geodesic step of w (..., k, D) in place, g its Euclidean gradient; `again`: re-orthonormalise."""
        raise NotImplementedError


class GrassmannSGD(_Geodesic):
    """Riemannian gradient descent with momentum.

    Default: the momentum m lives in the tangent space, d = momentum m + grad f, and is carried along the geodesic by parallel
    transport. `official_momentum`: as the released code does, m <- momentum m + G accumulates Euclidean gradients G, is never
    transported, and the whole of it is projected at every step. Without momentum the two are one.

    Parameters
    ----------
    params : parameters (..., k, D) with orthonormal rows, or groups
    lr : time along the geodesic
    momentum : in [0, 1); no dampening, no Nesterov variant
    reorth_step : re-orthonormalise at steps 0, reorth_step, 2 reorth_step, ...
    official_momentum : see above
    official_parity : the QR decomposition with LAPACK's signs, which may turn the basis; default: signs that never do

    Raises
    ------
    ValueError : a negative lr, momentum outside [0, 1), reorth_step < 1, weight decay, weights without room for orthonormal rows.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.0,
        reorth_step: int = 5,
        official_momentum: bool = False,
        official_parity: bool = False,
    ) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}; it must lie in [0, 1)")
        defaults = {"lr": lr, "momentum": momentum, "reorth_step": reorth_step}
        super().__init__(
            params, {**defaults, "official_momentum": official_momentum, "official_parity": official_parity}
        )

    def _move(self, p: Tensor, w: Tensor, g: Tensor, group: dict[str, Any], again: bool) -> None:
        d, carried = g.contiguous(), None
        if group["momentum"]:
            state = self.state[p]
            if "momentum_buffer" in state:
                state["momentum_buffer"].mul_(group["momentum"]).add_(g)
            else:
                state["momentum_buffer"] = g.clone(memory_format=torch.contiguous_format)
            d = state["momentum_buffer"]
            carried = None if group["official_momentum"] else d
        official = group["official_parity"]
        grassmann.step_(w, d, -group["lr"], carried, clean=again and not official)
        if again and official:
            w.copy_(torch.linalg.qr(w.mT)[0].mT)


class GrassmannAdam(_Geodesic):
    """Riemannian Adam (Becigneul and Ganea, ICLR 2019) with one second moment for each subspace.

    m <- beta1 m + (1 - beta1) grad f, v <- beta2 v + (1 - beta2) ||grad f||^2, and the step goes along the geodesic of
    m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps); m is then transported in parallel. v is one number for each subspace, so the
    step does not depend on the choice of basis, which moments entry by entry would. AdamW's decoupled decay has no meaning here.

    Parameters and errors as for `GrassmannSGD`; betas in [0, 1), eps >= 0.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        reorth_step: int = 1,
    ) -> None:
        if not all(0 <= b < 1 for b in betas):
            raise ValueError(f"betas is {betas}; both must lie in [0, 1)")
        if not eps >= 0:
            raise ValueError(f"eps is {eps}; it must not be negative")
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "reorth_step": reorth_step})

    def _move(self, p: Tensor, w: Tensor, g: Tensor, group: dict[str, Any], again: bool) -> None:
        state, (b1, b2) = self.state[p], group["betas"]
        s = w.mT
        h = grassmann.tangent(s, g.mT)
        if not state:
            state.update(step=0, exp_avg=torch.zeros_like(w), exp_avg_sq=w.new_zeros(w.shape[:-2]))
        state["step"] += 1
        state["exp_avg_sq"].mul_(b2).add_(h.square().sum((-2, -1)), alpha=1 - b2)
        m = grassmann.tangent(s, b1 * state["exp_avg"].mT + (1 - b1) * h)
        root = (state["exp_avg_sq"] / (1 - b2 ** state["step"])).sqrt()
        time = -group["lr"] / (1 - b1 ** state["step"]) / (root + group["eps"])
        moved, m = grassmann.exp_and_transport(s, m, time)
        state["exp_avg"].copy_(m.mT)
        w.copy_((grassmann.reorthonormalise(moved) if again else moved).mT)


def optimiser(params: list[Tensor], cfg: Config) -> Optimizer:
    """The optimiser of the Grassmann weights of an image classifier: its own step size, the schedule of the others."""
    from models.image_classifier.optimisers import rate

    lr = rate(cfg) if cfg.grassmann_lr is None else cfg.grassmann_lr
    if cfg.grassmann_optimiser == "adam":
        return GrassmannAdam(params, lr, (cfg.betas[0], cfg.betas[1]), reorth_step=cfg.reorth_step)
    official = cfg.official_parity if cfg.gcr_official_momentum is None else cfg.gcr_official_momentum
    return GrassmannSGD(params, lr, cfg.momentum, cfg.reorth_step, official, cfg.official_parity)
