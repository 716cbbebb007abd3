"""The panel method against theory, the wings, the readers of surface files, and the bundles."""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from bench.schema import BenchError, MissingData
from datasets.files import verified
from datasets.wings.adapter import load, reliable
from datasets.wings.config import UIUC, Config
from datasets.wings.generate import Recipe, draw_section, make, make_many, read_table
from datasets.wings.panels import Body, PanelMethod, influence, pressure_coefficient, surface_velocity
from datasets.wings.sections import CST, NACA, Coordinates, extent
from datasets.wings.wing import Grid, Wing, WingFlow

DATA = Path(os.environ.get("BENCH_DATA") or "/nowhere")
THIN = NACA(0.0, 0.4, 0.04)


def sphere(a: int, b: int) -> Body:
    theta, phi = np.pi * np.arange(a + 1) / a, 2 * np.pi * np.arange(b) / b
    x = np.stack(
        [
            np.cos(theta)[:, None] * np.ones(b),
            np.sin(theta)[:, None] * np.cos(phi),
            np.sin(theta)[:, None] * np.sin(phi),
        ],
        -1,
    )
    i, j = np.meshgrid(np.arange(a), np.arange(b), indexing="ij")
    k = (j + 1) % b
    return Body(x.reshape(-1, 3), np.stack([i * b + j, (i + 1) * b + j, (i + 1) * b + k, i * b + k], -1).reshape(-1, 4))


def flow(wing: Wing, alpha, m: int = 32, n: int = 10, **more) -> tuple[WingFlow, object]:
    f = WingFlow(wing, Grid.cosine(m, n), **more)
    return f, f.solve(np.atleast_1d(alpha))


# ------------------------------------------------------------------------------------------ panels


def test_influence_is_its_integral():
    """Solid angle and int dS / r of a triangle against Gauss-Legendre quadrature; a closed body adds up to 4 pi inside, 0 outside."""
    rng = np.random.default_rng(0)
    nodes, points = rng.normal(size=(3, 3)), rng.normal(size=(5, 3)) * 2
    omega, source = influence(points, nodes, np.array([[0, 1, 2]]))
    t, w = np.polynomial.legendre.leggauss(60)
    t, w = (t + 1) / 2, w / 2
    u, v = np.meshgrid(t, t, indexing="ij")
    weight = np.outer(w, w) * u
    y = nodes[0] + u[..., None] * (nodes[1] - nodes[0]) + (u * v)[..., None] * (nodes[2] - nodes[1])
    normal = np.cross(nodes[1] - nodes[0], nodes[2] - nodes[0])
    for p, o, s in zip(points, omega[:, 0], source[:, 0], strict=True):
        r = np.linalg.norm(y - p, axis=-1)
        assert abs(s - (weight / r).sum() * np.linalg.norm(normal)) < 1e-5
        assert abs(o - (weight * ((y - p) @ normal) / r**3).sum()) < 1e-4
    body = sphere(8, 10)
    total = influence(np.array([[0.1, 0.2, -0.1], [2.0, 0, 0]]), body.nodes, body.split[0])[0].sum(1)
    assert np.abs(total - [4 * np.pi, 0]).max() < 1e-12


def test_sphere():
    """Cp = 1 - 9/4 sin^2 within 0.01 at 32 x 32 panels along the axis of the grid, of second order; mu = x / 2."""
    error = []
    for n in (16, 32):
        body = sphere(n, n)
        v = np.array([[1.0, 0.0, 0.0]])
        mu = PanelMethod(body).solve(v)
        centres, normals = body.centres.reshape(n, n, 3), body.normals.reshape(n, n, 3)
        cp = pressure_coefficient(surface_velocity(centres, normals, mu.reshape(1, n, n), v, periodic=True), v)[0]
        sine2 = 1 - (centres[..., 0] / np.linalg.norm(centres, axis=-1)) ** 2
        error.append([np.abs(cp - 1 + 2.25 * sine2).max(), np.abs(mu - 0.5 * body.centres[:, 0]).max()])
    assert error[1][0] < 0.01 and error[1][1] < 0.002
    assert error[0][0] / error[1][0] > 3.5


