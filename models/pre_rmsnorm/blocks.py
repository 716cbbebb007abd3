"""The three blocks by name: the same class with another normalisation and, for the compressed one, a narrower main branch."""

from __future__ import annotations

from functools import partial
from typing import Any

from models.nn.transformer import Block
from models.pre_rmsnorm.norms import CRMSNorm, RMSNorm


def pre_ln_block(dim: int, heads: int, **options: Any) -> Block:
    """x (N, T, dim) -> (N, T, dim), with torch's LayerNorm."""
    return Block(dim, heads, **options)


def pre_rmsnorm_block(dim: int, heads: int, eps: float = 1e-5, **options: Any) -> Block:
    """x (N, T, dim) -> (N, T, dim), RMSNorm; equivalent to Pre-LN where writers are recentred (see `to_pre_rmsnorm`)."""
    return Block(dim, heads, norm=partial(RMSNorm, eps=eps), **options)


def pre_crmsnorm_block(dim: int, heads: int, eps: float = 1e-5, **options: Any) -> Block:
    """x (N, T, dim - 1) -> (N, T, dim - 1), CRMSNorm; heads and hidden layer keep the sizes that they have at width `dim`."""
    if dim % heads:
        raise ValueError(f"dim={dim} is no multiple of heads={heads}; choose heads that divide it")
    sizes = {"head_dim": dim // heads, "hidden": 4 * dim}
    return Block(dim - 1, heads, norm=partial(CRMSNorm, eps=eps), **(sizes | options))
