"""AdamP and SGDP: momentum optimisers that keep the norm of scale-invariant weights from growing (Heo et al., ICLR 2021).

Momentum makes the norm of a scale-invariant weight grow faster, which shrinks its effective step lr / ||w||^2 too early. Both
optimisers remove from the update the part along the weight where the weight looks scale-invariant; see `projection`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adam import adam

from models.adamp.projection import project, radial


class _Projected(Optimizer):
    """What both share: checks, the choice between the two formulations, decay and projection."""

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        for name in ("lr", "eps", "weight_decay", "delta", "wd_ratio"):
            if not defaults[name] >= 0:
                raise ValueError(f"{name} is {defaults[name]}; it must not be negative")
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        """One update; returns the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                if p.grad.is_sparse or p.is_complex():
                    raise ValueError(
                        f"{type(self).__name__} takes dense, real gradients; use another optimiser for these"
                    )
                if not self.state[p]:
                    self.state[p].update(self._start(p))
                    if p.dim() > 1:
                        self.state[p]["projected"] = torch.zeros(2, dtype=p.dtype, device=p.device)
            if not params:
                continue
            if group["foreach"]:
                self._foreach(params, group)
            else:
                for p in params:
                    self._single(p, group)
        return loss

    def projected_steps(self) -> dict[Tensor, tuple[int, int]]:
        """By tensor of two or more dimensions: in how many steps its channels, and in how many the whole of it, were projected."""
        return {p: tuple(map(int, s["projected"])) for p, s in self.state.items() if "projected" in s}  # type: ignore[misc]

    def _decay(self, group: dict[str, Any]) -> float:
        """lr times the strength of the decoupled decay of a tensor that is not projected."""
        raise NotImplementedError

    def _start(self, p: Tensor) -> dict[str, Any]:
        raise NotImplementedError

    def _single(self, p: Tensor, group: dict[str, Any]) -> None:
        raise NotImplementedError

    def _foreach(self, params: list[Tensor], group: dict[str, Any]) -> None:
        raise NotImplementedError

    def _apply(self, p: Tensor, d: Tensor, step: float, group: dict[str, Any]) -> Tensor:
        """p <- (1 - decay) p - step d with d projected where the test passes; returns d as it was used."""
        ratio = 1.0
        if p.dim() > 1:
            assert p.grad is not None
            d, view = project(p, p.grad, d, group["delta"], group["eps"])
            if view >= 0:
                ratio = group["wd_ratio"]
                self.state[p]["projected"][view] += 1
        if group["weight_decay"] > 0:
            p.mul_(1 - self._decay(group) * ratio)
        p.add_(d, alpha=-step)
        return d

    def _apply_rows(self, p: Tensor, d: Tensor, step: float, group: dict[str, Any]) -> Tensor | None:
        """`_apply` by row scalings; `d` may be overwritten. Returns c (rows, 1, ...), the projected update being d - c w."""
        decay = self._decay(group) if group["weight_decay"] > 0 else 0.0
        if p.dim() < 2:
            if decay:
                p.mul_(1 - decay)
            p.add_(d, alpha=-step)
            return None
        assert p.grad is not None
        found = radial(p, p.grad, d, group["delta"], group["eps"])
        self.state[p]["projected"] += found.views
        shrink = found.shrink.view([-1] + [1] * (p.dim() - 1))
        keep = 1 - decay * (1 - (1 - group["wd_ratio"]) * found.views.sum()) + step * shrink
        p.mul_(keep.to(p.dtype)).add_(d, alpha=-step)
        return shrink


