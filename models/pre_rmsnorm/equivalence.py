"""How far a converted transformer departs from the original: output, gradients, and training side by side."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from models.pre_rmsnorm.zoo import Case


def paired(original: nn.Module, converted: nn.Module) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """The parameters of both models, matched by the converter's record of names."""
    own = dict(original.named_parameters())
    return [(own[converted.original_names[name]], p) for name, p in converted.named_parameters()]  # type: ignore[index, operator]


def compare(case: Case, converted: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    """(largest |difference| of scores, largest |difference| of the loss's gradient in any original parameter)."""
    a, b = (m(case.inputs(x)) for m in (case.model, converted))
    pairs = paired(case.model, converted)
    ga = torch.autograd.grad(case.loss(a, x, y), [p for p, _ in pairs])
    gb = torch.autograd.grad(case.loss(b, x, y), [q for _, q in pairs])
    output = float((a - b).detach().abs().max())
    return output, max(float((u - v).abs().max()) for u, v in zip(ga, gb, strict=True))


def train_beside(
    case: Case,
    converted: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    lr: float,
    weight_decay: float,
    optimiser: str = "adamw",
) -> Tensor:
    """Losses (steps, 2) of the original and the converted model, both trained on the same batches by adamw, adam or sgd."""
    models = [case.model, converted]
    kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    optimisers = [kinds[optimiser](m.parameters(), lr=lr, weight_decay=weight_decay) for m in models]
    rows = []
    for x, y in batches:
        losses = []
        for model, o in zip(models, optimisers, strict=True):
            loss = case.loss(model(case.inputs(x)), x, y)
            o.zero_grad()
            loss.backward()
            o.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def relative_gap(losses: Tensor) -> float:
    """Largest |difference| of the two curves relative to the original's loss."""
    return float(((losses[:, 0] - losses[:, 1]).abs() / losses[:, 0].abs()).max())


@torch.no_grad()
def main_branch_mean(model: nn.Module, blocks: Iterable[nn.Module], x: Tensor) -> float:
    """Largest |mean over the last axis| of what the blocks give on input x."""
    found: list[float] = []
    hooks = [
        b.register_forward_hook(lambda m, args, out: found.append(float(out.mean(-1).abs().max()))) for b in blocks
    ]
    model(x)
    for hook in hooks:
        hook.remove()
    return max(found)
