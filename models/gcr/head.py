"""The classification head whose classes are subspaces of the feature space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from bench.schema import BenchError, Bundle, Metric
from models.geometry import grassmann

if TYPE_CHECKING:
    from models.image_classifier.config import Config


class GrassmannHead(nn.Module):
    """Scores gamma ||S_c^T x / ||x|| ||: gamma times the cosine of the angle between feature and subspace of class c.

    Features x (N, D) -> scores (N, K) in [0, gamma]; no bias, gamma fixed (Wang et al. 2023). With k = 1 the score is gamma |cos|,
    unsigned. Scores are the same for x, -x and any multiple of x, and for any orthonormal basis of a class; they are computed in at
    least single precision. A feature that is zero has the score 0 for every class.

    Parameters
    ----------
    features : D
    n_out : K
    k : dimension of every class, 1 <= k <= D
    gamma : largest score

    Attributes
    ----------
    weight : Parameter (K, k, D), row-major, so that its view (K k, D) has the rows S_c^T of class c at c k, ..., (c + 1) k - 1. It
        starts uniform on the manifold and stays on it only under an optimiser made for it, which `manifolds` asks for.

    Raises
    ------
    ValueError : k not in 1, ..., D, or gamma not positive.
    """

    manifolds: ClassVar[dict[str, str]] = {"weight": "grassmann"}

    def __init__(self, features: int, n_out: int, k: int = 8, gamma: float = 25.0) -> None:
        super().__init__()
        if not 1 <= k <= features:
            raise ValueError(
                f"k={k} dimensions for each class do not fit into features of dimension {features}; take 1 to {features}"
            )
        if not gamma > 0:
            raise ValueError(f"gamma={gamma} must be positive: it is the largest score")
        self.gamma = gamma
        self.weight = nn.Parameter(grassmann.random_frames(n_out, features, k).mT.contiguous())

    @property
    def frames(self) -> Tensor:
        """S (K, D, k): orthonormal columns, one basis for each class."""
        return self.weight.mT

    def forward(self, x: Tensor) -> Tensor:
        n_out, k, _ = self.weight.shape
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.weight.dtype)
            z = linear(self.gamma * normalize(x, dim=1), self.weight.flatten(0, 1))
            return torch.linalg.vector_norm(z.view(-1, n_out, k), dim=2)

    @torch.no_grad()
    def after_average(self) -> None:
        """A mean of frames is no frame: orthonormalise it."""
        self.weight.copy_(grassmann.reorthonormalise(self.frames).mT)

    @torch.no_grad()
    def measure(self, bundle: Bundle) -> list[Metric]:
        """How far the bases are from orthonormal; where a simulator knows the true subspaces, how near the learned ones are."""
        s = self.frames.detach().double().cpu()
        out = [Metric("orthonormality_error", grassmann.error(s), "lower", "1")]
        truth = bundle.meta.get("truth", {})
        if "bases" in truth:
            angles = grassmann.principal_angles(s, torch.as_tensor(truth["bases"], dtype=s.dtype))
            out.append(Metric("subspace_cosine", float(angles.cos().mean()), "higher", "1"))
        return out

    def draw(self) -> Any:
        """The smallest principal angle between any two classes: which subspaces lean on which."""
        from matplotlib.figure import Figure

        s = self.frames.detach().float().cpu()[:100]
        n, d, k = s.shape
        inner = (s.mT.reshape(n * k, d) @ s.permute(1, 0, 2).reshape(d, n * k)).view(n, k, n, k).transpose(1, 2)
        angles = torch.linalg.matrix_norm(inner, ord=2).clamp_max(1).acos().rad2deg()
        figure = Figure(figsize=(5, 4))
        axes = figure.add_subplot(xlabel="class", ylabel="class", title=f"smallest principal angle (degrees), k = {k}")
        figure.colorbar(axes.imshow(angles.numpy(), vmin=0, vmax=90), ax=axes)
        return figure


def grassmann_head(features: int, n_out: int, cfg: Config) -> GrassmannHead:
    if cfg.subspace_dim > features:
        raise BenchError(
            f"method.subspace_dim={cfg.subspace_dim} is more than the {features} features of the network; take at most {features}"
        )
    return GrassmannHead(features, n_out, cfg.subspace_dim, cfg.scale)
