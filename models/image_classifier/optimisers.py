"""Optimisers and schedules. Parameters on a manifold go to that manifold's optimiser, all others to the chosen one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.schema import load_object
from models.image_classifier.config import MANIFOLDS, OPTIMISERS
from models.nn.torchvision_ops import cure

if TYPE_CHECKING:
    from models.image_classifier.config import Config


def sgd(groups: list[dict[str, Any]], cfg: Config) -> Optimizer:
    return torch.optim.SGD(groups, lr=rate(cfg), momentum=cfg.momentum, nesterov=cfg.nesterov)


def adam(groups: list[dict[str, Any]], cfg: Config) -> Optimizer:
    return torch.optim.Adam(groups, lr=rate(cfg), betas=(cfg.betas[0], cfg.betas[1]))


def adamw(groups: list[dict[str, Any]], cfg: Config) -> Optimizer:
    return torch.optim.AdamW(groups, lr=rate(cfg), betas=(cfg.betas[0], cfg.betas[1]))


def lamb(groups: list[dict[str, Any]], cfg: Config) -> Optimizer:
    """Lamb (You et al. 2020) of timm, which clips the norm of all gradients together at 1."""
    cure()  # timm imports torchvision
    import timm.optim

    return timm.optim.Lamb(groups, lr=rate(cfg), betas=(cfg.betas[0], cfg.betas[1]))


def rate(cfg: Config) -> float:
    """lr after the linear scaling rule: lr batch / lr_batch where lr_batch is given."""
    lr = 0.1 if cfg.lr is None else cfg.lr
    return lr * (cfg.batch or 1) / cfg.lr_batch if cfg.lr_batch else lr


def parameters(module: nn.Module) -> dict[str, list[Tensor]]:
    """Trainable parameters by manifold ("euclidean" for all that declare none), each once."""
    found: dict[str, list[Tensor]] = {"euclidean": []}
    seen: set[int] = set()
    for sub in module.modules():
        declared = getattr(sub, "manifolds", {})
        for name, p in sub.named_parameters(recurse=False):
            if p.requires_grad and id(p) not in seen:
                seen.add(id(p))
                found.setdefault(declared.get(name, "euclidean"), []).append(p)
    return found


def optimiser(module: nn.Module, cfg: Config) -> Optimizer:
    """The optimiser of all trainable parameters of `module`."""
    by_manifold = parameters(module)
    plain = by_manifold.pop("euclidean")
    decay = cfg.weight_decay or 0.0
    groups = [
        {"params": [p for p in plain if cfg.decay_all or p.dim() > 1], "weight_decay": decay},
        {"params": [p for p in plain if not (cfg.decay_all or p.dim() > 1)], "weight_decay": 0.0},
    ]
    made = [load_object(OPTIMISERS[cfg.optimiser])([g for g in groups if g["params"]], cfg)] if plain else []
    for manifold, params in by_manifold.items():
        if manifold not in MANIFOLDS:
            raise ValueError(
                f"parameters declare the manifold {manifold!r}, for which MANIFOLDS names no optimiser; add one"
            )
        made.append(load_object(MANIFOLDS[manifold])(params, cfg))
    return made[0] if len(made) == 1 else Joint(made)


class Joint(Optimizer):
    """Several optimisers as one: their groups side by side, one `step`, one state dict. Schedules act on all groups."""

    def __init__(self, members: list[Optimizer]) -> None:
        self.members = members
        super().__init__([p for m in members for g in m.param_groups for p in g["params"]], {})
        self.param_groups = [g for m in members for g in m.param_groups]

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for m in self.members:
            m.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {"members": [m.state_dict() for m in self.members], "state": {}, "param_groups": []}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for m, state in zip(self.members, state_dict["members"], strict=True):
            m.load_state_dict(state)
        self.param_groups = [g for m in self.members for g in m.param_groups]


def schedule(cfg: Config, steps: int) -> Callable[[int], float]:
    """Factor of lr at optimiser step t = 0, 1, ..., with `steps` steps in an epoch; `epochs` of them in all."""
    warm, kind = round((cfg.warmup_epochs or 0) * steps), cfg.schedule or "cosine"
    total = max(1, (cfg.epochs or 1) * steps - warm)

    def factor(t: int) -> float:
        if t < warm:
            return 0.01 + 0.99 * t / warm
        done = min(1.0, (t - warm) / total)
        if kind == "cosine":
            return cfg.lr_end + (1 - cfg.lr_end) * (1 + math.cos(math.pi * done)) / 2
        return 0.1 ** (t // steps // cfg.step_epochs) if kind == "step" else 1.0

    return factor
