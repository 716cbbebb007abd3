"""Fundamental forms, connection and curvature against closed forms, and how fast differences and fits approach them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from models.geometry.forms import brioschi, grid_forms, grid_windows, local_forms, neighbours


def chart(n: int, u=(0.4, 2.6), v=(0.0, 2.0)):
    """(u, v, steps) of an n x n grid."""
    a, b = np.linspace(*u, n), np.linspace(*v, n)
    return *np.meshgrid(a, b, indexing="ij"), (a[1] - a[0], b[1] - b[0])


def sphere(n: int, radius: float = 2.0):
    theta, phi, step = chart(n)
    x = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)
    return theta, radius * x, step


def bumpy(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.stack([u + 0.2 * v**2, v, 0.3 * np.sin(2 * u) * np.cos(v) + 0.1 * u * v], -1)


def scattered(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points of an ellipsoid, outward normals and Gauss curvature 1 / ((abc)^2 (sum x_i^2 / a_i^4)^2)."""
    half = np.array([1.0, 1.3, 0.7])
    p = np.random.default_rng(seed).normal(size=(n, 3))
    p = p / np.linalg.norm(p, axis=1, keepdims=True) * half
    normal = p / half**2
    return p, normal, 1 / (np.prod(half) * (p**2 / half**4).sum(1)) ** 2


def test_plane_is_flat_in_any_affine_chart():
    u, v, step = chart(12)
    f = grid_forms(np.stack([2 * u + 0.3 * v, v - 0.1 * u, 0.7 * u - 0.2 * v], -1), step)
    assert max(np.abs(a).max() for a in (f.connection, f.gauss, f.mean)) < 1e-12 / step[0] ** 2
    flat = local_forms(
        np.random.default_rng(0).random((200, 3)) * [1, 1, 0],
        neighbours(np.random.default_rng(0).random((200, 3)) * [1, 1, 0], 16),
    )
    assert max(np.abs(a).max() for a in (flat.connection, flat.gauss, flat.mean)) < 1e-12


def test_cylinder_is_flat_and_bends_once():
    """K = 0 to rounding since the straight lines are differenced exactly, |H| = 1 / 2R to second order."""
    error = []
    for n in (21, 41):
        u, v, step = chart(n)
        f = grid_forms(np.stack([1.5 * np.cos(u), 1.5 * np.sin(u), v], -1), step)
        assert np.abs(f.gauss).max() < 1e-9
        error.append(np.abs(np.abs(f.mean) - 1 / 3).max())
    assert error[0] < 3e-3 and error[0] / error[1] > 3.5


def test_sphere_in_polar_coordinates_to_second_order():
    """g = R^2 diag(1, sin^2), Gamma^theta_phiphi = -sin cos, Gamma^phi_thetaphi = cot, K = 1 / R^2, Ricci = K g, n outward."""
    errors = []
    for n in (21, 41, 81):
        t, x, step = sphere(n)
        f = grid_forms(x, step)
        exact = np.zeros((*t.shape, 2, 3))
        exact[..., 0, 2], exact[..., 1, 1] = -np.sin(t) * np.cos(t), 1 / np.tan(t)
        metric = 4 * np.stack([np.ones_like(t), 0 * t, np.sin(t) ** 2], -1)
        errors.append(
            [
                np.abs(a).max()
                for a in (f.metric - metric, f.connection - exact, f.gauss - 0.25, f.mean + 0.5, f.ricci - metric / 4,
                          f.riemann - np.sin(t) ** 2 * 4)
            ]
        )  # fmt: skip
        assert (np.einsum("abc,abc->ab", f.normal, x) > 0).all()
    errors = np.array(errors)
    assert (errors[-1] < [3e-3, 1e-3, 2e-4, 2e-4, 1e-3, 1e-2]).all()
    assert (errors[:-1] / errors[1:] > 3.4).all(), "not of second order"


def test_metric_compatibility():
    """d_k g_ij = Gamma_ikj + Gamma_jki, the index lowered, to second order in the interior."""
    worst = []
    for n in (41, 81):
        u, v, step = chart(n, (0, 1), (0, 1))
        f = grid_forms(bumpy(u, v), step)
        e, ff, g = np.moveaxis(f.metric, -1, 0)
        low = np.stack(
            [e[..., None] * f.connection[..., 0, :] + ff[..., None] * f.connection[..., 1, :],
             ff[..., None] * f.connection[..., 0, :] + g[..., None] * f.connection[..., 1, :]], -2
        )  # fmt: skip
        place = {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 2}
        gap = 0.0
        for k in (0, 1):
            for (i, j), m in place.items():
                d = np.gradient(f.metric[..., m], step[k], axis=k, edge_order=2)
                gap = max(gap, np.abs(d - low[..., i, place[k, j]] - low[..., j, place[k, i]])[3:-3, 3:-3].max())
        worst.append(gap)
    assert worst[-1] < 3e-3 and worst[0] / worst[1] > 3.4


def test_theorema_egregium():
    """K of the second form is K of the metric alone, in the limit; and stays zero when a plane is bent to a cylinder"""
    gaps = []
    for n in (41, 81):
        u, v, step = chart(n, (0, 1), (0, 1))
        f = grid_forms(bumpy(u, v), step)
        assert np.abs(f.gauss).max() > 0.2
        gaps.append(np.abs(f.gauss - brioschi(f.metric, step))[4:-4, 4:-4].max())
    assert gaps[-1] < 5e-3 and gaps[0] / gaps[1] > 3.4
    for bend in (0.0, 0.5, 2.0):
        u, v, step = chart(41, (0, 1), (0, 1))
        x = np.stack([np.sinc(bend * u / np.pi) * u, v, bend * u**2 / 2 * np.sinc(bend * u / 2 / np.pi) ** 2], -1)
        assert np.abs(grid_forms(x, step).metric - [1, 0, 1]).max() < 2e-3  # the bending is isometric
        assert np.abs(grid_forms(x, step).gauss).max() < 1e-9