class AdamP(_Projected):
    """Adam with decoupled weight decay and projection.

    With t counted from 1, m and v the moving averages of g and g^2,
    d = m / (sqrt(v) / sqrt(1 - beta2^t) + eps), with `nesterov` beta1 m + (1 - beta1) g in place of m; d is projected where the
    test of `projection.project` passes, and
    p <- (1 - lr weight_decay ratio) p - lr / (1 - beta1^t) d,  ratio = wd_ratio where projected, else 1.
    The moving averages keep the unprojected values. Tensors of one dimension are never projected and follow AdamW.

    Parameters
    ----------
    params : parameters or groups, real and dense
    lr, betas, eps, weight_decay : as in `torch.optim.AdamW`
    delta : bound of the cosine test; 0 never projects
    wd_ratio : factor of the decay on projected tensors
    foreach : True: one fused pass over all tensors for the averages, row sums for the projection; False: tensor by tensor, as
        the equations are written, kept as the reference. Equal up to rounding.

    Raises
    ------
    ValueError : a negative lr, eps, weight_decay, delta or wd_ratio, betas outside [0, 1), sparse or complex gradients.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        delta: float = 0.1,
        wd_ratio: float = 0.1,
        nesterov: bool = False,
        foreach: bool = True,
    ) -> None:
        if not all(0 <= b < 1 for b in betas):
            raise ValueError(f"betas is {betas}; both must lie in [0, 1)")
        defaults = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "delta": delta}
        super().__init__(params, {**defaults, "wd_ratio": wd_ratio, "nesterov": nesterov, "foreach": foreach})

    def _start(self, p: Tensor) -> dict[str, Any]:
        return {"step": 0, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}

    def _decay(self, group: dict[str, Any]) -> float:
        return group["lr"] * group["weight_decay"]

    def _single(self, p: Tensor, group: dict[str, Any]) -> None:
        state, g, (b1, b2) = self.state[p], p.grad, group["betas"]
        assert g is not None
        m, v = state["exp_avg"], state["exp_avg_sq"]
        state["step"] += 1
        m.mul_(b1).add_(g, alpha=1 - b1)
        v.mul_(b2).addcmul_(g, g, value=1 - b2)
        denominator = v.sqrt().div_(math.sqrt(1 - b2 ** state["step"])).add_(group["eps"])
        d = (b1 * m + (1 - b1) * g if group["nesterov"] else m) / denominator
        self._apply(p, d, group["lr"] / (1 - b1 ** state["step"]), group)

    def _foreach(self, params: list[Tensor], group: dict[str, Any]) -> None:
        states = [self.state[p] for p in params]
        grads = [p.grad for p in params]
        m, v = [s["exp_avg"] for s in states], [s["exp_avg_sq"] for s in states]
        b1, b2 = group["betas"]
        # torch's fused Adam, told to update zeros with lr = 1: they become -(bias-corrected m) / (bias-corrected root of v + eps)
        d = [torch.zeros_like(p) for p in params]
        device, dtype = params[0].device, torch.float32
        counts = list(torch.tensor([float(s["step"]) for s in states], dtype=dtype, device=device).unbind())
        adam(
            d, grads, m, v, [], counts, fused=True, amsgrad=False, maximize=False,
            beta1=b1, beta2=b2, lr=1.0, weight_decay=0.0, eps=group["eps"],
        )  # fmt: skip
        for p, s, u in zip(params, states, d, strict=True):
            s["step"] += 1
            step = group["lr"]
            if group["nesterov"]:  # b1 m + (1 - b1) g, over the same denominator
                root = s["exp_avg_sq"].sqrt().div_(math.sqrt(1 - b2 ** s["step"])).add_(group["eps"])
                extra = (1 - b1) / (1 - b1 ** s["step"])
                u.mul_(b1).addcdiv_(p.grad, root, value=-extra)
            self._apply_rows(p, u, -step, group)


class SGDP(_Projected):
    """Stochastic gradient descent with momentum and projection.

    buf <- momentum buf + (1 - dampening) g from buf = 0; d = buf, with `nesterov` g + momentum buf; d is projected where the
    test passes, and p <- (1 - lr weight_decay ratio / (1 - momentum)) p - lr d. Decay is decoupled; the division makes it as
    strong as coupled decay is under momentum.

    Parameters
    ----------
    params, delta, wd_ratio, foreach : as for `AdamP`
    lr, momentum, dampening, weight_decay, nesterov : as in `torch.optim.SGD`, but the first step is damped, too
    official_parity : without nesterov the released code projects the momentum buffer itself; True does the same, the default
        keeps the buffer as in the algorithm. Nothing differs with nesterov.

    Raises
    ------
    ValueError : a negative lr, eps, weight_decay, delta or wd_ratio, momentum outside [0, 1), sparse or complex gradients.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        eps: float = 1e-8,
        delta: float = 0.1,
        wd_ratio: float = 0.1,
        foreach: bool = True,
        official_parity: bool = False,
    ) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}; it must lie in [0, 1), since decay is divided by 1 - momentum")
        defaults = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        defaults |= {"nesterov": nesterov, "eps": eps, "delta": delta, "wd_ratio": wd_ratio}
        super().__init__(params, {**defaults, "foreach": foreach, "official_parity": official_parity})

    def _start(self, p: Tensor) -> dict[str, Any]:
        return {"momentum_buffer": torch.zeros_like(p)}

    def _decay(self, group: dict[str, Any]) -> float:
        return group["lr"] * group["weight_decay"] / (1 - group["momentum"])

    def _single(self, p: Tensor, group: dict[str, Any]) -> None:
        buffer, g, momentum = self.state[p]["momentum_buffer"], p.grad, group["momentum"]
        assert g is not None
        buffer.mul_(momentum).add_(g, alpha=1 - group["dampening"])
        d = g + momentum * buffer if group["nesterov"] else buffer
        used = self._apply(p, d, group["lr"], group)
        if group["official_parity"] and not group["nesterov"]:
            buffer.copy_(used)

    def _foreach(self, params: list[Tensor], group: dict[str, Any]) -> None:
        buffers = [self.state[p]["momentum_buffer"] for p in params]
        grads = [p.grad for p in params]
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, grads, alpha=1 - group["dampening"])
        updates = torch._foreach_add(grads, buffers, alpha=group["momentum"]) if group["nesterov"] else buffers
        keep = group["official_parity"] and not group["nesterov"]
        for p, d in zip(params, updates, strict=True):
            before = p.clone() if keep and p.dim() > 1 else None
            shrink = self._apply_rows(p, d, group["lr"], group)
            if before is not None:
                assert shrink is not None
                d.sub_(before.mul_(shrink.to(p.dtype)))
