"""Trees in the plane and on the hyperbolic disc: path lengths, exact embeddings, and what curvature and clipping do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench import plan
from bench.schema import BenchError
from datasets.trees.adapter import parents, path_lengths
from datasets.trees.config import parse
from models.geometry import poincare
from models.tree_embedding import embed


def start(seed=0):
    return torch.Generator().manual_seed(seed)


def tree(b=3, depth=3):
    return torch.as_tensor(path_lengths(parents(b, depth)))


def test_path_lengths():
    """40 nodes; leaves of different subtrees of the root are 6 apart, siblings 2, node and parent 1."""
    d, parent = tree().numpy(), parents(3, 3)
    assert d.shape == (40, 40) and d.max() == 6 and (d == d.T).all() and (np.diag(d) == 0).all()
    child = np.arange(1, 40)
    assert (d[child, parent[1:]] == 1).all() and (d[0] == [0] + [1] * 3 + [2] * 9 + [3] * 27).all()
    assert d[13, 14] == 2 and d[13, 39] == 6
    assert (d <= (d[:, :, None] + d[None]).min(1)).all()


@pytest.mark.parametrize("c", [None, 0.5])
def test_what_fits_is_embedded_exactly(c):
    """Distances of points of the space itself are met, up to scale: to 1e-3 in the plane, to 1e-2 on the disc, where scale and radius
    nearly trade against each other."""
    tol = 1e-3 if c is None else 1e-2
    u = torch.randn(6, 2, dtype=torch.float64, generator=start(3))
    x = u if c is None else poincare.exp0(u, c)
    target = torch.cdist(x, x) if c is None else poincare.pairwise_distance(x, x, c)
    found = embed(3.0 * target, c=c, steps=800, generator=start())
    assert found.distortion < tol
    again = (
        torch.cdist(found.points, found.points)
        if c is None
        else poincare.pairwise_distance(found.points, found.points, c)
    )
    off = ~torch.eye(6, dtype=torch.bool)
    assert float((found.scale * again[off] / (3.0 * target[off]) - 1).abs().max()) < 5 * tol


def test_curvature_and_clipping():
    """A tree is a third better on the disc c = 1 than in the plane; the flat disc is the plane; a clip costs, a tighter one more."""
    options = {"steps": 400, "starts": 6}

    def rms(c, clip=None):
        return embed(tree(3, 2), c=c, clip=clip, generator=start(), **options).distortion

    plane, curved, flat = rms(None), rms(1.0), rms(1e-4)
    assert curved < 0.6 * plane
    assert abs(flat / plane - 1) < 0.02
    assert curved < rms(1.0, 0.8) < rms(1.0, 0.4)


def test_bad_input():
    with pytest.raises(ValueError, match="square matrix"):
        embed(torch.zeros(3, 2))
    with pytest.raises(ValueError, match="not positive"):
        embed(torch.zeros(3, 3))
    for text in ("3", "0x3", "3x-1", "9x9", "axb"):
        with pytest.raises(BenchError, match="branching x depth"):
            parse(text)
    with pytest.raises(BenchError, match="must be positive"):
        plan.expand(["method=ball_embedding", "method.c=0"])
    with pytest.raises(BenchError, match="belong to the ball"):
        plan.expand(["method=plane_embedding", "method.c=1.0"])
