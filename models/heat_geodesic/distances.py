"""The heat-geodesic dissimilarity between all pairs of points."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.distance import pdist, squareform

from models.geometry.heat import alpha_decay_graph, entropy, heat_kernel, knee, laplacian, varadhan


@dataclass
class HeatDistances:
    """Points (n, d) -> dissimilarities (n, n), symmetric, zero diagonal if rho >= 1; see `Config` for the choices.

    After a call: `t` the time used, `kernel` H_t (n, n), `saturated` share of pairs whose kernel is below 1e-16 (they tie), `entropies`
    of the grid if the time was chosen.
    """

    knn: int = 10
    decay: float = 40.0
    bridge: bool = False
    kind: str = "normalised"
    route: str = "chebyshev"
    order: int | None = None
    rank: int = 100
    t: float | None = None
    grid: tuple[float, float, int] = (0.05, 200.0, 10)
    rho: float = 1.0
    denoise: float = 0.0
    entropies: list[float] = field(default_factory=list, init=False)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        lap = laplacian(alpha_decay_graph(x, self.knn, self.decay, self.bridge), self.kind)
        if self.t is None:
            times = np.linspace(*self.grid).tolist()
            kernels = heat_kernel(lap, times, self.route, self.order, self.rank)
            self.entropies = [entropy(h) for h in kernels]
            at = knee(np.array(times), np.array(self.entropies))
            self.t, self.kernel = times[at], kernels[at]
        else:
            self.kernel = heat_kernel(lap, [self.t], self.route, self.order, self.rank)[0]
        d, self.saturated = varadhan(self.kernel, self.t, self.rho)
        if not d.any():
            raise ValueError(f"t={self.t} and rho={self.rho} leave every dissimilarity 0; lower one of them")
        if self.denoise:
            d = (1 - self.denoise) * d + self.denoise * squareform(pdist(d))
        return d
