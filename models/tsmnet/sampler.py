"""Training batches of several domains with the same number of samples each, stratified by class."""

from __future__ import annotations

import torch
from torch import Tensor


def domain_batches(
    y: Tensor, domain: Tensor, per_domain: int, per_batch: int, generator: torch.Generator
) -> list[list[int]]:
    """Indices of the batches of one epoch: `per_batch` domains with `per_domain` samples each.

    Each domain is put in a random order in which its classes alternate in proportion, and cut into pieces of `per_domain`;
    what is left over waits for another epoch (a domain that is smaller than one piece is a piece). A batch takes one piece
    of each of the `per_batch` domains that have most pieces left, ties at random, so the number of batches depends on the
    sizes of the domains alone. Towards the end a batch may have fewer domains.

    Parameters
    ----------
    y, domain : (n,) integer class and domain of every sample.
    """
    if per_domain < 1 or per_batch < 1:
        raise ValueError(f"per_domain={per_domain}, per_batch={per_batch}: both must be at least 1")
    if len(y) != len(domain) or not len(y):
        raise ValueError(f"y has {len(y)} entries and domain {len(domain)}; pass one of each per sample")
    pieces = []
    for d in domain.unique():
        order = stratified(y, (domain == d).nonzero().flatten(), generator)
        n = max(len(order) // per_domain, 1)
        pieces.append([order[i * per_domain : (i + 1) * per_domain].tolist() for i in range(n)])
    batches = []
    while any(pieces):
        left = torch.tensor([len(p) for p in pieces]) + 0.5 * torch.rand(len(pieces), generator=generator)
        most = [i for i in left.argsort(descending=True).tolist()[:per_batch] if pieces[i]]
        batches.append([index for i in most for index in pieces[i].pop()])
    return batches


def stratified(y: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
    """`rows` in a random order in which every class is spread evenly: any stretch holds the classes in proportion.

    The r-th of the n_c samples of class c (in random order) is placed at (r + u) / n_c with u uniform on [0, 1).
    """
    rows = rows[torch.randperm(len(rows), generator=generator)]
    place = torch.rand(len(rows), generator=generator, dtype=torch.float64)
    for c in y[rows].unique():
        own = y[rows] == c
        place[own] = (torch.arange(int(own.sum()), dtype=torch.float64) + place[own]) / own.sum()
    return rows[place.argsort(stable=True)]
