"""Compressible neo-Hookean plane strain on linear triangles: Newton's method, all elements in one batch. float64.

P = mu (F - F^-T) + lambda ln J F^-T (Bonet and Wood 2008, section 6.4). Own assembly because thousands of small meshes are solved:
scikit-fem's gives the same matrices (a test), at several times the cost on meshes of this size.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from bench.schema import BenchError

TOLERANCE = 1e-8  # of the residual over the load
NEWTON = 25


def gradients(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients (t, 3, 2) of the hat functions and areas (t,)."""
    corner = points[triangles]
    edge = np.roll(corner, -2, axis=1) - np.roll(corner, -1, axis=1)  # opposite each node
    double = edge[:, 0, 0] * edge[:, 1, 1] - edge[:, 0, 1] * edge[:, 1, 0]
    return np.stack([-edge[..., 1], edge[..., 0]], -1) / double[:, None, None], double / 2


def deformation(u: np.ndarray, triangles: np.ndarray, grad: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """F (t, 2, 2), its determinant (t,) and F^-T (t, 2, 2) of displacements u (n, 2)."""
    f = np.eye(2) + np.einsum("tai,taj->tij", u[triangles], grad)
    j = f[:, 0, 0] * f[:, 1, 1] - f[:, 0, 1] * f[:, 1, 0]
    cofactor = np.stack([np.stack([f[:, 1, 1], -f[:, 1, 0]], -1), np.stack([-f[:, 0, 1], f[:, 0, 0]], -1)], 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return f, j, cofactor / j[:, None, None]


def internal(
    u: np.ndarray, triangles: np.ndarray, grad: np.ndarray, area: np.ndarray, mu: float, lam: float
) -> tuple[np.ndarray, sp.csc_array]:
    """Internal forces (n, 2) and tangent matrix (2 n, 2 n), components of a node side by side."""
    f, j, g = deformation(u, triangles, grad)
    with np.errstate(invalid="ignore", divide="ignore"):
        log = np.log(j)
    p = mu * (f - g) + lam * log[:, None, None] * g
    force = np.zeros_like(u)
    np.add.at(force, triangles, area[:, None, None] * np.einsum("tij,taj->tai", p, grad))
    # dP = mu dF + (mu - lambda ln J) F^-T dF^T F^-T + lambda (F^-T : dF) F^-T, dF = e_k (x) grad_b
    b = np.einsum("tij,taj->tai", g, grad)
    local = mu * np.einsum("taj,tbj,ik->taibk", grad, grad, np.eye(2))
    local += (mu - lam * log)[:, None, None, None, None] * np.einsum("tbi,tak->taibk", b, b)
    local += lam * np.einsum("tai,tbk->taibk", b, b)
    dof = (2 * triangles[:, :, None] + np.arange(2)).reshape(-1, 6)
    data = (area[:, None, None, None, None] * local).reshape(-1, 36)
    n = 2 * len(u)
    shape = (np.repeat(dof, 6, axis=1).ravel(), np.tile(dof, 6).ravel())
    return force, sp.coo_array((data.ravel(), shape), shape=(n, n)).tocsc()


def top_load(points: np.ndarray, boundary: int, pressure: float) -> np.ndarray:
    """Nodal forces (n, 2) of a dead load upward on the edges at y = 1; the first `boundary` nodes run around the plate."""
    i, k = np.arange(boundary), (np.arange(boundary) + 1) % boundary
    top = (points[i, 1] > 1 - 1e-12) & (points[k, 1] > 1 - 1e-12)
    half = pressure * np.linalg.norm(points[i[top]] - points[k[top]], axis=1) / 2
    load = np.zeros_like(points)
    np.add.at(load[:, 1], i[top], half)
    np.add.at(load[:, 1], k[top], half)
    return load


def solve(
    points: np.ndarray,
    triangles: np.ndarray,
    load: np.ndarray,
    fixed: np.ndarray,
    mu: float,
    lam: float,
    steps: int = 2,
) -> np.ndarray:
    """Displacements (n, 2) at equilibrium; `fixed` nodes stay. BenchError where Newton's method does not converge."""
    grad, area = gradients(points, triangles)
    u = np.zeros_like(points)
    free = np.setdiff1d(np.arange(2 * len(points)), (2 * fixed[:, None] + np.arange(2)).ravel())
    for step in range(1, steps + 1):
        goal = load * step / steps
        for _ in range(NEWTON):
            force, tangent = internal(u, triangles, grad, area, mu, lam)
            residual = (goal - force).ravel()[free]
            if np.linalg.norm(residual) <= TOLERANCE * np.linalg.norm(goal):
                break
            if not np.isfinite(residual).all():
                raise BenchError("a plate folds over under its load; lower the load")
            u.ravel()[free] += splu(tangent[free][:, free]).solve(residual)
        else:
            raise BenchError(f"Newton's method does not converge in {NEWTON} steps on a plate; lower its load")
    return u


def von_mises(points: np.ndarray, triangles: np.ndarray, u: np.ndarray, mu: float, lam: float) -> np.ndarray:
    """Von Mises equivalent of the Cauchy stress, constant on elements, projected onto the nodes (n,) in L2."""
    from models.geometry.morphing import mass_matrix

    grad, area = gradients(points, triangles)
    f, j, g = deformation(u, triangles, grad)
    p = mu * (f - g) + lam * np.log(j)[:, None, None] * g
    s = np.einsum("tij,tkj->tik", p, f) / j[:, None, None]
    out = lam * np.log(j) / j  # the stress that keeps the strain plane
    value = np.sqrt(
        ((s[:, 0, 0] - s[:, 1, 1]) ** 2 + (s[:, 1, 1] - out) ** 2 + (out - s[:, 0, 0]) ** 2) / 2 + 3 * s[:, 0, 1] ** 2
    )
    right = np.bincount(triangles.ravel(), np.repeat(area * value / 3, 3), len(points))
    return splu(mass_matrix(points, triangles).tocsc()).solve(right)
