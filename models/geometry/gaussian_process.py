"""Independent exact Gaussian processes with a Matern-5/2 kernel, all outputs in one batch.

Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), chapters 2 and 5. float64.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

JITTER = 1e-10  # on the diagonal, beside the noise
BOUNDS = {
    "length": (np.log(0.05), np.log(1e4)),
    "scale": (np.log(1e-4), np.log(1e4)),
    "noise": (np.log(1e-8), np.log(1.0)),
}


def matern52(a: Tensor, b: Tensor, length: Tensor) -> Tensor:
    """(1 + sqrt5 d + 5 d^2 / 3) exp(-sqrt5 d), d the distance of inputs over `length`: a (q, p), b (n, p), length (m, p) -> (m, q, n)."""
    a, b = a / length[:, None], b / length[:, None]
    squared = (a.square().sum(-1)[:, :, None] + b.square().sum(-1)[:, None] - 2 * a @ b.mT).clamp_min(1e-30)
    d = (5 * squared).sqrt()
    return (1 + d + d.square() / 3) * torch.exp(-d)


class MaternProcesses:
    """m processes y_k ~ GP(0, scale_k matern52(length_k) + noise_k) on shared inputs x (n, p); targets y (n, m).

    A length for each input and output (automatic relevance determination), or for each input and group of outputs. fit maximises
    the sum of the marginal likelihoods, which is a maximum of each, by L-BFGS from `restarts` + 1 starts, the best result kept output
    by output.
    """

    def __init__(self, restarts: int = 1, steps: int = 300, seed: int = 0) -> None:
        self.restarts, self.steps, self.seed = restarts, steps, seed

    def fit(self, x: np.ndarray, y: np.ndarray, group: np.ndarray | None = None) -> MaternProcesses:
        """group (m,): outputs of one number, counted from 0, share hyper-parameters.

        ValueError for values that are not finite or fewer than two samples.
        """
        if len(x) < 2 or len(x) != len(y):
            raise ValueError(
                f"there are {len(x)} inputs and {len(y)} targets; give one target for each of two or more inputs"
            )
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            row = int(np.argmin(np.isfinite(x).all(1) & np.isfinite(y).all(1)))
            raise ValueError(f"sample {row} has inputs or targets that are not finite (NaN or Inf); drop or repair it")
        self.x, self.y = torch.as_tensor(x, dtype=torch.float64), torch.as_tensor(y, dtype=torch.float64)
        group = np.arange(y.shape[1]) if group is None else np.asarray(group)
        self.group = torch.as_tensor(group)
        m, p = int(group.max()) + 1, x.shape[1]
        rng = np.random.default_rng(self.seed)
        best: tuple[Tensor, Tensor] | None = None
        for start in range(self.restarts + 1):
            raw = np.zeros((m, p + 2))
            raw[:, :p] = np.log(np.sqrt(p)) + (rng.standard_normal((m, p)) if start else 0)
            raw[:, -1] = np.log(1e-2 if not start else 1e-4)
            theta = self._search(raw)
            value = torch.zeros(m, dtype=torch.float64).index_add(0, self.group, self.log_likelihood(theta))
            if best is None:
                best = theta, value
            else:
                better = value > best[1]
                best = torch.where(better[:, None], theta, best[0]), torch.where(better, value, best[1])
        assert best is not None
        return self.set(best[0])

    def _search(self, raw: np.ndarray) -> Tensor:
        from scipy.optimize import minimize

        shape = raw.shape
        bounds = [BOUNDS["length"]] * (shape[1] - 2) + [BOUNDS["scale"], BOUNDS["noise"]]

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = self.value_and_slope(flat.reshape(shape))
            return -value, -slope.ravel()

        found = minimize(objective, raw.ravel(), jac=True, method="L-BFGS-B", bounds=bounds * shape[0],
                         options={"maxiter": self.steps, "maxcor": 20})  # fmt: skip
        return torch.as_tensor(found.x.reshape(shape))

    def _covariance(self, theta: Tensor) -> Tensor:
        length, scale, noise = torch.exp(theta[:, :-2]), torch.exp(theta[:, -2]), torch.exp(theta[:, -1])
        k = scale[:, None, None] * matern52(self.x, self.x, length)
        return k + (noise[:, None, None] + JITTER) * torch.eye(len(self.x), dtype=torch.float64)

    def _factor(self, theta: Tensor) -> Tensor:
        return torch.linalg.cholesky(self._covariance(theta))

    def value_and_slope(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Sum of the log likelihoods, without its constant, and its slope, of the shape of theta.

        The slope by the covariance is (a a^T - K^-1) / 2, a = K^-1 y, in closed form: no derivative of a factorisation is taken.
        """
        raw = torch.tensor(theta, requires_grad=True)
        k = self._covariance(raw)
        chol = torch.linalg.cholesky(k.detach())[self.group]
        alpha = torch.cholesky_solve(self.y.T[:, :, None], chol)
        by_k = (alpha @ alpha.mT - torch.cholesky_inverse(chol)) / 2
        k.backward(torch.zeros_like(k).index_add(0, self.group, by_k))
        value = -0.5 * (self.y.T * alpha[..., 0]).sum() - chol.diagonal(dim1=1, dim2=2).log().sum()
        assert raw.grad is not None
        return float(value), raw.grad.numpy()

    def log_likelihood(self, theta: Tensor) -> Tensor:
        """(m,) at theta (m, p + 2), or one row a group: logarithms of the lengths, of the scale and of the noise variance."""
        chol = self._factor(theta)[self.group]
        white = torch.linalg.solve_triangular(chol, self.y.T[:, :, None], upper=False)[..., 0]
        log_det = chol.diagonal(dim1=1, dim2=2).log().sum(1)
        return -0.5 * white.square().sum(1) - log_det - 0.5 * len(self.x) * np.log(2 * np.pi)

    def set(self, theta: Tensor) -> MaternProcesses:
        """Condition on the data at these hyper-parameters (m, p + 2)."""
        self.theta, self.chol = theta[self.group], self._factor(theta)[self.group]
        self.alpha = torch.cholesky_solve(self.y.T[:, :, None], self.chol)
        return self

    def predict(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and latent variance, both (q, m)."""
        length, scale = torch.exp(self.theta[:, :-2]), torch.exp(self.theta[:, -2])
        k = scale[:, None, None] * matern52(torch.as_tensor(x, dtype=torch.float64), self.x, length)
        mean = (k @ self.alpha)[..., 0]
        half = torch.linalg.solve_triangular(self.chol, k.mT, upper=False)
        variance = (scale[:, None] - half.square().sum(1)).clamp_min(0.0)
        return mean.T.numpy(), variance.T.numpy()

    @property
    def noise(self) -> np.ndarray:
        """Variances (m,)."""
        return torch.exp(self.theta[:, -1]).numpy()
