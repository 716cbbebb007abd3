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

from models.adamp.projection import Scratch, dense, dots, passes, project, radial, row_sums, rows_of

BLOCK = 2**18  # entries of a block of rows, so that working memory is small and stays in the cache


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
        """Advance the averages of (weight, gradient, move, state ...) in `rows`, laid out alike, and write into the moves, which are
        zero, what is to be added to the weights before projection and decay."""
        raise NotImplementedError

    def _plain(self, params: list[Tensor], group: dict[str, Any], rows: list[list[Tensor]]) -> None:
        """A step of the (weight, gradient, state ...) in `rows`, where nothing is projected."""
        raise NotImplementedError

    def _foreach(self, params: list[Tensor], group: dict[str, Any]) -> None:
        rows = [self._rows(p) for p in params]
        if params[0].device.type == "cpu":
            self._on_cpu(params, group, rows)
        else:
            self._on_device(params, group, rows)
        for p in params:
            self._tick(p)

    def _on_cpu(self, params: list[Tensor], group: dict[str, Any], rows: list[list[Tensor]]) -> None:
        """Decisions first: what is not projected needs one pass over memory, what is goes by blocks of rows that stay in the cache."""
        left = []
        for i, (p, r) in enumerate(zip(params, rows, strict=True)):
            view, lengths = self._view(r[0], r[1], group) if p.dim() > 1 else (-1, r[0])
            if view < 0:
                left.append(i)
                continue
            self.state[p]["projected"][view] += 1
            self._blocks(p, r, view, lengths, group)
        if left:
            self._plain([params[i] for i in left], group, [rows[i] for i in left])

    def _view(self, w: Tensor, g: Tensor, group: dict[str, Any]) -> tuple[int, Tensor]:
        """What passes the test, as `project` says it, and the norms of the rows of w."""
        lengths = torch.linalg.vector_norm(w, dim=1)
        views = passes(
            dots(g, w), torch.linalg.vector_norm(g, dim=1), lengths, w.shape[1], group["delta"], group["eps"]
        ).tolist()
        return (views.index(True) if any(views) else -1), lengths

    def _blocks(self, p: Tensor, rows: list[Tensor], view: int, lengths: Tensor, group: dict[str, Any]) -> None:
        """p <- (1 - decay) p + projected move; all rows are one block where they share one scalar (layer view)."""
        size = len(lengths) if view else max(1, BLOCK // rows[0].shape[1])
        decay = self._decay(group) * group["wd_ratio"] if group["weight_decay"] > 0 else 0.0
        for a in range(0, len(lengths), size):
            w, g, *averages = (x[a : a + size] for x in rows)
            move = self._scratch.like(w).zero_()
            self._advance([p], group, [[w, g, move, *averages]])
            along = dots(move, w)
            length = torch.linalg.vector_norm(lengths) if view else lengths[a : a + size]
            shrink = ((along.sum() if view else along) / (length + group["eps"]).square()).expand(len(w))[:, None]
            self._absorb(w, averages, shrink, group)
            torch.addcmul(move, w, 1 - decay - shrink, out=w)

    def _on_device(self, params: list[Tensor], group: dict[str, Any], rows: list[list[Tensor]]) -> None:
        """One launch for all averages, and no value is read by the host."""
        moves = [torch.zeros_like(r[0]) for r in rows]
        self._advance(params, group, [[*r[:2], u, *r[2:]] for r, u in zip(rows, moves, strict=True)])
        decay = self._decay(group) if group["weight_decay"] > 0 else 0.0
        for p, (w, g, *averages), move in zip(params, rows, moves, strict=True):
            if p.dim() == 1:
                w.mul_(1 - decay).add_(move)
                continue
            found = radial(row_sums(w, g, move), w.shape[1], group["delta"], group["eps"])
            self.state[p]["projected"] += found.views
            shrink = found.shrink[:, None]
            self._absorb(w, averages, shrink, group)
            keep = 1 - decay * (1 - (1 - group["wd_ratio"]) * found.views.sum()) - shrink
            torch.addcmul(move, w, keep.to(w.dtype), out=w)

    def _rows(self, p: Tensor) -> list[Tensor]:
        """Weight, gradient and averages of a parameter as (rows, n), in memory order; one dimension stays one."""
        tensors = [p, p.grad, *(self.state[p][name] for name in self._averages)]
        return [rows_of(x, p) if p.dim() > 1 else x.reshape(-1) for x in tensors]  # type: ignore[arg-type]

    def _absorb(self, w: Tensor, averages: list[Tensor], shrink: Tensor, group: dict[str, Any]) -> None:
        """Called before rows w (rows, n) change: c (rows, 1), the projected move being move - c w, for averages that keep it."""

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
    foreach : True: the test first, then torch's fused AdamW for all that is not projected, and row sums and fused averages by blocks
        of rows for what is; False: tensor by tensor, as the equations are written, kept as the reference. Equal up to rounding.

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
        _, g, moves, m, v = (list(x) for x in zip(*rows, strict=True))
        self._adam(params, group, moves, g, m, v, 0.0)
        if group["nesterov"]:  # beta1 m + (1 - beta1) g over the same denominator
            (b1, b2), steps = group["betas"], [self.state[p]["step"] for p in params]
            for t, gi, u, vi in zip(steps, g, moves, v, strict=True):
                root = vi.sqrt().div_(math.sqrt(1 - b2 ** (t + 1))).add_(group["eps"])
                u.mul_(b1).addcdiv_(gi, root, value=-group["lr"] * (1 - b1) / (1 - b1 ** (t + 1)))

    def _plain(self, params: list[Tensor], group: dict[str, Any], rows: list[list[Tensor]]) -> None:
        if not group["nesterov"]:
            w, g, m, v = (list(x) for x in zip(*rows, strict=True))
            self._adam(params, group, w, g, m, v, group["weight_decay"])
            return
        for p, (w, *others) in zip(params, rows, strict=True):
            move = self._scratch.like(w).zero_()
            self._advance([p], group, [[w, others[0], move, *others[1:]]])
            w.mul_(1 - self._decay(group)).add_(move)

    def _adam(
        self,
        params: list[Tensor],
        group: dict[str, Any],
        w: list[Tensor],
        g: list[Tensor],
        m: list[Tensor],
        v: list[Tensor],
        decay: float,
    ) -> None:
        """A step of AdamW on w, with the step counts of `params`, which stay as they are."""
        steps = [float(self.state[p]["step"]) for p in params]
        counts = list(torch.tensor(steps, device=w[0].device).unbind())
        adam(
            w, g, m, v, [], counts, fused=True, amsgrad=False, maximize=False, decoupled_weight_decay=True,
            beta1=group["betas"][0], beta2=group["betas"][1], lr=group["lr"], weight_decay=decay, eps=group["eps"],
        )  # fmt: skip

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
        _, g, moves, buffers = (list(x) for x in zip(*rows, strict=True))
        self._add_to(moves, g, buffers, group)

    def _plain(self, params: list[Tensor], group: dict[str, Any], rows: list[list[Tensor]]) -> None:
        w, g, buffers = (list(x) for x in zip(*rows, strict=True))
        if group["weight_decay"] > 0:
            torch._foreach_mul_(w, 1 - self._decay(group))
        self._add_to(w, g, buffers, group)

    def _add_to(self, w: list[Tensor], g: list[Tensor], buffers: list[Tensor], group: dict[str, Any]) -> None:
        """Advance the buffers and add -lr d to w."""
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, g, alpha=1 - group["dampening"])
        if group["nesterov"]:
            torch._foreach_add_(w, g, alpha=-group["lr"])
        torch._foreach_add_(w, buffers, alpha=-group["lr"] * (group["momentum"] if group["nesterov"] else 1.0))

    def _absorb(self, w: Tensor, averages: list[Tensor], shrink: Tensor, group: dict[str, Any]) -> None:
        """The released code's buffer keeps what was used: buffer + c w / lr."""
        if group["official_parity"] and not group["nesterov"] and group["lr"] > 0:
            averages[0].addcmul_(w, shrink.to(w.dtype), value=1 / group["lr"])
