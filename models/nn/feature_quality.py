"""What the features of a classifier look like: spread within classes, separation of classes, worth on other classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.data import DataLoader, TensorDataset

from bench.schema import Arrays


@torch.no_grad()
def embed(features: Callable[[Tensor], Tensor], split: Any, device: str, batch: int = 512) -> tuple[Tensor, Tensor]:
    """Features (N, D) and labels (N,) of a split (Arrays or a data set of pairs), on the CPU, in order."""
    if isinstance(split, Arrays):
        split = TensorDataset(torch.as_tensor(split.x), torch.as_tensor(split.y))
    parts = [(features(x.to(device)).float().cpu(), torch.as_tensor(y)) for x, y in DataLoader(split, batch)]
    return torch.cat([z for z, _ in parts]), torch.cat([y for _, y in parts])


def variability(z: Tensor, y: Tensor, chunk: int = 64) -> float:
    """Mean angle (degrees) between two features of one class, over all such pairs; z (N, D), y (N,). NaN without a pair.

    Classes are padded to one size and compared `chunk` classes at a time.
    """
    z = normalize(z.double(), dim=1)
    rows, inside = _by_class(y)
    total, pairs = 0.0, 0
    for r, here in zip(rows.split(chunk), inside.split(chunk), strict=True):
        members = z[r]
        both = (here.unsqueeze(1) & here.unsqueeze(2)).triu(1)
        angles = (members @ members.mT).clamp(-1, 1).acos()
        total += float(angles[both].sum())
        pairs += int(both.sum())
    return torch.tensor(total / pairs).rad2deg().item() if pairs else float("nan")


def separation(z: Tensor, y: Tensor) -> float:
    """R^2 = 1 - (mean cosine distance within classes) / (mean cosine distance over all pairs), classes weighted equally.

    z (N, D), y (N,) (Kornblith et al., NeurIPS 2021, section 3.5; pairs of a sample with itself included). 1 where classes are points.
    """
    z = normalize(z.double(), dim=1)
    classes, y = y.unique(return_inverse=True)
    sums = z.new_zeros(len(classes), z.shape[1]).index_add_(0, y, z)
    means = sums / y.bincount(minlength=len(classes)).unsqueeze(1)
    within = 1 - means.square().sum(1).mean()
    overall = 1 - means.mean(0).square().sum()
    return float(1 - within / overall)


def linear_probe(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> float:
    """Test accuracy of scikit-learn's linear support vector machine (C = 1) on standardised features."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    machine = make_pipeline(StandardScaler(), LinearSVC(dual=False, max_iter=5000))
    machine.fit(train[0].double().numpy(), train[1].numpy())
    return float(machine.score(test[0].double().numpy(), test[1].numpy()))


def _by_class(y: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of each class (classes, largest class) and which of these places are filled."""
    order, count = y.argsort(stable=True), y.unique(return_counts=True)[1]
    place = torch.arange(int(count.max())).expand(len(count), -1)
    inside = place < count.unsqueeze(1)
    start = count.cumsum(0) - count
    return order[(start.unsqueeze(1) + place).clamp_max(len(y) - 1)], inside
