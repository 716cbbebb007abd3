"""Speed of the spherical convolution against order^2 sparse products and against dense matrices. Run: python scripts/speed/sgcn.py

One layer of 20 to 16 channels on residue graphs of about 9 neighbours, float32, one thread, the same weights and inputs. `products`
multiplies by one sparse matrix S_k (COO) for each harmonic, as the released code is described to do; `stacked` by all of them as one
sparse matrix (CSR); `dense` by all S_k of each model as one dense matrix. What each needs is made ready before, the sparse and dense
matrices once; their making is not counted. Candidates run interleaved after a warm-up; ratios of medians (of minima), with the largest
difference of results. The last column is what making the entries of S_k from coordinates costs, over our forward pass.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from datasets.proteins.decoys.adapter import load  # noqa: E402
from datasets.proteins.decoys.config import Config  # noqa: E402
from models.sgcn.graphs import Graphs, GraphSet  # noqa: E402
from models.sgcn.layers import SphericalConv, harmonics  # noqa: E402
from scripts.speed.timing import interleaved, ratio  # noqa: E402

CHANNELS = (20, 16)
CASES = ((5, 8, 60), (5, 64, 60), (5, 2, 300), (10, 8, 60), (10, 2, 300))  # order, models, residues


def graphs(models: int, residues: int) -> Graphs:
    config = Config(name="decoys", train=1, val=1, test=1, decoys=max(models, 2), residues=residues, splits=1)
    split = load(config, fold="0", source="simulated", root=Path(), cache=Path()).test
    return GraphSet(split).batch(range(models))[0]


def candidates(graph: Graphs, order: int, models: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """Name -> the layer as a function of X (N, 20)."""
    torch.manual_seed(0)
    layer = SphericalConv(*CHANNELS, order, torch.nn.functional.elu)
    s = harmonics(graph, order)
    n, k = len(graph.x), order**2
    i, d = (graph.weight > 0).nonzero(as_tuple=True)
    j, value = graph.neighbour[i, d], s[i, d]
    each = [torch.sparse_coo_tensor(torch.stack([i, j]), v, (n, n)).coalesce() for v in value.T.contiguous()]
    row = (i[:, None] * k + torch.arange(k)).flatten()
    index = torch.stack([row, j.repeat_interleave(k)])
    stack = torch.sparse_coo_tensor(index, value.flatten(), (n * k, n)).to_sparse_csr()
    size = n // models
    block = s.new_zeros(models, size * k, size)
    block[i.repeat_interleave(k) // size, row % (size * k), j.repeat_interleave(k) % size] = value.flatten()

    def finish(x: Tensor, moment: Tensor) -> Tensor:
        return layer.f(x @ layer.own + moment.reshape(n, -1) @ layer.weight.flatten(0, 1) + layer.bias)

    def products(x: Tensor) -> Tensor:
        z = x @ layer.own + layer.bias
        for m, w in zip(each, layer.weight, strict=True):
            z = z + torch.sparse.mm(m, x @ w)
        return layer.f(z)

    return {
        "ours": lambda x: layer(x, graph.neighbour, s),
        "products": products,
        "stacked": lambda x: finish(x, torch.sparse.mm(stack, x)),
        "dense": lambda x: finish(x, block @ x.view(models, size, -1)),
    }


def rows(order: int, models: int, residues: int, seconds: float) -> list[str]:
    graph = graphs(models, residues)
    x = torch.randn(len(graph.x), CHANNELS[0])
    layers = candidates(graph, order, models)
    with torch.no_grad():
        exact = layers["ours"](x)
        gap = max(float((f(x) - exact).abs().max()) for f in layers.values())
    out = []
    for backward in (False, True):

        def call(f: Callable[[Tensor], Tensor], backward: bool = backward) -> object:
            if not backward:
                with torch.no_grad():
                    return f(x)
            leaf = x.clone().requires_grad_()
            return torch.autograd.grad(f(leaf).square().sum(), leaf)

        timed = {name: (lambda f=f: call(f)) for name, f in layers.items()}
        if not backward:
            timed["harmonics"] = lambda: harmonics(graph, order)
        t = interleaved(timed, seconds)
        cost = ratio(t, "harmonics", "ours") if not backward else ""
        kind = "forward and backward" if backward else "forward"
        peers = " | ".join(ratio(t, name, "ours") for name in ("products", "stacked", "dense"))
        out.append(f"| {order} | {models} x {residues} | {kind} | {peers} | {gap:.0e} | {cost} |")
    return out


WHY = [
    "Forward, one stacked CSR matrix is as fast; its gradient needs the transpose, which torch makes anew each time. Dense matrices are",
    "near where a model has 60 residues and far behind at 300. The entries of S_k are made once for all layers of a network.",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="time per line of the table")
    parser.add_argument("--no-write", action="store_true", help="print only, leave sgcn.md alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# Spherical convolution: time of other ways over padded lists of neighbours",
        "",
        f"`python scripts/speed/sgcn.py`, float32, CPU, 1 thread, torch {torch.__version__}, NumPy {np.__version__}.",
        "One layer of 20 to 16 channels. Ratios of medians (of minima); above 1 ours is faster.",
        "",
        "| order | models x residues | pass | order^2 sparse products / ours | one stacked CSR / ours | dense / ours | largest "
        "difference | harmonics / ours |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in CASES:
        lines += rows(*case, args.seconds)
    text = "\n".join([*lines, "", *WHY]) + "\n"
    print(text)
    if not args.no_write:
        Path(__file__).with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