def test_mirror_is_the_whole_body():
    """Half a wing with its image has the potential of both halves solved together."""
    half = WingFlow(Wing(NACA(0.02, 0.4, 0.12), span=4, sweep=20, dihedral=5), Grid.cosine(12, 4))
    body = half.body
    other = body.nodes * [1, -1, 1]
    whole = Body(
        np.concatenate([body.nodes, other]), np.concatenate([body.panels, body.panels[:, ::-1] + len(body.nodes)])
    )
    wingless = PanelMethod(Body(body.nodes, body.panels, mirror=True)).solve([1.0, 0, 0.1])
    both = PanelMethod(whole).solve([1.0, 0, 0.1])
    n = len(body.panels)
    assert np.abs(both[:, :n] - wingless).max() < 1e-9 and np.abs(both[:, n:] - wingless).max() < 1e-9


def test_symmetric_section_without_incidence_has_no_lift():
    """|CL| < 1e-10 and equal pressures above and below."""
    f, s = flow(Wing(NACA(0.0, 0.4, 0.12), sweep=20, taper=0.6), 0.0)
    assert abs(f.force(s)[0][0]) < 1e-10 and abs(f.circulation_lift(s)[0]) < 1e-10
    assert np.abs(s.cp[0] - s.cp[0, ::-1]).max() < 1e-10


def test_lift_is_linear_in_the_incidence():
    """The circulation is linear in (cos alpha, sin alpha) to rounding for a wake that stays where it is."""
    f, s = flow(Wing(NACA(0.03, 0.4, 0.12), sweep=25, taper=0.5, twist=-3), [-2.0, 1.0, 4.0, 10.0])
    a = np.radians(s.alpha)
    basis = np.stack([np.cos(a), np.sin(a)], 1)
    fit = np.linalg.lstsq(basis[:2], s.circulation[:2], rcond=None)[0]
    assert np.abs(basis @ fit - s.circulation).max() < 1e-12
    cl = f.force(s)[0]
    assert abs((cl[3] - cl[2]) / 6 / ((cl[2] - cl[1]) / 3) - 1) < 0.03


def lifting_line(span: float, taper: float, slope: float, modes: int = 40) -> float:
    """dCL/dalpha of an unswept wing by Prandtl's lifting line: sum A_k sin(k t) (sin t + k mu) = mu alpha sin t, mu = c a0 / 4 b."""
    t = np.arange(1, modes + 1) * np.pi / 2 / modes  # the right half; odd terms only
    k = 2 * np.arange(modes) + 1
    mu = (1 - (1 - taper) * np.cos(t)) * slope / (4 * span)
    a = np.linalg.solve(np.sin(np.outer(t, k)) * (np.sin(t)[:, None] + mu[:, None] * k), mu * np.sin(t))
    return float(np.pi * span / ((1 + taper) / 2) * a[0])


def vortex_lattice(span: float, taper: float, sweep: float, m: int = 6, n: int = 24) -> float:
    """dCL/dalpha of a flat wing: horseshoe vortices at the quarter and conditions at the three-quarter line of each cell."""
    y = 0.5 * span * np.sin(0.5 * np.pi * np.linspace(-1, 1, 2 * n + 1))
    lead, chord = np.abs(y) * np.tan(np.radians(sweep)), 1 - (1 - taper) * np.abs(y) / (0.5 * span)
    part = (np.arange(m)[:, None] + 0.25) / m
    a, b = (
        np.stack([lead[s] + part * chord[s], np.tile(y[s], (m, 1))], -1).reshape(-1, 2)
        for s in (slice(0, -1), slice(1, None))
    )
    c = 0.5 * (a + b) + np.stack([np.tile(0.5 * (chord[1:] + chord[:-1]) * 0.5 / m, m), np.zeros(m * 2 * n)], -1)
    ra, rb = c[:, None] - a, c[:, None] - b
    la, lb = np.linalg.norm(ra, axis=-1), np.linalg.norm(rb, axis=-1)
    cross = ra[..., 0] * rb[..., 1] - ra[..., 1] * rb[..., 0]
    bound = (((b - a) * (ra / la[..., None] - rb / lb[..., None])).sum(-1)) / cross
    legs = -(1 + ra[..., 0] / la) / ra[..., 1] + (1 + rb[..., 0] / lb) / rb[..., 1]
    gamma = np.linalg.solve((bound + legs) / (4 * np.pi), -np.ones(len(c)))
    return float(abs(2 * (gamma * (b - a)[:, 1]).sum() / (span * (1 + taper) / 2)))


