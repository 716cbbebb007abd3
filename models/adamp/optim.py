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

from models.adamp.projection import Scratch, dense, project, radial, row_sums, rows_of


class _Projected(Optimizer):
    """What both share: checks, the choice between the two formulations, decay and projection."""

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        for name in ("lr", "eps", "weight_decay", "delta", "wd_ratio"):
            if not defaults[name] >= 0:
                raise ValueError(f"{name} is {defaults[name]}; it must not be negative")
        self._scratch = Scratch()
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._scratch = Scratch()
        super().__setstate__(state)

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
            plain = [p for p in params if not (group["foreach"] and dense(p))]
            for p in plain:
                self._single(p, group)
            if len(plain) < len(params):
                self._foreach([p for p in params if group["foreach"] and dense(p)], group)
        return loss

    def projected_steps(self) -> dict[Tensor, tuple[int, int]]:
        """By tensor of two or more dimensions: in how many steps its channels, and in how many the whole of it, were projected."""
        return {p: tuple(map(int, s["projected"])) for p, s in self.state.items() if "projected" in s}  # type: ignore[misc]

    def _decay(self, group: dict[str, Any]) -> float:
        """lr times the strength of the decoupled decay of a tensor that is not projected."""
        raise NotImplementedError

    _averages: tuple[str, ...] = ()

    def _start(self, p: Tensor) -> dict[str, Any]:
        raise NotImplementedError

    def _single(self, p: Tensor, group: dict[str, Any]) -> None:
        raise NotImplementedError

    def _advance(self, params: list[Tensor], group: dict[str, Any], rows: list[list[Tensor]]) -> None:
        """Advance the averages of (weight, gradient, move, product, state ...) in `rows`, laid out alike, and write into the moves
        what is to be added to the weights before projection and decay."""
        raise NotImplementedError

    def _foreach(self, params: list[Tensor], group: dict[str, Any]) -> None:
        scratch = self._scratch
        if params[0].device.type != "cpu":  # one launch for all averages
            moves = [torch.zeros_like(p) for p in params]
            self._advance(params, group, [self._rows(p, u, scratch) for p, u in zip(params, moves, strict=True)])
            for p, u in zip(params, moves, strict=True):
                rows = self._rows(p, u, scratch)
                self._finish(p, u, row_sums(*rows[:4]) if p.dim() > 1 else None, group)
            return
        for p in params:  # one after the other, so that working memory stays in the cache
            u = scratch.like(p, 0)
            rows = self._rows(p, u, scratch)
            u.zero_()
            self._advance([p], group, [rows])
            self._finish(p, u, row_sums(*rows[:4]) if p.dim() > 1 else None, group)

    def _rows(self, p: Tensor, move: Tensor, scratch: Scratch) -> list[Tensor]:
        """Weight, gradient, move, product and the averages of a parameter as (rows, n), in memory order; one dimension stays one."""
        tensors = [p, p.grad, move, scratch.like(p, 1), *(self.state[p][name] for name in self._averages)]
        return [rows_of(x, p) if p.dim() > 1 else x.reshape(-1) for x in tensors]  # type: ignore[arg-type]

    def _finish(self, p: Tensor, move: Tensor, sums: Tensor | None, group: dict[str, Any]) -> Tensor | None:
        """p <- (1 - decay) p + projected move. Returns c (rows, 1, ...), the projected move being move - c w."""
        self._tick(p)
        decay = self._decay(group) if group["weight_decay"] > 0 else 0.0
        if sums is None:
            if decay:
                p.mul_(1 - decay)
            p.add_(move)
            return None
        found = radial(sums, p.numel() // p.shape[0], group["delta"], group["eps"])
        self.state[p]["projected"] += found.views
        shrink = found.shrink.view([-1] + [1] * (p.dim() - 1))
        keep = 1 - decay * (1 - (1 - group["wd_ratio"]) * found.views.sum()) - shrink
        torch.addcmul(move, p, keep.to(p.dtype), out=p)
        return shrink

    def _tick(self, p: Tensor) -> None:
        """Count a step of p, where its averages need the number."""

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
    foreach : True: torch's fused Adam for the averages, row sums for the projection, shared working memory; False: tensor by
        tensor, as the equations are written, kept as the reference. Equal up to rounding.

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

    _averages = ("exp_avg", "exp_avg_sq")

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

    def _advance(self, params: list[Tensor], group: dict[str, Any], rows: list[list[Tensor]]) -> None:
        """Torch's fused Adam, told to update zeros: they become -lr d / (1 - beta1^t)."""
        (b1, b2), steps = group["betas"], [self.state[p]["step"] for p in params]
        w, g, moves, _, m, v = (list(x) for x in zip(*rows, strict=True))
        counts = torch.tensor([float(t) for t in steps], device=w[0].device)
        adam(
            moves, g, m, v, [], list(counts.unbind()), fused=True, amsgrad=False, maximize=False,
            beta1=b1, beta2=b2, lr=group["lr"], weight_decay=0.0, eps=group["eps"],
        )  # fmt: skip
        if group["nesterov"]:  # beta1 m + (1 - beta1) g over the same denominator
            for t, gi, u, vi in zip(steps, g, moves, v, strict=True):
                root = vi.sqrt().div_(math.sqrt(1 - b2 ** (t + 1))).add_(group["eps"])
                u.mul_(b1).addcdiv_(gi, root, value=-group["lr"] * (1 - b1) / (1 - b1 ** (t + 1)))

    def _tick(self, p: Tensor) -> None:
        self.state[p]["step"] += 1


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

    _averages = ("momentum_buffer",)

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

    def _advance(self, params: list[Tensor], group: dict[str, Any], rows: list[list[Tensor]]) -> None:
        _, g, moves, _, buffers = (list(x) for x in zip(*rows, strict=True))
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, g, alpha=1 - group["dampening"])
        if group["nesterov"]:
            torch._foreach_add_(moves, g, alpha=-group["lr"])
        torch._foreach_add_(moves, buffers, alpha=-group["lr"] * (group["momentum"] if group["nesterov"] else 1.0))

    def _finish(self, p: Tensor, move: Tensor, sums: Tensor | None, group: dict[str, Any]) -> Tensor | None:
        parity = group["official_parity"] and not group["nesterov"] and sums is not None and group["lr"] > 0
        before = p.clone() if parity else None
        shrink = super()._finish(p, move, sums, group)
        if before is not None and shrink is not None:  # the buffer keeps what was used: buffer + c w / lr
            self.state[p]["momentum_buffer"].addcmul_(before, shrink.to(p.dtype), value=1 / group["lr"])
        return shrink