def test_rigid_motions_change_nothing():
    _, x, step = sphere(15)
    x = x * [1, 0.7, 1.2]
    turn, move = Rotation.random(rng=1).as_matrix(), np.array([3.0, -1.0, 2.0])
    for a, b in ((grid_forms(x, step), grid_forms(x @ turn.T + move, step)),):
        for name in ("metric", "second", "connection", "gauss", "mean"):
            assert np.abs(getattr(a, name) - getattr(b, name)).max() < 1e-10, name
    p, normal, _ = scattered(800)
    near = neighbours(p, 20)
    a, b = local_forms(p, near, normals=normal), local_forms(p @ turn.T + move, near, normals=normal @ turn.T)
    for name in ("metric", "second", "connection", "gauss", "mean"):
        assert np.abs(getattr(a, name) - getattr(b, name)).max() < 1e-10, name


def test_reparametrisation_is_tensorial():
    """u -> 2u: E -> E / 4, F -> F / 2, Gamma^u_uu -> / 2, Gamma^v_uu -> / 4, Gamma^u_vv -> * 2, L -> / 4, K and H unchanged, exactly."""
    _, x, (du, dv) = sphere(12)
    a, b = grid_forms(x, (du, dv)), grid_forms(x, (2 * du, dv))
    scale = np.array([[0.5, 1.0, 2.0], [0.25, 0.5, 1.0]])
    for one, other in (
        (a.metric * [0.25, 0.5, 1], b.metric),
        (a.second * [0.25, 0.5, 1], b.second),
        (a.connection * scale, b.connection),
        (a.gauss, b.gauss),
        (a.mean, b.mean),
    ):
        assert np.abs(one - other).max() < 1e-12


def test_gauss_bonnet_on_a_closed_body():
    """sum K dA = 4 pi within 2 % on 40 x 40, the poles between grid lines."""
    n = 40
    theta, phi = (np.arange(n) + 0.5) * np.pi / n, 2 * np.pi * np.arange(n) / n
    t, p = np.meshgrid(theta, phi, indexing="ij")
    x = np.stack([np.sin(t) * np.cos(p), 1.3 * np.sin(t) * np.sin(p), 0.8 * np.cos(t)], -1)
    f = grid_forms(x, (np.pi / n, 2 * np.pi / n), periodic=(False, True))
    total = (f.gauss * np.sqrt(f.det)).sum() * 2 * np.pi**2 / n**2
    assert abs(total / (4 * np.pi) - 1) < 0.02


def test_pieces_keep_differences_from_crossing_a_crease():
    """Two planes that meet at an edge: flat when cut there, bent when not."""
    u, v = np.meshgrid(np.arange(10.0), np.arange(6.0), indexing="ij")
    x = np.stack([u, v, np.maximum(u - 4.5, 0)], -1)
    assert np.abs(grid_forms(x, pieces=((5,), ())).mean).max() < 1e-12 < np.abs(grid_forms(x).mean).max()
    windows = grid_windows((10, 6), starts=(5,))
    assert (windows[:, 0] == np.arange(60)).all() and ((windows // 6 < 5) == (np.arange(60)[:, None] // 6 < 5)).all()
    assert np.abs(local_forms(x.reshape(-1, 3), windows).mean).max() < 1e-12
    assert all(len(set(w)) == 25 for w in windows.tolist())


@pytest.mark.parametrize(("degree", "k", "order"), [(2, 16, 0.9), (3, 24, 1.8), (4, 32, 2.7)])
def test_fits_at_scattered_points_converge(degree, k, order):
    """Root mean square error of K falls at least like h^(degree - 1), h^2 = 1 / points; H has the sign of the given normals."""
    error = []
    for n in (2000, 8000):
        p, normal, exact = scattered(n)
        f = local_forms(p, neighbours(p, k), degree, normal)
        error.append(np.sqrt(np.mean((f.gauss / exact - 1) ** 2)))
        assert (f.mean < 0).mean() > 0.999
    assert np.log2(error[0] / error[1]) > order and error[1] < 0.03


def test_neighbours_stay_in_their_piece():
    p = np.random.default_rng(0).random((60, 3)) * [1, 1, 0]
    both, label = np.concatenate([p, p + np.array([0, 0, 1e-3])]), np.repeat([0, 1], 60)
    near = neighbours(both, 16, label)
    assert (label[near] == label[:, None]).all() and (near[:, 0] == np.arange(120)).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: grid_forms(np.zeros((5, 5, 3))), "singular or not finite at point (0, 0)"),
        (lambda: grid_forms(np.full((5, 5, 3), np.nan)), "not finite"),
        (lambda: grid_forms(np.random.rand(5, 3, 3)), "fewer than 4 lines in direction v"),
        (lambda: grid_forms(np.random.rand(5, 3)), "shape (5, 3)"),
        (lambda: neighbours(np.random.rand(10, 3), 16), "has 10 points and 16 neighbours"),
        (lambda: neighbours(np.random.rand(40, 3), 16, np.repeat([0, 1], [30, 10])), "piece 1 has 10 points"),
        (lambda: local_forms(np.random.rand(30, 3), np.zeros((30, 5), int)), "6 neighbours or more"),
        (lambda: local_forms(*line()), "lie on a line"),
        (lambda: grid_windows((4, 9)), "narrower than the window"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError) as caught:
        call()
    assert words in str(caught.value)


def line():
    p = np.arange(30.0)[:, None] * [1.0, 0.0, 0.0]
    return p, neighbours(p, 8)
