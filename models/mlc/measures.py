"""What learned features look like: dimensions of the classes and angles between them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def numerical_rank(z: Tensor, share: float = 0.95) -> int:
    """Least r such that the r largest squared singular values of z (n, d) are more than `share` of their sum (Ding et al. 2023)."""
    energy = torch.linalg.svdvals(z.double()).square().cumsum(0)
    return int((energy <= share * energy[-1]).sum()) + 1


def class_ranks(z: Tensor, y: Tensor) -> list[int]:
    """Numerical rank of the features of each class, in the order of the labels."""
    return [numerical_rank(z[y == c]) for c in y.unique()]


def cosines(z: Tensor, y: Tensor) -> tuple[float, float]:
    """Mean |<z_i, z_j>| over pairs of different classes and over pairs of one class (i != j); z (n, d) unit rows."""
    size = (z @ z.T).abs().fill_diagonal_(0)
    same = y[:, None] == y
    between, within = float(size[~same].mean()), float(size[same].sum() / max(1, int(same.sum()) - len(y)))
    return between, within


def draw(z: np.ndarray, gamma: np.ndarray, y: np.ndarray, title: str):
    """Gamma and |cosines| with points in the order of their classes, and the two leading directions of the features."""
    from matplotlib.figure import Figure

    order = np.argsort(y, kind="stable")[:: max(1, len(y) // 600)]
    figure = Figure(figsize=(11, 3.6))
    left, middle, right = figure.subplots(1, 3)
    part = gamma[np.ix_(order, order)]
    left.imshow(part, cmap="Greys", vmin=0, vmax=np.quantile(part, 0.99))
    left.set(title="membership, sorted by class", xticks=[], yticks=[])
    middle.imshow(np.abs(z[order] @ z[order].T), cmap="Greys", vmin=0, vmax=1)
    middle.set(title="|cosine| of features", xticks=[], yticks=[])
    plane = z @ np.linalg.svd(z, full_matrices=False)[2][:2].T
    right.scatter(plane[:, 0], plane[:, 1], c=y, cmap="tab10", s=4)
    right.set(title="two leading directions of the features", aspect="equal")
    figure.suptitle(title)
    return figure
