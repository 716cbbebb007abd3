"""The project's one pre-LN transformer: block, vision transformer, causal language model; the normalisation is exchangeable.

x <- x + Attention(N(x)), x <- x + MLP(N(x)), a last N before the head (Xiong et al. 2020, arXiv 2002.04745). The width of the
main branch and the widths inside the branches are told apart, so that a block with a narrower main branch is the same class.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

Norm = Callable[[int], nn.Module]
layer_norm: Norm = partial(nn.LayerNorm, eps=1e-5)


class Attention(nn.Module):
    """Multi-head self-attention (N, T, width) -> (N, T, width); `heads` heads of `head_dim` entries, causal on request.

    `mask` (broadcastable to (N, heads, T, T)): True where attention is allowed, or a float added to the scores.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        head_dim: int | None = None,
        *,
        causal: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if head_dim is None and width % heads:
            raise ValueError(
                f"width={width} is no multiple of heads={heads}; give head_dim, or heads that divide width"
            )
        self.heads, self.head_dim, self.causal, self.dropout = heads, head_dim or width // heads, causal, dropout
        self.qkv = nn.Linear(width, 3 * self.heads * self.head_dim, bias=bias)
        self.proj = nn.Linear(self.heads * self.head_dim, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, self.head_dim)).permute(2, 0, 3, 1, 4)
        p = self.dropout if self.training else 0.0
        y = scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=p, is_causal=self.causal)
        return self.proj(y.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Linear - activation - Linear on the last axis, width -> hidden -> width."""

    def __init__(
        self, width: int, hidden: int, activation: Callable[[], nn.Module] = nn.GELU, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.fc1, self.activation, self.fc2 = nn.Linear(width, hidden), activation(), nn.Linear(hidden, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.drop(self.activation(self.fc1(x))))


class LayerScale(nn.Module):
    """x * gamma, one factor per channel of the main branch (Touvron et al. 2021)."""

    def __init__(self, width: int, start: float = 0.1) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), start))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Block(nn.Module):
    """One pre-normalised block on (N, T, width).

    Parameters
    ----------
    width : entries of the main branch; `heads`, `head_dim` (width / heads), `hidden` (4 width) : sizes inside the branches.
    norm : makes the normalisation of `width` entries; dropout : on attention weights, inside the MLP and on both branches.
    layer_scale : start of a factor per channel on both branches; None for none.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        head_dim: int | None = None,
        hidden: int | None = None,
        norm: Norm = layer_norm,
        causal: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
        layer_scale: float | None = None,
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm(width), norm(width)
        self.attn = Attention(width, heads, head_dim, causal=causal, bias=bias, dropout=dropout)
        self.mlp = MLP(width, hidden or 4 * width, dropout=dropout)
        self.scale1, self.scale2 = (
            nn.Identity() if layer_scale is None else LayerScale(width, layer_scale) for _ in range(2)
        )
        self.drop1, self.drop2 = nn.Dropout(dropout), nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.drop1(self.scale1(self.attn(self.norm1(x), mask)))
        return x + self.drop2(self.scale2(self.mlp(self.norm2(x))))


class ViT(nn.Module):
    """Vision transformer (Dosovitskiy et al. 2021): images (N, channels, size, size) -> scores (N, n_out).

    Patches by a strided convolution, a learned class token, learned positions of all tokens; the head reads the class token
    (pool="token") or the mean of all tokens after the last norm (pool="mean").
    """

    def __init__(
        self,
        size: int,
        patch: int,
        channels: int,
        n_out: int,
        *,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        pool: str = "token",
        norm: Norm = layer_norm,
        dropout: float = 0.0,
        **block: object,
    ) -> None:
        super().__init__()
        if size % patch:
            raise ValueError(f"size={size} is no multiple of patch={patch}; choose a patch that divides the image")
        if pool not in ("token", "mean"):
            raise ValueError(f"pool={pool!r} is unknown; use token or mean")
        self.pool = pool
        self.patch = nn.Conv2d(channels, width, patch, patch)
        self.cls = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.position = nn.Parameter(0.02 * torch.randn(1, (size // patch) ** 2 + 1, width))
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(width, heads, norm=norm, dropout=dropout, **block)  # type: ignore[arg-type]
            for _ in range(depth)
        )
        self.norm, self.head = norm(width), nn.Linear(width, n_out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = self.drop(torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.position)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self.head(x[:, 0] if self.pool == "token" else x.mean(1))


class GPT(nn.Module):
    """Causal language model: token indices (N, T), T <= context -> next-token scores (N, T, vocabulary)."""

    def __init__(
        self,
        vocabulary: int,
        context: int,
        *,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        norm: Norm = layer_norm,
        dropout: float = 0.0,
        **block: object,
    ) -> None:
        super().__init__()
        self.token, self.position = nn.Embedding(vocabulary, width), nn.Parameter(0.02 * torch.randn(context, width))
        nn.init.normal_(self.token.weight, std=0.02)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(width, heads, norm=norm, causal=True, dropout=dropout, **block)  # type: ignore[arg-type]
            for _ in range(depth)
        )
        self.norm, self.head = norm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] > len(self.position):
            raise ValueError(f"{x.shape[1]} tokens and a context of {len(self.position)}; cut the sequence")
        x = self.drop(self.token(x) + self.position[: x.shape[1]])
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))