def slope(wing: Wing, m: int = 32, n: int = 12) -> float:
    f, s = flow(wing, [-1.0, 1.0], m, n)
    cl = f.circulation_lift(s)
    return float((cl[1] - cl[0]) / np.radians(2))


@pytest.mark.parametrize(("span", "taper"), [(8.0, 0.5), (12.0, 0.7), (16.0, 1.0)])
def test_lift_slope_against_the_lifting_line(span, taper):
    """Within 5 %, the section's slope being 2 pi (1 + 0.77 thickness); the theory is one of high aspect ratio, these are above 10."""
    theory = lifting_line(span, taper, 2 * np.pi * (1 + 0.77 * 0.04))
    assert abs(slope(Wing(THIN, span=span, taper=taper)) / theory - 1) < 0.05


@pytest.mark.parametrize(("span", "taper", "sweep"), [(5.0, 1.0, 0.0), (6.0, 0.5, 30.0), (8.0, 0.35, 15.0)])
def test_lift_slope_against_a_vortex_lattice(span, taper, sweep):
    """Within 4 %, after the lattice's flat sections get the same thickness factor."""
    theory = vortex_lattice(span, taper, sweep) * (1 + 0.77 * 0.04)
    assert abs(slope(Wing(THIN, span=span, taper=taper, sweep=sweep)) / theory - 1) < 0.04


def test_lift_slope_against_aerosandbox():
    """The same against another project's vortex lattice, where it is installed."""
    asb = pytest.importorskip(
        "aerosandbox", reason="aerosandbox is not installed; the lattice above is this test's own"
    )
    span, taper, sweep = 6.0, 0.5, 30.0
    section = asb.Airfoil("naca0004")
    tip = [0.5 * span * math.tan(math.radians(sweep)), 0.5 * span, 0]
    plane = asb.Airplane(
        wings=[
            asb.Wing(
                symmetric=True, xsecs=[asb.WingXSec([0, 0, 0], 1, 0, section), asb.WingXSec(tip, taper, 0, section)]
            )
        ]
    )
    cl = [
        asb.VortexLatticeMethod(plane, asb.OperatingPoint(velocity=1, alpha=a), spanwise_resolution=12).run()["CL"]
        for a in (-1, 1)
    ]
    theory = (cl[1] - cl[0]) / math.radians(2)
    assert abs(vortex_lattice(span, taper, sweep) / theory - 1) < 0.02
    assert abs(slope(Wing(THIN, span=span, taper=taper, sweep=sweep)) / theory / (1 + 0.77 * 0.04) - 1) < 0.04


def test_lift_slope_rises_with_the_aspect_ratio_towards_two_pi():
    slopes = [slope(Wing(THIN, span=s)) for s in (3.0, 6.0, 12.0, 40.0)]
    assert slopes == sorted(slopes) and 0.9 * 2 * np.pi < slopes[-1] < 2 * np.pi * 1.04


def test_elliptic_wing():
    """Circulation over the span close to an ellipse, lift slope close to 2 pi (1 + .77 t) AR / (AR + 2)."""
    wing = Wing(NACA(0.0, 0.4, 0.06), span=3 * np.pi, planform="elliptic")
    f, s = flow(wing, 4.0, 48, 16)
    assert wing.aspect_ratio == pytest.approx(12.0)
    eta = 0.5 * (f.grid.eta[1:] + f.grid.eta[:-1])
    gamma = s.circulation[0] / s.circulation[0, 0]
    assert np.abs(gamma - np.sqrt(1 - eta**2))[:-1].max() < 0.02
    theory = 2 * np.pi * (1 + 0.77 * 0.06) / (1 + 2 / 12) * np.sin(np.radians(4))
    assert abs(f.circulation_lift(s)[0] / theory - 1) < 0.05
    assert abs(f.circulation_lift(s)[0] / f.force(s)[0][0] - 1) < 0.03


