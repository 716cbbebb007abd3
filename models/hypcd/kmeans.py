"""k-means in which labelled points keep their class, and plain k-means."""

from __future__ import annotations

import torch
from torch import Tensor


def semi_supervised_kmeans(
    labelled: Tensor,
    y: Tensor,
    unlabelled: Tensor,
    k: int,
    restarts: int = 100,
    steps: int = 200,
    tol: float = 1e-4,
    seed: int = 0,
) -> Tensor:
    """Centres (k, d) float64 of clusters, the first M of which are the labelled classes (Vaze et al., CVPR 2022).

    Parameters
    ----------
    labelled (n, d) with classes y (n,) from 0 to M - 1, each occurring; unlabelled (m, d)
    restarts : starts, of which the one with the least inertia over all points is kept
    steps, tol : a start ends after so many steps, or when the squared movement of the centres falls below tol

    Starts: means of the labelled classes; the other k - M by k-means++ on the unlabelled points, given those. Each step assigns
    unlabelled points to the nearest centre, labelled ones to their class, and takes means; an empty cluster keeps its centre.
    """
    labelled, unlabelled = labelled.double(), unlabelled.double()
    m = int(y.max()) + 1 if len(y) else 0
    if not m or len(y) != len(labelled) or not bool((y.bincount(minlength=m) > 0).all()) or int(y.min()) < 0:
        raise ValueError("y must number the labelled classes from 0 without a gap, one entry for each labelled point")
    if k < m or len(unlabelled) < k - m:
        raise ValueError(
            f"k={k} clusters need at least {m} labelled classes and {k - m} unlabelled points; there are {len(unlabelled)}"
        )
    points = torch.cat([labelled, unlabelled])
    generator = torch.Generator().manual_seed(seed)
    known = _means(labelled, y, torch.zeros(m, labelled.shape[1], dtype=torch.float64))
    best, least = known, float("inf")
    for _ in range(restarts):
        centres = _plus_plus(known, unlabelled, k, generator)
        for _ in range(steps):
            label = torch.cat([y, torch.cdist(unlabelled, centres).argmin(1)])
            moved = _means(points, label, centres)
            shift = float((moved - centres).square().sum())
            centres = moved
            if shift < tol:
                break
        nearest = torch.cdist(unlabelled, centres).amin(1).square().sum()
        inertia = float(nearest + (labelled - centres[y]).square().sum())
        if inertia < least:
            best, least = centres, inertia
    return best


def plain_kmeans(points: Tensor, k: int, restarts: int = 10, seed: int = 0) -> Tensor:
    """Centres (k, d) float64 by scikit-learn on unlabelled points alone, as the released code of HypCD."""
    from sklearn.cluster import KMeans

    if len(points) < k:
        raise ValueError(f"k={k} clusters need as many points; there are {len(points)}")
    found = KMeans(k, n_init=restarts, random_state=seed).fit(points.double().numpy())
    return torch.as_tensor(found.cluster_centers_)


def _means(points: Tensor, label: Tensor, centres: Tensor) -> Tensor:
    """Mean of the points of each label; where there are none, the centre there was."""
    count = label.bincount(minlength=len(centres)).unsqueeze(1)
    total = torch.zeros_like(centres).index_add_(0, label, points)
    return torch.where(count > 0, total / count.clamp_min(1), centres)


def _plus_plus(known: Tensor, points: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Known centres and k - M points, each drawn with probability in proportion to its squared distance to the nearest so far."""
    centres = known
    near = torch.cdist(points, known).amin(1).square()
    for _ in range(k - len(known)):
        weight = near if float(near.sum()) > 0 else torch.ones_like(near)
        new = points[torch.multinomial(weight, 1, generator=generator)]
        centres = torch.cat([centres, new])
        near = torch.minimum(near, torch.cdist(points, new).squeeze(1).square())
    return centres
