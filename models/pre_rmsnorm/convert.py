"""Turn a Pre-LN transformer into the equivalent Pre-RMSNorm or Pre-CRMSNorm one (Jiang et al., NeurIPS 2023, arXiv 2305.14858).

Every writer into the main branch is recentred, so that the main branch has mean zero for ever; LN(x) = RMS(x) there. The compressed
form keeps d - 1 of its d entries. Output, gradient in every original parameter and training trajectory are those of the original.

    fast = to_pre_rmsnorm(model)                 # trainable: same parameters, everything else computed from them
    fast = to_pre_crmsnorm(model, deploy=True)   # plain layers for inference
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from models.nn import transformer
from models.pre_rmsnorm.encoder import Encoder, EncoderLayer, from_torch, from_torchvision
from models.pre_rmsnorm.linear import Affine, Reader, TableWriter, Writer
from models.pre_rmsnorm.norms import Centre, CRMSNorm, Expand, RMSNorm

KNOWN = "ViT and GPT of models.nn.transformer, VisionTransformer of timm and torchvision, torch's TransformerEncoder(norm_first=True)"
Place = tuple[nn.Module, str]  # a module and the name of its child


def to_pre_rmsnorm(model: nn.Module, *, deploy: bool = False, recentred_output: bool = False) -> nn.Module:
    """A Pre-RMSNorm copy of a Pre-LN transformer, or of a model that contains some; the argument is not changed.

    Parameters
    ----------
    model : one of KNOWN, alone or anywhere inside another module. Parameters of any dtype, on any device.
    deploy : plain layers with the computed weights, for inference (dropout is removed). Otherwise the copy has the original's
        parameters and computes recentred and folded weights from them in every forward pass: its loss, its gradients and the
        trajectory of any first-order optimiser are the original's up to rounding, dropout included.
        `original_names` of the result maps its parameter names to the original's.
    recentred_output : accept an encoder without a last norm, whose output the result gives minus its mean over the last axis.

    Raises
    ------
    ValueError : no Pre-LN transformer inside, a post-LN one, shared or frozen or non-finite parameters, no last norm.
    """
    return _converted(model, False, deploy, recentred_output)


def to_pre_crmsnorm(model: nn.Module, *, deploy: bool = False, recentred_output: bool = False) -> nn.Module:
    """As `to_pre_rmsnorm`, with a main branch of d - 1 entries: writers lose a row, readers a column."""
    return _converted(model, True, deploy, recentred_output)


def _converted(model: nn.Module, compress: bool, deploy: bool, recentred_output: bool) -> nn.Module:
    _check(model)
    out = copy.deepcopy(model)
    names = {id(p): name for name, p in out.named_parameters()}
    out = Converter(compress, deploy, recentred_output).whole(out)
    if deploy:
        out = _plain(out)
        out.original_names = {}  # type: ignore[assignment]
    else:
        out.original_names = {new: names[id(p)] for new, p in out.named_parameters()}  # type: ignore[assignment]
    return out.train(model.training)


def _check(model: nn.Module) -> None:
    seen: dict[int, str] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        if id(p) in seen:
            raise ValueError(
                f"{seen[id(p)]} and {name} share one parameter, which has two roles after conversion; untie them (give each a copy)"
            )
        seen[id(p)] = name
        if not p.requires_grad:
            raise ValueError(
                f"{name} is frozen, and conversion mixes parameters; unfreeze it (requires_grad_(True)), convert, then freeze"
            )
        if not bool(torch.isfinite(p).all()):
            raise ValueError(f"{name} has entries that are not finite; load a sound checkpoint")


def _plain(module: nn.Module) -> nn.Module:
    if isinstance(module, (Writer, TableWriter, Reader)):
        return module.plain()
    if parametrize.is_parametrized(module):
        for name in list(module.parametrizations):  # type: ignore[arg-type]
            value = getattr(module, name).detach().clone()
            parametrize.remove_parametrizations(module, name, leave_parametrized=False)
            setattr(module, name, nn.Parameter(value))
    for name, child in module.named_children():
        setattr(module, name, _plain(child))
    return module


class Converter:
    """Walks through a model and exchanges norms, writers and readers in place."""

    def __init__(self, compress: bool, deploy: bool, recentred_output: bool) -> None:
        self.compress, self.deploy, self.recentred_output = compress, deploy, recentred_output

    def whole(self, model: nn.Module) -> nn.Module:
        found = self._one(model)
        if found is None:
            raise ValueError(f"{type(model).__name__} has no Pre-LN transformer that is known here: {KNOWN}")
        return found

    def _one(self, module: nn.Module) -> nn.Module | None:
        """The converted module, or None where there is nothing to convert."""
        if isinstance(module, transformer.ViT):
            return self._vit(module)
        if isinstance(module, transformer.GPT):
            return self._gpt(module)
        if isinstance(module, nn.TransformerEncoder):
            return self._encoder(list(module.layers), module.norm)
        if isinstance(module, nn.TransformerEncoderLayer):
            return self._encoder([module], None)
        if type(module).__module__.startswith("timm.") and hasattr(module, "blocks"):
            return self._timm(module)
        if type(module).__module__ == "torchvision.models.vision_transformer" and hasattr(module, "encoder"):
            return self._torchvision(module)
        found = False
        for name, child in module.named_children():
            new = self._one(child)
            if new is not None:
                setattr(module, name, new)
                found = True
        return module if found else None

    # ------------------------------------------------------------------ pieces

    def _norm(self, at: Place, readers: Iterable[Place]) -> None:
        """A LayerNorm and the linear layers that read it."""
        norm, gamma, beta = self._bare(at)
        setattr(*at, norm)
        for owner, name in readers:
            setattr(owner, name, Reader(getattr(owner, name), self.compress, gamma, beta))

    def _last_norm(self, at: Place) -> None:
        """A LayerNorm whose reader is unknown: it keeps its scale and offset and gives all d entries."""
        norm, gamma, beta = self._bare(at)
        setattr(*at, nn.Sequential(norm, *([Expand()] if self.compress else []), Affine(gamma, beta)))

    def _bare(self, at: Place) -> tuple[nn.Module, nn.Parameter | None, nn.Parameter | None]:
        norm = getattr(*at)
        if not isinstance(norm, nn.LayerNorm) or len(norm.normalized_shape) != 1:
            raise ValueError(
                f"{at[1]} of {type(at[0]).__name__} is {type(norm).__name__}; a Pre-LN block has LayerNorm over one axis"
            )
        width = norm.normalized_shape[0]
        return (
            (CRMSNorm(width - 1, norm.eps) if self.compress else RMSNorm(width, norm.eps)),
            norm.weight,
            norm.bias,
        )

    def _branch(self, linear: Place, scale: Place | None, drop: Place | None, tail: Place | None) -> None:
        """The end of a branch: linear layer, then a LayerScale and dropout in either order; `tail` is the later module.

        Dropout after recentring would move the mean again, so with dropout the sum is recentred after it.
        """
        if drop is not None and getattr(*drop).p > 0 and not self.deploy:
            assert tail is not None
            setattr(*tail, nn.Sequential(getattr(*tail), Centre(self.compress)))
            return
        gamma = None
        if scale is not None and not isinstance(getattr(*scale), nn.Identity):
            gamma = getattr(*scale).gamma
            setattr(*scale, nn.Identity())
        if drop is not None:
            setattr(*drop, nn.Identity())
        setattr(*linear, Writer(getattr(*linear), self.compress, gamma))

    def _parameter(self, owner: nn.Module, name: str) -> None:
        """A parameter (..., d) that is added to the main branch, e.g. positions."""
        parametrize.register_parametrization(owner, name, Centre(self.compress), unsafe=True)

    # ------------------------------------------------------------------ models

    def _blocks(self, blocks: Iterable[transformer.Block]) -> None:
        for b in blocks:
            self._norm((b, "norm1"), [(b.attn, "qkv")])
            self._norm((b, "norm2"), [(b.mlp, "fc1")])
            self._branch((b.attn, "proj"), (b, "scale1"), (b, "drop1"), (b, "drop1"))
            self._branch((b.mlp, "fc2"), (b, "scale2"), (b, "drop2"), (b, "drop2"))

    def _entrance(self, model: nn.Module) -> bool:
        """Whether dropout makes it necessary to recentre after the embedding; done here then."""
        if model.drop.p > 0 and not self.deploy:  # type: ignore[union-attr]
            model.drop = nn.Sequential(model.drop, Centre(self.compress))  # type: ignore[arg-type]
            return True
        model.drop = nn.Identity()
        return False

    def _vit(self, model: transformer.ViT) -> nn.Module:
        if not self._entrance(model):
            model.patch = Writer(model.patch, self.compress)  # type: ignore[assignment]
            self._parameter(model, "cls")
            self._parameter(model, "position")
        self._blocks(model.blocks)  # type: ignore[arg-type]
        self._norm((model, "norm"), [(model, "head")])
        return model

    def _gpt(self, model: transformer.GPT) -> nn.Module:
        if not self._entrance(model):
            model.token = TableWriter(model.token, self.compress)  # type: ignore[assignment]
            self._parameter(model, "position")
        self._blocks(model.blocks)  # type: ignore[arg-type]
        self._norm((model, "norm"), [(model, "head")])
        return model

    def _encoder(self, layers: list[nn.TransformerEncoderLayer], last: nn.Module | None) -> nn.Module:
        new = [from_torch(layer) for layer in layers]
        if last is None and not self.recentred_output:
            raise ValueError(
                "the encoder has no last norm, so the mean of its output would be lost; give TransformerEncoder norm=LayerNorm(d), "
                "or recentred_output=True where the next layer does not see the mean"
            )
        self._encoder_layers(new)
        out = Encoder(new, Centre(self.compress), last or nn.Identity(), layers[0].self_attn.batch_first)
        if last is not None:
            self._last_norm((out, "exit"))
        elif self.compress:
            out.exit = Expand()
        return out

    def _encoder_layers(self, layers: Iterable[EncoderLayer]) -> None:
        for e in layers:
            self._norm((e, "norm1"), [(e, "qkv")])
            self._norm((e, "norm2"), [(e, "fc1")])
            self._branch((e, "proj"), None, (e, "drop1"), (e, "drop1"))
            self._branch((e, "fc2"), None, (e, "drop2"), (e, "drop2"))

    def _torchvision(self, model: Any) -> nn.Module:
        encoder = model.encoder
        encoder.dropout = nn.Sequential(encoder.dropout, Centre(self.compress))
        encoder.layers = nn.Sequential(*(from_torchvision(b) for b in encoder.layers))
        self._encoder_layers(encoder.layers)
        self._last_norm((encoder, "ln"))
        return model

    def _timm(self, model: Any) -> nn.Module:
        from timm.layers import Attention, Mlp
        from timm.models.vision_transformer import Block, VisionTransformer

        name = type(model).__name__
        if type(model) is not VisionTransformer:
            raise ValueError(f"timm's {name} is not known here, among timm's models only VisionTransformer")
        for b in model.blocks:
            if type(b) is not Block or type(b.attn) is not Attention or type(b.mlp) is not Mlp:
                raise ValueError(
                    f"{name} has blocks of {type(b).__name__} with {type(b.attn).__name__}; only its own Pre-LN Block is known"
                )
        plain_entrance = (
            isinstance(model.norm_pre, nn.Identity)
            and isinstance(model.patch_embed.norm, nn.Identity)
            and (self.deploy or model.pos_drop.p == 0)
        )
        if plain_entrance:
            model.patch_embed.proj = Writer(model.patch_embed.proj, self.compress)
            for parameter in ("cls_token", "reg_token", "pos_embed"):
                if getattr(model, parameter, None) is not None:
                    self._parameter(model, parameter)
        else:
            model.norm_pre = nn.Sequential(model.norm_pre, Centre(self.compress))
        for b in model.blocks:
            gate = [(b.attn, "gate")] if b.attn.gate is not None else []
            self._norm((b, "norm1"), [(b.attn, "qkv"), *gate])
            self._norm((b, "norm2"), [(b.mlp, "fc1")])
            self._branch((b.attn, "proj"), (b, "ls1"), (b.attn, "proj_drop"), (b, "ls1"))
            self._branch((b.mlp, "fc2"), (b, "ls2"), (b.mlp, "drop2"), (b, "ls2"))
        self._timm_head(model)
        return model

    def _timm_head(self, model: Any) -> None:
        before, after = isinstance(model.norm, nn.LayerNorm), isinstance(model.fc_norm, nn.LayerNorm)
        linear_pool = model.attn_pool is None and model.global_pool in ("token", "avg")
        if not before and not (after and linear_pool):
            raise ValueError(
                f"VisionTransformer has no LayerNorm before its pooling {model.global_pool!r}; use final_norm=True"
            )
        if before == after or not linear_pool or not isinstance(model.head, nn.Linear) or model.head_drop.p > 0:
            self._last_norm((model, "norm" if before else "fc_norm"))
        else:
            self._norm((model, "norm" if before else "fc_norm"), [(model, "head")])
