"""Classical multidimensional scaling as invariant initial coordinates: MDS canonicalisation (TinvNN-style).

The idea - invariant and distance-preserving initial representations, then any network - is of Zhang et al. 2021 (arXiv
2112.12345), of which only the abstract was at hand. Scale, sign rule and the test for ambiguity are decisions of this project.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.geometry.frames import GAP, DegenerateSpectrum, ambiguous, check_cloud

SIGNS = ("moment", "all", "random")
ODD = (3, 5, 7)  # powers of the moments that decide a sign; the next is asked where one is too small
SMALL = 1e-6  # of a moment, per point and in units of the column's root mean square


class Canonical(NamedTuple):
    """`h` (B, n, d) coordinates with descending second moments, `scale` (B,) with cdist(h, h) * scale = cdist(x, x),
    `ambiguous` (B,): equal moments (or undecided signs), so that h is not unique."""

    h: Tensor
    scale: Tensor
    ambiguous: Tensor


def diameter(x: Tensor) -> Tensor:
    """Largest distance between two points of each cloud (B, n, d) -> (B,)."""
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").amax((1, 2))


def _scale(x: Tensor, rule: str) -> Tensor:
    if rule == "none":
        return x.new_ones(len(x))
    centred = x - x.mean(1, keepdim=True)
    # mean of the squared distances over all pairs, a point to itself included, is twice the mean squared radius
    s = diameter(x) if rule == "diameter" else (2 * centred.square().sum(-1).mean(1)).sqrt()
    if not (s > 0).all():
        raise ValueError(
            f"the points of cloud {int(s.argmin())} coincide, so that it has no scale; drop it, or use scale='none'"
        )
    return s


def orient(h: Tensor) -> tuple[Tensor, Tensor]:
    """Signs (B, d) that make the odd moments of each column of h (B, n, d) positive, and whether one was undecided (B,).

    The third moment decides; the fifth and seventh where it is below `SMALL`. A column of zeros (a flat cloud) needs no sign.
    """
    rms = h.square().mean(1).sqrt()
    flat = rms <= 1e-9 * rms.amax(-1, keepdim=True)
    unit = h / torch.where(flat, 1.0, rms)[:, None]
    moments = torch.stack([unit.pow(p).mean(1) for p in ODD])
    decided = moments.abs() > SMALL
    first = decided.long().argmax(0, keepdim=True)  # 0 where none is: flagged below
    signs = moments.gather(0, first)[0].sign()
    signs = torch.where(signs == 0, 1.0, signs)
    return signs, (~decided.any(0) & ~flat).any(-1)


def canonicalise(
    x: Tensor, *, sign: str = "moment", scale: str = "diameter", proper: bool = False, gap: float = GAP
) -> Canonical:
    """Invariant coordinates of clouds x (B, n, d): h = (x - mean) V / s, V the principal axes by descending moment.

    Equal to classical MDS of the distance matrix (`classical_mds`) up to signs, without forming n x n. Signs are decided in
    float64 by `orient` (sign="moment"), or left as they come ("none"); axes and scale carry no gradient.
    `proper`: the last axis is turned so that det V = 1, and a cloud differs from its mirror image.
    `scale`: "diameter", "rms" (root of the mean squared distance) or "none".

    Raises ValueError for NaN, fewer points than dimensions, and points that coincide (where there is a scale).
    """
    if scale not in ("diameter", "rms", "none"):
        raise ValueError(f"scale {scale!r} is unknown; use diameter, rms or none")
    check_cloud(x)
    wide = x.double()
    wide = wide - wide.mean(1, keepdim=True)
    with torch.no_grad():
        s = _scale(wide, scale)
        values, vectors = torch.linalg.eigh(wide.mT @ wide)
        unclear = ambiguous(values, gap)
        vectors = vectors.flip(-1)
        if proper:
            vectors[..., -1] *= torch.linalg.det(vectors).sign()[:, None]
        if sign == "moment":
            signs, undecided = orient(wide @ vectors)
            if proper:  # the first d - 1 columns decide; the last follows from the determinant
                _, undecided = orient(wide @ vectors[..., :-1])
                signs[:, -1] = signs[:, :-1].prod(-1)
            vectors, unclear = vectors * signs[:, None], unclear | undecided
    h = wide @ vectors / s[:, None, None]
    return Canonical(h.to(x.dtype), s.to(x.dtype), unclear)


def classical_mds(squared: Tensor, d: int) -> Tensor:
    """Coordinates (B, n, d), centred, columns by descending eigenvalue, from squared distances (B, n, n).

    B = -J D2 J / 2 = Q L Q^T, H = Q_d L_d^(1/2). Signs as eigh gives them. Raises ValueError for a shape that is not square.
    """
    if squared.dim() != 3 or squared.shape[1] != squared.shape[2]:
        raise ValueError(f"squared distances have shape {tuple(squared.shape)}; give (batch, n, n)")
    if not 1 <= d <= squared.shape[1]:
        raise ValueError(f"d={d} coordinates cannot be taken from {squared.shape[1]} points; give 1 <= d <= n")
    b = squared - squared.mean(1, keepdim=True)
    b = -0.5 * (b - b.mean(2, keepdim=True))
    values, vectors = torch.linalg.eigh((b + b.mT) / 2)
    return vectors.flip(-1)[..., :d] * values.flip(-1)[:, None, :d].clamp_min(0).sqrt()


class MDSCanonicalisation(nn.Module):
    """backbone(h) instead of backbone(x), h the canonical coordinates: invariant under translation, rotation, reflection and scale.

    `sign`: "moment" (one evaluation), "all" (mean over the 2^d sign patterns, the frame average), "random" (random signs in
    training; in evaluation `votes` random patterns are averaged, 1 for a single draw: not strictly invariant).
    After a call `ambiguous` (B,) marks clouds whose coordinates are not unique; `on_ambiguous`: warn, raise or ignore.
    """

    def __init__(
        self,
        backbone: nn.Module | Callable[..., Tensor],
        *,
        sign: str = "moment",
        scale: str = "diameter",
        proper: bool = False,
        votes: int = 1,
        gap: float = GAP,
        on_ambiguous: str = "warn",
    ) -> None:
        super().__init__()
        if sign not in SIGNS:
            raise ValueError(f"sign {sign!r} is unknown; use {', '.join(SIGNS)}")
        if on_ambiguous not in ("warn", "raise", "ignore"):
            raise ValueError(f"on_ambiguous {on_ambiguous!r} is unknown; use warn, raise or ignore")
        if proper and sign != "moment":
            raise ValueError("proper=True needs sign='moment': other rules average over reflections or draw them")
        self.backbone, self.sign, self.scale, self.proper = backbone, sign, scale, proper
        self.votes, self.gap, self.on_ambiguous = votes, gap, on_ambiguous
        self.ambiguous: Tensor | None = None

    def forward(self, x: Tensor, **features: Tensor) -> Tensor:
        rule = "moment" if self.sign == "moment" else "none"
        h, _, self.ambiguous = canonicalise(x, sign=rule, scale=self.scale, proper=self.proper, gap=self.gap)
        if self.on_ambiguous != "ignore" and self.ambiguous.any():
            sentence = (
                f"{int(self.ambiguous.sum())} of {len(x)} clouds have equal principal moments or undecided signs (a line, a "
                "sphere, a cube ...): their coordinates are not unique; drop or perturb them"
            )
            if self.on_ambiguous == "raise":
                raise ValueError(sentence)
            warnings.warn(sentence, DegenerateSpectrum, stacklevel=2)
        if self.sign == "moment":
            return self.backbone(h, **features)
        signs = self._patterns(h)
        size = signs.shape[1]
        copies = {k: v.repeat_interleave(size, 0) for k, v in features.items()}
        y = self.backbone((h[:, None] * signs[:, :, None]).flatten(0, 1), **copies)
        return y.reshape(len(x), size, *y.shape[1:]).mean(1)

    def _patterns(self, h: Tensor) -> Tensor:
        """Signs (B, k, d) by which the columns are multiplied."""
        d = h.shape[-1]
        if self.sign == "all":
            one = torch.ones(d, dtype=h.dtype, device=h.device)
            return torch.cartesian_prod(*[torch.stack([a, -a]) for a in one]).reshape(1, -1, d).expand(len(h), -1, -1)
        draws = 1 if self.training else self.votes
        return torch.randint(0, 2, (len(h), draws, d), device=h.device).to(h.dtype) * 2 - 1
