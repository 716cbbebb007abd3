"""Exact Gaussian process regression of tangent fields in the span of the lowest modes of the connection Laplacian.

Peach et al. (ICLR 2024): K((i, a), (j, b)) = sum_l S_l Phi_i[a, l] Phi_j[b, l], S a decreasing function of the eigenvalues. The kernel has
as many features as modes, so the exact posterior is that of a linear model: O(N k^2) once and O(k^3) for each value of the
hyper-parameters, without inducing points and without an N x N matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.geometry.connection import check_vectors

FLOOR = 1e-6  # of the noise variance, in units of the mean square of the data
CONVERGED = 1e-9  # relative change of the objective


def spectral_weights(values: Tensor, kind: str, kappa: Tensor, nu: Tensor, sigma_f: Tensor, rows: int) -> Tensor:
    """S (k,) >= 0 with sum sigma_f rows. matern: (lambda + 2 nu / kappa^2)^-nu; se: exp(-lambda kappa^2 / 2); before normalising.

    values (k,) eigenvalues; kappa length scale, in units of the inverse root of an eigenvalue; rows = n D. Evaluated in logarithms, so
    that extreme hyper-parameters keep the ratio of the weights. ValueError for another kind.
    """
    if kind == "matern":
        log = -nu * torch.log(values + 2 * nu / kappa**2)
    elif kind == "se":
        log = -values * kappa**2 / 2
    else:
        raise ValueError(f"the kernel is {kind!r}; use matern or se")
    return sigma_f * rows * torch.softmax(log, 0)


@dataclass
class Parameters:
    """Hyper-parameters: nu and kappa of the kernel, sigma_f (variance), noise (variance of an ambient component)."""

    nu: float = 1.5
    kappa: float = 5.0
    sigma_f: float = 1.0
    noise: float = 1.0

    def raw(self) -> Tensor:
        return torch.log(torch.tensor([self.nu, self.kappa, self.sigma_f, self.noise], dtype=torch.float64))


class VectorFieldGP:
    """Regression on modes Phi (n, D, k) of n points, of which some have vectors.

    fit(index, y): index (t,), y (t, D). predict(index) -> mean (q, D) and, for each point, the latent covariance (q, D, D).
    The data are divided by their root mean square before fitting and predictions multiplied by it: the start of the
    search for hyper-parameters then means the same in every unit.
    """

    def __init__(
        self,
        values: np.ndarray,
        modes: np.ndarray,
        kind: str = "matern",
        start: Parameters | None = None,
        optimise: bool = True,
        steps: int = 1000,
    ) -> None:
        if modes.ndim != 3 or modes.shape[2] != len(values):
            raise ValueError(f"modes have shape {modes.shape}; give (n, D, k) with one eigenvalue for each of the k")
        self.values, self.modes = torch.as_tensor(values), torch.as_tensor(modes)
        self.kind, self.optimise, self.steps = kind, optimise, steps
        self.parameters = start or Parameters()
        self.scale = 1.0

    def weights(self, raw: Tensor | None = None) -> Tensor:
        """S (k,) at these (the fitted) hyper-parameters."""
        nu, kappa, sigma_f, _ = torch.exp(self.parameters.raw() if raw is None else raw)
        n, d, _ = self.modes.shape
        return spectral_weights(self.values, self.kind, kappa, nu, sigma_f, n * d)

    def kernel(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """K (len(a) D, len(b) D) between the components of points a and b."""
        k = self.modes.shape[2]
        left, right = self.modes[a].reshape(-1, k), self.modes[b].reshape(-1, k)
        return ((left * self.weights()) @ right.T).numpy()

    def fit(self, index: np.ndarray, y: np.ndarray) -> VectorFieldGP:
        """Maximise the marginal likelihood of the vectors y (t, D) at points `index`; ValueError for NaN, repeated or no points."""
        from scipy.optimize import minimize

        index = np.asarray(index)
        _, d, k = self.modes.shape
        y = check_vectors(y, (len(index), d), "training vectors")
        if len(np.unique(index)) < len(index):
            raise ValueError("a training point occurs twice; give each once")
        self.scale = float(np.sqrt(np.mean(y**2))) if len(index) else 0.0
        if self.scale == 0:
            raise ValueError("the training vectors are all zero, or there are none; give some that are not")
        features, target = self.modes[index].reshape(-1, k), torch.as_tensor(y).reshape(-1) / self.scale
        self._gram, self._moment = features.T @ features, features.T @ target
        self._square, self._count = float(target @ target), len(target)
        raw = self.parameters.raw()
        self.evaluations = 0
        if self.optimise:

            def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
                point = torch.tensor(x, requires_grad=True)
                loss = -self.log_likelihood(point)
                (slope,) = torch.autograd.grad(loss, point)
                return float(loss.detach()), slope.numpy()

            bounds = [(-3.0, 3.0), (-5.0, 6.0), (-20.0, 10.0), (np.log(FLOOR), 3.0)]
            start = np.clip(raw.numpy(), [b[0] for b in bounds], [b[1] for b in bounds])
            found = minimize(
                objective,
                start,
                jac=True,
                method="L-BFGS-B",
                bounds=bounds,
                options={"maxiter": self.steps, "ftol": CONVERGED},
            )
            raw, self.evaluations = torch.as_tensor(found.x), int(found.nfev)
        self.parameters = Parameters(*torch.exp(raw).tolist())
        root, chol, noise = self._factor(raw)
        self._mean = root * torch.cholesky_solve((root * self._moment)[:, None], chol)[:, 0]
        # covariance of the coefficients: noise diag(root) B^-1 diag(root), as the square of `_spread`
        self._spread = torch.linalg.solve_triangular(chol, torch.diag(root), upper=False).T * noise.sqrt()
        return self

    def _factor(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """sqrt S (k,), the Cholesky factor of B = noise I + sqrt S G sqrt S (G the Gram matrix of the features), noise."""
        root, noise = self.weights(raw).sqrt(), torch.exp(raw[3])
        b = root[:, None] * self._gram * root + noise * torch.eye(len(root), dtype=torch.float64)
        return root, torch.linalg.cholesky(b), noise

    def log_likelihood(self, raw: Tensor) -> Tensor:
        """log N(y; 0, K + noise I) at the logarithms of nu, kappa, sigma_f and noise, through the matrix determinant lemma."""
        root, chol, noise = self._factor(raw)
        white = torch.linalg.solve_triangular(chol, (root * self._moment)[:, None], upper=False)[:, 0]
        n, k = self._count, len(root)
        log_det = (n - k) * torch.log(noise) + 2 * torch.log(torch.diagonal(chol)).sum()
        return -0.5 * ((self._square - white @ white) / noise + log_det + n * np.log(2 * np.pi))

    def predict(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (q, D) and latent covariance (q, D, D) at points `index`, in the unit of the training vectors."""
        phi = self.modes[index]
        mean, half = phi @ self._mean, phi @ self._spread
        return (self.scale * mean).numpy(), (self.scale**2 * half @ half.mT).numpy()

    @property
    def noise(self) -> float:
        """Variance of the noise of one component, in the square of the unit of the training vectors."""
        return self.parameters.noise * self.scale**2
