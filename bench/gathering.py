"""Batch statistics under trainer=ddp: layers that take them see the global batch, as they would in one process."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class _AllGather(torch.autograd.Function):
    """Concatenation of every process's x along the first axis, in the order of ranks; sizes may differ.

    Backward sums the gradients of all processes and takes this one's part: a sample's influence on the other processes'
    outputs, through the shared statistics, comes back to it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, sizes: list[int]) -> Tensor:
        ctx.sizes = sizes
        most = max(sizes)
        padded = torch.cat([x, x.new_zeros(most - len(x), *x.shape[1:])]).contiguous()
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([p[:n] for p, n in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        grad = grad.contiguous().clone()
        dist.all_reduce(grad)
        return grad.split(ctx.sizes)[dist.get_rank()], None


def _sizes(n: int, device: torch.device) -> list[int]:
    mine = torch.tensor([n], device=device)
    parts = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, mine)
    return [int(p) for p in parts]


def takes_batch_statistics(part: nn.Module) -> bool:
    """Whether a layer keeps running statistics of its batches, which it marks by buffers called running_..."""
    return any(name.startswith("running_") for name, _ in part.named_buffers(recurse=False))


def share_statistics(module: Any, device: str) -> Any:
    """Let each layer that takes batch statistics see the global batch in training, and return its own share of the output.

    Exact for layers whose statistics do not depend on the order of samples. Names of parameters and buffers stay, and so
    do checkpoints. On a GPU, torch's own batch norms become SyncBatchNorm, which sends less, and so does what a layer's
    method `shared` gives in its place; subclasses of torch's batch norms do more than these, and are left as they are.
    """
    if device != "cpu":
        _synchronise(module)
    for part in module.modules():
        if takes_batch_statistics(part) and not isinstance(part, nn.SyncBatchNorm):
            part.register_forward_pre_hook(_gather)
            part.register_forward_hook(_own)
    return module


def _synchronise(module: nn.Module) -> None:
    part: Any
    for name, part in module.named_children():
        if type(part) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            setattr(module, name, nn.SyncBatchNorm.convert_sync_batchnorm(part))
        elif hasattr(part, "shared"):
            setattr(module, name, part.shared())
        else:
            _synchronise(part)


def _active(part: nn.Module) -> bool:
    return part.training and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _gather(part: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
    if not _active(part):
        return None
    first = inputs[0]
    sizes = _sizes(len(first), first.device)
    part._shares = sizes  # type: ignore[assignment]
    return tuple(_AllGather.apply(x, sizes) if isinstance(x, Tensor) and x.dim() else x for x in inputs)


def _own(part: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
    return output.split(part._shares)[dist.get_rank()] if _active(part) else None  # type: ignore[arg-type]
