"""Any torch module becomes a hypernetwork's primary network in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_map

from models.mip.hypernet import HyperNetwork


class Hypernetised(nn.Module):
    """`model(gamma, *inputs, **named)`: the primary network evaluated with weights h(gamma). Made by `hypernetise`.

    With one gamma, (d,) or (1, d), all inputs share its weights. With gamma (B, d), B > 1, sample i of every input gets
    the weights of gamma_i, in one batched computation where torch can batch the module, and in a loop over samples where it cannot
    (recurrent layers). Named arguments are passed on as they are, to every sample.
    """

    def __init__(self, primary: nn.Module, hyper: HyperNetwork) -> None:
        super().__init__()
        self.primary, self.hyper = primary, hyper

    def forward(self, gamma: Tensor | Mapping[str, Tensor], *inputs: Any, **named: Any) -> Any:
        gathered = self.hyper.gather(gamma)
        theta = self.hyper.flat(gathered)
        if len(theta) == 1:
            return functional_call(self.primary, self.hyper.split(theta[0]), inputs, named)
        for x in inputs:
            if len(x) != len(theta):
                raise ValueError(
                    f"{len(theta)} values of gamma for {len(x)} samples; give one gamma, or one per sample"
                )
        if any(isinstance(m, _BatchNorm) and m.training for m in self.primary.modules()):
            raise ValueError(
                "batch normalisation has no statistics where every sample has weights of its own; "
                "give one gamma per batch, or use layer or group normalisation"
            )

        def one(row: Tensor, *xs: Tensor) -> Any:
            out = functional_call(self.primary, self.hyper.split(row), tuple(x[None] for x in xs), named)
            return tree_map(lambda t: t[0], out)

        try:
            with _differentiable():
                return vmap(one, randomness="different")(theta, *inputs)
        except RuntimeError:  # an operation without a rule for batches; an error of the module's own comes again below
            each = [one(*row) for row in zip(theta, *inputs, strict=True)]
            return tree_map(lambda *ts: torch.stack(ts), *each)


@contextmanager
def _differentiable() -> Iterator[None]:
    """torch's encoder layers without their fused path, which has no gradient and under vmap does not see that one is asked for."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(before and not torch.is_grad_enabled())
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def hypernetise(
    module: nn.Module,
    inputs: int | Mapping[str, int] = 1,
    *,
    which: Callable[[str, nn.Parameter], bool] | None = None,
    keep: bool = False,
    **options: Any,
) -> Hypernetised:
    """The user's network with its parameters predicted from gamma: `net = hypernetise(net); net(gamma, x)`.

    Parameters
    ----------
    module : any module, with outputs of any structure; it is taken over, and its predicted parameters become buffers that every call
        replaces.
    inputs : entries of gamma, in all or by name.
    which : tells from name and parameter whether it is predicted (default: all); the others stay trainable parameters.
    keep : theta_0 starts at the module's present weights (a pretrained network); otherwise weights start as Kaiming fan-in
        and what has one axis at the module's own values, biases at zero.
    options : of HyperNetwork. The default is the magnitude-invariant form; `encoding="none", independent=False` the standard one.

    Raises
    ------
    ValueError : nothing to predict, or parameters shared between layers.
    """
    named = list(module.named_parameters(remove_duplicate=False))
    if len({id(p) for _, p in named}) < len(named):
        raise ValueError("module shares parameters between layers, which cannot be predicted apart; untie them first")
    chosen = {name: p for name, p in named if which is None or which(name, p)}
    if not chosen:
        raise ValueError("no parameter is predicted: `which` refuses all, or the module has none")
    shapes = {name: p.shape for name, p in chosen.items()}
    own = {name: p.detach().clone() for name, p in chosen.items()}
    if keep and not options.get("independent", True):
        raise ValueError("keep=True needs independent weights theta_0; drop independent=False")
    if not keep:  # scales of norm layers start at one; a bias at zero; the rest as Kaiming
        own = {n: v for n, v in own.items() if v.dim() == 1 and n.rpartition(".")[2] != "bias"}
    first = next(iter(chosen.values()))
    hyper = HyperNetwork(inputs, shapes, values=own, **options).to(first.device, first.dtype)
    for name in chosen:
        path, _, leaf = name.rpartition(".")
        owner = module.get_submodule(path)
        value = owner._parameters.pop(leaf)
        assert value is not None
        owner.register_buffer(leaf, torch.zeros_like(value, requires_grad=False), persistent=False)
    return Hypernetised(module, hyper)
