"""How SO(2), SL(2) and GL+(2), with small translations, move images: what the equivariance meter needs to know of a group."""

from __future__ import annotations

import torch
from torch import Tensor

from models.geometry import lie, warps

Element = tuple[Tensor, Tensor, Tensor]


class ImageAction:
    """x -> image moved by (g, t): g = P R with |log P| at most `bound` (Frobenius) and any rotation R, t about `spread` of the
    image's width. Outputs are invariant. Elements further out squeeze an image to nothing, and are not asked about."""

    moves, scale = True, False

    def __init__(self, group: str, *, variance: float = 0.1, bound: float = 0.5, spread: float = 0.05) -> None:
        self.group, self.variance, self.bound, self.spread = group, variance, bound, spread
        self.coordinates = lie.dimension(group)
        # the meter offers dim (dim - 1) / 2 coordinates, those of SO(dim)
        self.dim = next(d for d in range(2, 9) if d * (d - 1) // 2 >= self.coordinates)

    def draw(self, count: int, generator: torch.Generator, like: Tensor) -> Element:
        """Random (g, 0, t), one for each image: normal symmetric coordinates of P, uniform angles."""
        g = lie.sample(count, self.group, variance=self.variance, sampler="uniform", generator=generator).g
        t = torch.randn(count, 2, generator=generator, dtype=torch.float64) * self.spread
        return self._bounded(g).to(like), torch.zeros(count).to(like), t.to(like)

    def perturb(self, g: Tensor, w: Tensor) -> Tensor:
        """exp(hat w) g, drawn back to the bound; w (B, dim (dim - 1) / 2), of which the first coordinates count."""
        step = torch.linalg.matrix_exp(lie.hat(w[:, : self.coordinates], self.group))
        return self._bounded(step @ g)

    def on_input(self, element: Element, x: Tensor, vectors: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        g, _, t = element
        t = t * x.shape[-1]
        return warps.resample(x, warps.homogeneous(g, t)), vectors

    def on_output(self, element: Element, y: Tensor) -> Tensor:
        return y

    def gap(self, a: Tensor, b: Tensor) -> Tensor:
        """Euclidean distance (B,) of two outputs."""
        return (a - b).flatten(1).square().sum(1).sqrt()

    def _bounded(self, g: Tensor) -> Tensor:
        with torch.no_grad():
            log_p = lie.polar(g).log_p
            size = log_p.flatten(1).norm(dim=1)
            back = (self.bound / size.clamp_min(self.bound) - 1)[:, None, None] * log_p
            correction = torch.linalg.matrix_exp(back)
        return correction @ g