@pytest.mark.parametrize("place", range(6))
def test_pressure_adds_up_to_kutta_and_joukowski(place):
    """Lift by pressure integration is the wake's circulation within 3 % on random wings at 32 x 10 panels, where there is lift."""
    rng = np.random.default_rng(place)
    wing = Wing(draw_section("naca", rng), span=rng.uniform(4, 9), taper=rng.uniform(0.35, 1), sweep=rng.uniform(0, 35),
                dihedral=rng.uniform(-2, 6), twist=rng.uniform(-4, 1))  # fmt: skip
    f, s = flow(wing, [6.0, 9.0], direction=4.0)
    assert np.abs(f.force(s)[0] / f.circulation_lift(s) - 1).max() < 0.03


def test_prandtl_glauert():
    f = WingFlow(Wing(THIN), Grid.cosine(16, 4))
    low, high = f.solve(3.0), f.solve(3.0, mach=0.6)
    assert np.abs(high.cp * 0.8 - low.cp).max() < 1e-12


def test_incidence_beyond_attached_flow_is_warned():
    f = WingFlow(Wing(THIN, name="wing 7"), Grid.cosine(16, 4))
    with pytest.warns(UserWarning, match=r"wing 7: an incidence of 14\.0 degrees is beyond attached flow"):
        f.solve(14.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f.solve(8.0)


def quad_box() -> Body:
    x = np.array([[i, j, k] for i in (0.0, 1.0) for j in (0.0, 1.0) for k in (0.0, 1.0)])
    faces = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    return Body(x, np.array(faces), name="box.vtk")


def test_bad_surfaces_are_named():
    box = quad_box()
    box.check()
    assert box.volume == pytest.approx(1)
    flat = np.concatenate([box.panels, [[0, 0, 1, 1]]])
    moved = box.nodes.copy()
    moved[3, 1] = np.nan
    turned = box.panels.copy()
    turned[2] = turned[2, ::-1]
    for body, words in (
        (Body(box.nodes, box.panels[:-1], name="box.vtk"), "box.vtk is open: an edge of panel"),
        (Body(box.nodes, box.panels[:, ::-1], name="box.vtk"), "box.vtk is inverted"),
        (Body(box.nodes, flat, name="box.vtk"), "panel 6 of box.vtk has no area"),
        (Body(box.nodes, turned, name="box.vtk"), "of box.vtk is turned against its neighbour"),
        (Body(moved, box.panels, name="box.vtk"), "node 3 of box.vtk is not finite"),
    ):
        with pytest.raises(ValueError) as caught:
            PanelMethod(body)
        assert words in str(caught.value)


# ------------------------------------------------------------------------------------------ sections and wings


def test_naca_is_the_published_section():
    """Ordinates of NACA 0012 and the mean line of 2412 (Abbott and von Doenhoff); the trailing edge is closed."""
    s = np.linspace(0.5, 1, 4001)
    x, z = NACA(0.0, 0.4, 0.12).contour(s).T
    assert np.abs(np.interp([0.3, 0.5, 0.1], x, z) - [0.06002, 0.05294, 0.04683]).max() < 2e-4
    assert extent(NACA(0.02, 0.4, 0.12)) == pytest.approx((0.12, 0.02), abs=5e-4)
    for section in (NACA(0.04, 0.4, 0.12), CST((0.17, 0.2, 0.15), (-0.1, -0.1, -0.1))):
        assert np.abs(section.contour(np.array([0.0, 1.0])) - [1, 0]).max() < 1e-12
        assert np.abs(section.contour(np.array([0.5]))).max() < 1e-12


def test_cst_weights_are_a_polynomial():
    """z / (sqrt(x) (1 - x)) is the weight at a constant shape, and the Bernstein polynomial otherwise."""
    s = np.linspace(0.55, 0.95, 7)
    x, z = CST((0.2, 0.2, 0.2), (-0.1,)).contour(s).T
    assert np.abs(z / (np.sqrt(x) * (1 - x)) - 0.2).max() < 1e-12
    x, z = CST((0.1, 0.3), (-0.1,)).contour(s).T
    assert np.abs(z / (np.sqrt(x) * (1 - x)) - 0.1 * (1 - x) - 0.3 * x).max() < 1e-12


def test_coordinates_give_the_section_back():
    """A table of NACA 4412, shifted, turned and scaled, gives the section's contour back."""
    section = NACA(0.04, 0.4, 0.12)
    table = section.contour(np.linspace(1, 0, 161))
    a = 0.1
    moved = 3 * table @ [[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]] + [2, 1]
    s = np.linspace(0, 1, 41)
    one, other = Coordinates(table).contour(s), Coordinates(moved).contour(s)
    assert np.abs(one - other).max() < 1e-9
    assert extent(Coordinates(table)) == pytest.approx(extent(section), abs=3e-3)
    with pytest.raises(ValueError, match="lower side above its upper side"):
        Coordinates(table[::-1], "sd7003").contour(s)
    with pytest.raises(ValueError, match="point 4 of sd7003 is not finite"):
        Coordinates(np.where(np.arange(161)[:, None] == 4, np.nan, table), "sd7003").contour(s)


@pytest.mark.real
@pytest.mark.skipif(not (DATA / UIUC.path).is_file(), reason=f"{UIUC.path} is not under BENCH_DATA")
def test_sections_of_the_uiuc_data_base():
    table = read_table(verified(DATA, UIUC))
    rng = np.random.default_rng(0)
    for _ in range(20):
        thickness, camber = extent(draw_section("uiuc", rng, table))
        assert 0.06 <= thickness <= 0.2 and camber <= 0.06
    wings = make_many(Recipe(section="uiuc", chordwise=24, spanwise=6), [(0, 0, i) for i in range(4)], table)
    assert np.isfinite(wings["cp"]).all() and wings["cp"].max() < 1.01


def test_wing_has_its_parameters():
    wing = Wing(THIN, span=6, taper=0.5, sweep=30, dihedral=5, twist=-4)
    lead, tail = (wing.points(np.array([s, s]), np.array([0.0, 1.0])) for s in (0.5, 0.0))
    assert np.abs((tail - lead)[0] - [1, 0, 0]).max() < 1e-12
    chord = (tail - lead)[1]
    assert np.linalg.norm(chord) == pytest.approx(0.5) and math.degrees(
        math.atan2(-chord[2], chord[0])
    ) == pytest.approx(-4)
    flat = Wing(THIN, span=6, taper=0.5, sweep=30, dihedral=5)
    x = flat.points(np.array([0.25, 0.25]), np.array([0.0, 1.0]))
    assert wing.area == pytest.approx(4.5) and lead[1, 1] == 3
    assert x[1, 2] - x[0, 2] == pytest.approx(3 * math.tan(math.radians(5)), abs=0.02)
    with pytest.raises(ValueError, match="taper=0"):
        Wing(THIN, taper=0)


# ------------------------------------------------------------------------------------------ generation


def test_wings_are_the_same_whatever_the_processes():
    recipe = Recipe(chordwise=16, spanwise=4, incidences=2)
    places = [(0, 0, i) for i in range(50)]
    one, two = make_many(recipe, places, jobs=1), make_many(recipe, places, jobs=2)
    assert all(np.array_equal(one[k], two[k]) for k in one)
    other = make(Recipe(chordwise=16, spanwise=4, incidences=2, seed=1), (0, 0, 0))
    assert not np.array_equal(one["x"][0], other["x"])
    assert np.allclose((one["weight"] * one["cp"]).sum(-1), one["cl"], atol=1e-12)


def test_the_strongest_warps_of_a_random_grid_leave_the_flow_alone():
    """Lift within 8 % of the fixed grid's and no spurious pressures, at every corner of the range of warps."""
    wing = Wing(NACA(0.03, 0.4, 0.1), span=9, taper=0.35, sweep=35, dihedral=6, twist=-4)
    f, s = flow(wing, 8.0)
    lift, low = f.force(s)[0][0], s.cp.min()
    for corner in np.ndindex(2, 2, 2, 2, 2):
        g = WingFlow(wing, Grid.cosine(32, 10, 2.0 * np.array(corner) - 1))
        t = g.solve(8.0)
        assert abs(g.circulation_lift(t)[0] / lift - 1) < 0.08 and t.cp.min() > 2.5 * low and t.cp.max() < 1.01, corner


def test_scattered_points_lie_on_the_surface_and_carry_its_pressure():
    """Normals are those of the surface; Cp of a finer panel grid is met where the coarse one is smooth."""
    fine = make(Recipe(layout="points", points=400, chordwise=48, spanwise=16), (0, 0, 2))
    coarse = make(Recipe(layout="points", points=400), (0, 0, 2))
    assert np.abs(np.linalg.norm(fine["normal"], axis=1) - 1).max() < 1e-9
    assert (np.sign(fine["normal"][:, 2]) == np.where(fine["piece"] > 0, 1, -1)).mean() > 0.9
    assert fine["x"].shape == (400, 3) and abs(np.median(fine["cp"]) - np.median(coarse["cp"])) < 0.05


def config(**more) -> Config:
    small = {
        "train": 4,
        "val": 2,
        "test": 3,
        "splits": 2,
        "incidences": 2,
        "chordwise": 16,
        "spanwise": 4,
        "points": 100,
    }
    return Config(name="wings", **{**small, **more})


def test_bundle_splits_by_wing_and_is_cached(tmp_path):
    b = load(config(), fold="0", source="simulated", root=tmp_path, cache=tmp_path)
    assert b.train.x.shape == (8, 64, 9) and b.test.y.shape == (6, 64) and b.origin == "simulated"
    groups = [set(s.group.tolist()) for s in (b.train, b.val, b.test)]
    assert not groups[0] & groups[1] and not groups[1] & groups[2] and not groups[0] & groups[2]
    assert b.meta["reliable"].reshape(16, 4).sum() == 14 * 3
    files = list((tmp_path / "wings").glob("*.npz"))
    assert len(files) == 1
    again = load(config(), fold="0", source="simulated", root=tmp_path, cache=tmp_path)
    assert again.fingerprint == b.fingerprint
    files[0].write_bytes(files[0].read_bytes()[:2000])
    assert load(config(), fold="0", source="simulated", root=tmp_path, cache=tmp_path).fingerprint == b.fingerprint
    more = load(config(train=6), fold="0", source="simulated", root=tmp_path, cache=tmp_path)
    assert np.array_equal(more.test.x, b.test.x), "more training wings changed the test wings"
    assert {m.name for m in b.task.score(b, b.task.trivial(b))} == {"mse", "mse_all", "mae", "unexplained", "cl_mae"}
    perfect = {m.name: m.value for m in b.task.score(b, {"y": b.test.y})}
    assert set(perfect.values()) == {0.0}
    scattered = load(config(layout="points"), fold="1", source="simulated", root=tmp_path, cache=tmp_path)
    assert scattered.train.x.shape == (8, 100, 9) and scattered.meta["grid"] is None
    for bundle in (b, scattered):
        assert set(bundle.task.figures(bundle, {"y": 0 * bundle.test.y})) == {"cp"}


def test_reliable_points_leave_out_the_edges():
    good = reliable(6, 4).reshape(6, 4)
    assert not good[[0, -1]].any() and not good[:, -1].any() and good[1:-1, :-1].all()


def test_bad_choices_are_named(tmp_path):
    with pytest.raises(BenchError, match=r"data.alpha=\[10, 2\]"):
        config(alpha=[10, 2]).check()
    with pytest.raises(BenchError, match=r"data\.mach"):
        config(mach=[0.0, 0.9]).check()
    with pytest.raises(BenchError, match="odd"):
        config(chordwise=17).check()
    with pytest.raises(MissingData, match="uiuc_airfoils"):
        load(config(section="uiuc"), fold="0", source="simulated", root=Path(tmp_path), cache=tmp_path)
