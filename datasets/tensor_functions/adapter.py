"""Draw the points and evaluate the function."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Arrays, Bundle, fingerprint
from datasets.tensor_functions.config import CANDIDATES, Config
from datasets.tensor_functions.functions import cosine_similarity, inertia
from datasets.tensor_functions.task import TensorTask

SHAPE = {"inertia": (5, 20), "cossim": (3, 9)}  # bodies or vectors, numbers
REPS = {"inertia": ([5, 5, 0], [0, 0, 1]), "cossim": ([0, 3, 0], [1, 0, 0])}  # tensors of rank 0, 1, 2 in and out


def points(function: str, n: int) -> np.ndarray:
    """(n, 20) or (n, 9) float64: float32 normal numbers of torch's generator with seed n + k + dim; masses through softplus."""
    import torch

    k, dim = SHAPE[function]
    x = torch.randn(n, dim, generator=torch.Generator().manual_seed(n + k + dim))
    if function == "inertia":
        x[:, :k] = torch.nn.functional.softplus(x[:, :k])
    return x.numpy().astype(np.float64)


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`x` (n, 20 or 9), `y` (n, 9 or 1) float32; `meta`: rep_in, rep_out (tensors by rank), groups (largest first), exact."""
    x = points(config.function, config.n)
    if config.function == "inertia":
        y = inertia(x, config.constant, config.axis)
    else:
        y = cosine_similarity(x, config.constant, config.keeps)
    order = np.random.default_rng([config.fold_number(fold), 3]).permutation(config.n)
    x, y = x.astype(np.float32), y.astype(np.float32)
    train, val, test = (Arrays(x[i], y[i]) for i in np.array_split(order, 3))
    rep_in, rep_out = REPS[config.function]
    return Bundle(
        kind=config.kind,
        train=train,
        val=val,
        test=test,
        n_out=y.shape[1],
        shape=x.shape[1:],
        group=fold,
        origin="simulated",
        fingerprint=fingerprint(x, y, order),
        task=TensorTask(),
        card={"licence": config.licence, "source": "simulated as in the experiment; nothing is downloaded"},
        meta={
            "rep_in": rep_in,
            "rep_out": rep_out,
            "groups": list(CANDIDATES[config.function]),
            "exact": list(config.exact()),
        },
    )
