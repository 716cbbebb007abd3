"""e3nn's tensor product as a Gaunt product."""

from __future__ import annotations

import torch
from torch import nn

from bench.schema import BenchError
from models.geometry.spherical import gaunt_factor


def e3nn_even_paths(top: int) -> nn.Module:
    """`TensorProduct` over every path of even l1 + l2 + l3, path weight c^2 (e3nn takes its root), tables in float64.

    float32 modules of e3nn keep float32 tables when they are cast, hence the default dtype while it is built.
    """
    try:
        from e3nn import o3
    except ImportError:
        raise BenchError("method.backend=e3nn needs e3nn; install the extra `physics`") from None
    degrees = range(top + 1)
    paths = [(a, b, c) for a in degrees for b in degrees for c in range(abs(a - b), a + b + 1) if (a + b + c) % 2 == 0]
    irreps = [o3.Irreps([(1, (d, (-1) ** d)) for d in range(t + 1)]) for t in (top, top, 2 * top)]
    steps = [(*p, "uuu", False, gaunt_factor(*p) ** 2) for p in paths]
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return o3.TensorProduct(*irreps, steps, irrep_normalization="none", path_normalization="none")
    finally:
        torch.set_default_dtype(before)
