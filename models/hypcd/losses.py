"""Contrastive losses on the sphere and on the ball, and the losses of SimGCD.

Two views of a batch of B images are stacked: points 0 to B - 1 are the first views, B to 2B - 1 the second ones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, normalize, softmax

from models.geometry import poincare


def cosines(z: Tensor) -> Tensor:
    """(n, n) cosines of the rows of z (n, d). On the ball they are those of the features: M keeps directions."""
    z = normalize(z, dim=1)
    return z @ z.mT


def minus_distances(z: Tensor, c: float, official: bool = False) -> Tensor:
    """(n, n) negative geodesic distances of points z (n, d) of the ball; `official` by the released formula."""
    if not official:
        return -poincare.pairwise_distance(z, z, c)
    return -poincare.distance_by_addition(z[:, None], z[None], c)


def info_nce(similarity: Tensor, temperature: float) -> Tensor:
    """Mean over 2B anchors of -log(exp(s_pos / T) / sum over all points but the anchor); the positive is the other view.

    similarity (2B, 2B). van den Oord et al. 2018; log(2B - 1) where all similarities are equal.
    """
    n = len(similarity)
    itself = torch.eye(n, dtype=torch.bool, device=similarity.device)
    target = (torch.arange(n, device=similarity.device) + n // 2) % n
    return cross_entropy((similarity / temperature).masked_fill(itself, -math.inf), target)


def sup_con(similarity: Tensor, y: Tensor, temperature: float) -> Tensor:
    """Mean over anchors of the mean over positives of -log(exp(s / T) / sum over all points but the anchor).

    similarity (n, n) of labelled points, y (n,) their labels, each occurring at least twice (two views). Khosla et al. 2020, without the
    factor of a base temperature. 0 where there is no labelled point.
    """
    n = len(y)
    if n == 0:
        return similarity.sum()
    itself = torch.eye(n, dtype=torch.bool, device=y.device)
    log_p = log_softmax((similarity / temperature).masked_fill(itself, -math.inf), dim=1)
    positive = (y[:, None] == y) & ~itself
    return -(log_p.masked_fill(~positive, 0.0).sum(1) / positive.sum(1)).mean()


def contrastive(similarity: Tensor, y: Tensor, weight: float, temperatures: tuple[float, float]) -> Tensor:
    """(1 - w) InfoNCE + w SupCon of one kind of similarity (2B, 2B); y (2B,) is -1 where there is no label."""
    rows = (y >= 0).nonzero().squeeze(1)
    labelled = sup_con(similarity[rows][:, rows], y[rows], temperatures[1])
    return (1 - weight) * info_nce(similarity, temperatures[0]) + weight * labelled


def representation_loss(
    z: Tensor,
    y: Tensor,
    alpha: float = 0.0,
    c: float | None = None,
    weight: float = 0.35,
    temperatures: tuple[float, float] = (1.0, 0.07),
    angle_scale: float = 1.0,
    official: bool = False,
) -> Tensor:
    """L_rep = (1 - alpha) L_angle + alpha L_distance of points z (2B, d), labels y (2B,) with -1 for none.

    `c` None: features on the sphere, cosines alone, the loss of GCD. alpha = 0 on the ball is the same number.
    """
    scaled = (temperatures[0] * angle_scale, temperatures[1] * angle_scale)
    angle = contrastive(cosines(z), y, weight, scaled)
    if c is None or alpha == 0:
        return angle
    return (1 - alpha) * angle + alpha * contrastive(minus_distances(z, c, official), y, weight, temperatures)


def mean_entropy_gap(p: Tensor) -> Tensor:
    """log K - H(p), the regulariser of SimGCD, for the mean prediction p (K,): 0 if uniform, log K if one class has all."""
    return torch.special.xlogy(p, p).sum() + math.log(len(p))


def self_distillation(logits: Tensor, temperature: float, teacher_temperature: float) -> Tensor:
    """Cross-entropy of each view's prediction with the other's sharpened one, logits (2B, K); the teacher has no gradient."""
    teacher = softmax(logits.detach() / teacher_temperature, dim=1).roll(len(logits) // 2, 0)
    return -(teacher * log_softmax(logits / temperature, dim=1)).sum(1).mean()


def classifier_loss(
    logits: Tensor, y: Tensor, temperature: float, teacher_temperature: float, weight: float, entropy_weight: float
) -> Tensor:
    """SimGCD: (1 - w) (self-distillation + xi (log K - H(mean p))) + w cross-entropy of labelled views; y (2B,), -1 for none."""
    mean = softmax(logits / temperature, dim=1).mean(0)
    free = self_distillation(logits, temperature, teacher_temperature) + entropy_weight * mean_entropy_gap(mean)
    known = y >= 0
    labelled = cross_entropy(logits[known] / temperature, y[known]) if bool(known.any()) else logits.sum() * 0.0
    return (1 - weight) * free + weight * labelled
