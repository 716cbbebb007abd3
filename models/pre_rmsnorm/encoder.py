"""torch's TransformerEncoder(norm_first=True) with the normalisation taken out of its fused path, so that it can be exchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class EncoderLayer(nn.Module):
    """x <- x + drop(Attention(N(x))), x <- x + drop(MLP(N(x))) in the caller's layout, with the modules of a layer of torch or torchvision.

    `qkv` and `proj` hold the very parameters of the layer's self-attention. Masks as in torch: True, or -inf, forbids.
    """

    def __init__(self, attention: nn.MultiheadAttention, **parts: Any) -> None:
        super().__init__()
        if attention.in_proj_weight is None or attention.bias_k is not None or attention.add_zero_attn:
            raise ValueError(
                "self-attention with kdim, vdim, add_bias_kv or add_zero_attn is unknown here; use plain self-attention"
            )
        self.heads, self.dropout, self.batch_first = attention.num_heads, attention.dropout, attention.batch_first
        self.qkv = _holding(attention.in_proj_weight, attention.in_proj_bias)
        self.proj = _holding(attention.out_proj.weight, attention.out_proj.bias)
        self.norm1: nn.Module = parts["norm1"]
        self.norm2: nn.Module = parts["norm2"]
        self.fc1, self.fc2 = parts["fc1"], parts["fc2"]
        self.activation: Callable[[Tensor], Tensor] = parts["activation"]
        self.drop, self.drop1, self.drop2 = parts["drop"], parts["drop1"], parts["drop2"]

    def forward(self, x: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        x = x + self.drop1(self._attention(self.norm1(x), mask, causal))
        return x + self.drop2(self.fc2(self.drop(self.activation(self.fc1(self.norm2(x))))))

    def _attention(self, x: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        # (T, N, ...) in memory, as torch's own layer: a dropout mask then meets the same entries
        x = x.transpose(0, 1) if self.batch_first else x
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 1, 3, 0, 4)
        p = self.dropout if self.training else 0.0
        y = scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=p, is_causal=causal and mask is None)
        y = self.proj(y.permute(2, 0, 1, 3).flatten(2))
        return y.transpose(0, 1) if self.batch_first else y


def from_torch(layer: nn.TransformerEncoderLayer) -> EncoderLayer:
    """The same computation, outside torch's fused path. Raises ValueError for a post-LN layer."""
    if not layer.norm_first:
        raise ValueError(
            "a TransformerEncoderLayer here is post-LN; only Pre-LN layers (norm_first=True) have an equivalent"
        )
    return EncoderLayer(
        layer.self_attn,
        norm1=layer.norm1,
        norm2=layer.norm2,
        fc1=layer.linear1,
        fc2=layer.linear2,
        activation=layer.activation,
        drop=layer.dropout,
        drop1=layer.dropout1,
        drop2=layer.dropout2,
    )


def from_torchvision(block: Any) -> EncoderLayer:
    """An EncoderBlock of torchvision's VisionTransformer."""
    fc1, activation, drop, fc2, drop2 = block.mlp
    return EncoderLayer(
        block.self_attention,
        norm1=block.ln_1,
        norm2=block.ln_2,
        fc1=fc1,
        fc2=fc2,
        activation=activation,
        drop=drop,
        drop1=block.dropout,
        drop2=drop2,
    )


class Encoder(nn.Module):
    """A stack of EncoderLayer with what comes before and after; called like the torch module that it replaces.

    `entrance` maps the caller's (..., d) to the main branch, `exit` the last state to the caller's (..., d).
    """

    def __init__(self, layers: list[EncoderLayer], entrance: nn.Module, exit: nn.Module, batch_first: bool) -> None:
        super().__init__()
        self.entrance, self.layers, self.exit, self.batch_first = entrance, nn.ModuleList(layers), exit, batch_first

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
        src_mask: Tensor | None = None,
    ) -> Tensor:
        """`src` (N, T, d), (T, N, d) without batch_first, or (T, d); `mask` (T, T) or (N heads, T, T), padding (N, T)."""
        one, axis = src.dim() == 2, 0 if self.batch_first else 1
        x = self.entrance(src.unsqueeze(axis) if one else src)
        scores = self._scores(mask if mask is not None else src_mask, src_key_padding_mask, x.shape[axis], x.dtype)
        for layer in self.layers:
            x = layer(x, scores, bool(is_causal))
        x = self.exit(x)
        return x.squeeze(axis) if one else x

    def _scores(self, mask: Tensor | None, padding: Tensor | None, n: int, dtype: torch.dtype) -> Tensor | None:
        """What is added to the attention scores, broadcastable to (N, heads, T, T)."""
        parts = []
        if mask is not None:
            mask = _additive(mask, dtype)
            parts.append(mask.unflatten(0, (n, -1)) if mask.dim() == 3 else mask)
        if padding is not None:
            parts.append(_additive(padding, dtype).view(n, 1, 1, -1))
        return sum(parts[1:], parts[0]) if parts else None


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dtype == torch.bool:
        return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(mask, float("-inf"))
    return mask.to(dtype)


def _holding(weight: Any, bias: Any) -> nn.Linear:
    """A linear layer around existing parameters: the same objects, no copies."""
    layer = nn.Linear(1, 1, bias is not None, device="meta")
    layer.weight, (layer.out_features, layer.in_features) = weight, weight.shape
    if bias is not None:
        layer.bias = bias
    return layer
