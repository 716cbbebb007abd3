"""Disk maps, interpolation between meshes, modes, batched Gaussian processes, plates, and the method made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from bench.schema import BenchError
from datasets.plates import elasticity as el
from datasets.plates.adapter import build, load, plate, read, write
from datasets.plates.config import Config as Plates
from datasets.plates.meshes import Meshes
from datasets.plates.shapes import mesh, outline
from datasets.plates.task import MeshFields, field_rrmse
from models.geometry import morphing as mo
from models.geometry.gaussian_process import MaternProcesses, matern52
from models.geometry.pod import POD
from models.mesh_graph_net.network import Network, features
from models.mmgp.domain import CommonDomain
from models.mmgp.regression import FieldProcesses, Scaler


def close(a, b, tol):
    assert np.shape(a) == np.shape(b) and np.max(np.abs(np.asarray(a) - b)) <= tol


def config(**choices) -> Plates:
    return Plates(name="plates", **{"train": 20, "test": 6, "h": 0.2} | choices)


@pytest.fixture(scope="module")
def plates() -> Meshes:
    return build(config(), 0, 26)


def shape(seed: int = 0, h: float = 0.15) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    boundary, corners = outline(rng, h)
    return *mesh(boundary, h, rng), corners


def renumber(points, triangles, corners, seed=0):
    order = np.random.default_rng(seed).permutation(len(points))  # new -> old
    place = np.argsort(order)
    return points[order], place[triangles], place[corners], order


# --- maps
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("marked", [True, False])
def test_the_disk_map_is_injective_and_its_nodes_are_means(marked):
    for seed in range(5):
        x, t, corners = shape(seed)
        flat = mo.tutte(x, t, corners if marked else None)
        assert (mo.signed_areas(flat, t) > 0).all()
        loop = mo.boundary_loop(t)
        close(np.linalg.norm(flat[loop], axis=1), np.ones(len(loop)), 1e-12)
        inner = np.setdiff1d(np.arange(len(x)), loop)
        ends = np.concatenate([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]])
        ends = np.unique(np.concatenate([ends, ends[:, ::-1]]), axis=0)
        for i in inner[:5]:
            close(flat[ends[ends[:, 0] == i, 1]].mean(0), flat[i], 1e-12)
        if marked:  # corners at quarter turns
            close(flat[corners], [[1, 0], [0, 1], [-1, 0], [0, -1]], 1e-12)


def test_boundary_parameters_are_arc_lengths():
    x = np.array([[0.0, 0], [1, 0], [2, 0], [2, 1], [0, 1]])
    loop = np.arange(5)
    s = np.array([0, 1, 2, 3, 5]) * (1 - 1 / 5) / 5
    close(mo.boundary_parameter(x, loop), s, 1e-12)
    close(mo.boundary_parameter(x, loop, np.array([0, 2, 3, 4])), [0, 0.125, 0.25, 0.5, 0.75], 1e-12)
    with pytest.raises(ValueError, match="landmark 7 is not on the boundary"):
        mo.boundary_parameter(x, loop, np.array([0, 7]))
    with pytest.raises(ValueError, match="not in the order"):
        mo.boundary_parameter(x, loop, np.array([0, 3, 2]))
    square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5]])
    fan = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
    assert mo.boundary_loop(fan, 2).tolist() == [2, 3, 0, 1]
    assert mo.start_node(square, np.arange(4)) == 0


def test_interpolation_is_exact_for_linear_functions_and_second_order_otherwise():
    x, t, _ = shape(1, 0.1)
    rng = np.random.default_rng(0)
    inside = (x[t] * rng.dirichlet(np.ones(3), len(t))[:, :, None]).sum(1)
    matrix = mo.interpolation(x, t, inside)
    close(matrix @ x, inside, 1e-12)
    close(mo.interpolation(x, t, x).toarray(), np.eye(len(x)), 1e-9)
    outside = x[:40] + 0.05 * (x[:40] - x.mean(0)) / np.linalg.norm(x[:40] - x.mean(0), axis=1, keepdims=True)
    w = mo.interpolation(x, t, outside)
    assert w.data.min() >= 0 and np.abs(np.asarray(w.sum(1)) - 1).max() < 1e-12
    # there and back in the disk: O(h^2)
    errors = []
    for h in (0.2, 0.1, 0.05):
        a, ta, ca = shape(2, h)
        b, tb, cb = shape(3, h)
        fa, fb = mo.tutte(a, ta, ca), mo.tutte(b, tb, cb)
        u = np.sin(2 * fa[:, 0]) * np.cos(fa[:, 1])
        back = mo.interpolation(fb, tb, fa) @ (mo.interpolation(fa, ta, fb) @ u)
        errors.append(np.sqrt(np.mean((back - u) ** 2)))
    assert errors[1] < errors[0] / 2.5 and errors[2] < errors[1] / 2.5


def test_linear_functions_of_the_disk_come_through_exactly():
    x, t, corners = shape(4)
    other, t2, c2 = shape(5)
    flat, target = mo.tutte(x, t, corners), mo.tutte(other, t2, c2)
    middle = target[np.linalg.norm(target, axis=1) < 0.9]
    u = flat @ [0.3, -1.2] + 2
    close(mo.interpolation(flat, t, middle) @ u, middle @ [0.3, -1.2] + 2, 1e-10)


def test_mass_matrix_integrates_products():
    x, t, _ = shape(0)
    m = mo.mass_matrix(x, t)
    one = np.ones(len(x))
    assert abs(one @ m @ one - mo.signed_areas(x, t).sum()) < 1e-12
    a, b, c = x[t].swapaxes(0, 1)
    middles = [(a + b) / 2, (b + c) / 2, (c + a) / 2]  # this rule is exact for quadratics
    f = lambda p: p @ [1.0, 2.0]  # noqa: E731
    truth = sum((mo.signed_areas(x, t) / 3 * f(p) ** 2).sum() for p in middles)
    assert abs(f(x) @ m @ f(x) - truth) < 1e-12


def test_splines_put_the_boundary_on_the_reference():
    x, t, corners = shape(1)
    y, s, marks = shape(2)
    loop = mo.boundary_loop(s, int(marks[0]))
    parameter = mo.boundary_parameter(y, loop, marks)
    moved = mo.rbf_morph(x, t, corners, y[loop], parameter)
    close(moved[corners], y[marks], 1e-7)
    own = mo.boundary_loop(t, int(corners[0]))
    on = mo.interpolation(y, s, moved[own]) @ y
    assert np.linalg.norm(on - moved[own], axis=1).max() < 1e-6  # on the reference's outline: clamping moves nothing
    same = mo.rbf_morph(y, s, marks, y[loop], parameter)
    close(same, y, 1e-7)


# --- modes
# ------------------------------------------------------------------------------------------------------


def test_modes_are_orthonormal_and_the_error_is_what_was_left_out():
    x, t, _ = shape(0)
    mass = mo.mass_matrix(x, t)
    z = np.random.default_rng(0).standard_normal((12, len(x)))
    pod = POD.fit(z, mass, 5)
    close(pod.modes @ (mass @ pod.modes.T), np.eye(5), 1e-12)
    rest = z - pod.decode(pod.encode(z))
    lost = np.einsum("ij,ij->", rest, rest @ mass)
    assert abs(lost - pod.values[5:].sum()) < 1e-10 * pod.values.sum()
    assert len(POD.fit(np.repeat(z[:2], 4, 0), mass, 5).modes) == 2
    with pytest.raises(ValueError, match="snapshot 3 is not finite"):
        POD.fit(np.where(np.arange(12)[:, None] == 3, np.nan, z), mass, 5)


def test_an_affine_family_is_described_exactly():
    """Similarities of one shape with one mesh: morphing is the same for all, Z has rank at most 4, eight modes are exact."""
    x, t, corners = shape(1)
    rng = np.random.default_rng(0)
    points = []
    for _ in range(9):
        angle, scale, shift = rng.uniform(0, 0.5), rng.uniform(0.8, 1.2), rng.standard_normal(2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points.append(scale * x @ turn.T + shift)
    n = len(points)
    set_ = Meshes(points, [t] * n, np.zeros((n, 1)), [x] * n, np.ones((n, 1)), np.tile(corners, (n, 1)))
    domain = CommonDomain(set_)
    shapes = np.stack([domain.morph(set_, i).shape for i in range(n)])
    close(shapes[3], points[3].T.ravel(), 1e-9)
    pod = POD.fit(shapes, domain.shape_mass, 8)
    assert len(pod.modes) <= 4
    close(pod.decode(pod.encode(shapes)), shapes, 1e-10)


def test_numbering_does_not_matter_and_remeshing_hardly_does(plates):
    domain = CommonDomain(plates)
    x, t, c = plates.points[3], plates.triangles[3], plates.landmarks[3]
    y, s, d, order = renumber(x, t, c)
    both = Meshes([x, y], [t, s], np.zeros((2, 1)), [x, y], np.ones((2, 1)), np.array([c, d]))
    one, two = domain.morph(both, 0), domain.morph(both, 1)
    close(one.shape, two.shape, 1e-10)
    close((one.back @ np.arange(len(domain.points)))[order], two.back @ np.arange(len(domain.points)), 1e-7)
    off = []
    for h in (0.12, 0.06):  # the same outline meshed with another lattice
        boundary, corners = outline(np.random.default_rng(7), h)
        pair = [mesh(boundary, h, np.random.default_rng(k)) for k in (1, 2)]
        two_meshes = Meshes(
            [p for p, _ in pair],
            [q for _, q in pair],
            np.zeros((2, 1)),
            [p for p, _ in pair],
            np.ones((2, 1)),
            np.array([corners] * 2),
        )
        fine = CommonDomain(two_meshes)
        a, b = (fine.morph(two_meshes, i).shape for i in range(2))
        off.append(np.sqrt(np.mean((a - b) ** 2)))
    assert off[1] < off[0] / 1.5 and off[1] < 0.01


# --- processes
# ------------------------------------------------------------------------------------------------------


def toy(n=30, p=3, m=4, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (n, p))
    return x, np.sin(0.5 * x @ np.random.default_rng(9).standard_normal((p, m)))


def test_processes_are_those_of_scikit_learn():
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    x, y = toy()
    new, _ = toy(12, seed=1)
    theta = torch.tensor(
        [[0.1, 0.5, -0.2, 0.3, -4.0], [1.0, 0.0, 0.4, -0.5, -6.0], [0.0] * 5, [0.2] * 4 + [-3.0]], dtype=torch.float64
    )
    ours = MaternProcesses()
    ours.x, ours.y, ours.group = torch.as_tensor(x), torch.as_tensor(y), torch.arange(4)
    ours.set(theta)
    mean, variance = ours.predict(new)
    for k, row in enumerate(theta.numpy()):
        *length, scale, noise = np.exp(row)
        kernel = ConstantKernel(scale) * Matern(length, nu=2.5) + WhiteKernel(noise)
        peer = GaussianProcessRegressor(kernel, optimizer=None, alpha=1e-10).fit(x, y[:, k])
        m, s = peer.predict(new, return_std=True)
        close(mean[:, k], m, 1e-6)
        close(variance[:, k] + noise, s**2, 1e-6)
        assert abs(peer.log_marginal_likelihood_value_ - float(ours.log_likelihood(theta)[k])) < 1e-6
    k = matern52(torch.as_tensor(x), torch.as_tensor(x), torch.ones(1, 3, dtype=torch.float64))[0].numpy()
    truth = multivariate_normal(np.zeros(30), k + (1 + 1e-10) * np.eye(30)).logpdf(y[:, 2])
    assert abs(float(ours.log_likelihood(theta)[2]) - truth) < 1e-8


def test_the_search_improves_each_output_and_stands_at_a_maximum():
    x, y = toy()
    fitted = MaternProcesses(steps=200).fit(x, y)
    start = torch.zeros(4, 5, dtype=torch.float64)
    assert (fitted.log_likelihood(fitted.theta) > fitted.log_likelihood(start) + 3).all()
    theta = fitted.theta.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(fitted.log_likelihood(theta).sum(), theta)
    close(fitted.value_and_slope(fitted.theta.numpy())[1], slope.numpy(), 1e-6)
    bound = (fitted.theta[:, -1] < np.log(1e-8) + 1e-3) | (fitted.theta[:, -1] > -1e-3)
    assert (slope.abs().amax(1)[~bound] < 0.5).all()
    new, truth = toy(200, seed=1)
    assert ((fitted.predict(new)[0] - truth) ** 2).mean() < 0.05 * truth.var()
    shared = MaternProcesses(steps=50).fit(x, y, np.array([0, 0, 1, 1]))
    assert (shared.theta[0] == shared.theta[1]).all() and (shared.theta[0] != shared.theta[2]).any()


def test_limits_of_the_processes():
    x, y = toy()
    gp = MaternProcesses()
    gp.x, gp.y, gp.group = torch.as_tensor(x), torch.as_tensor(y), torch.arange(4)
    gp.set(torch.tensor([[0.0, 0, 0, 0.7, np.log(1e-10)]] * 4, dtype=torch.float64))
    mean, variance = gp.predict(x)
    close(mean, y, 1e-6)
    assert variance.max() < 1e-8
    close(gp.predict(x + 1e3)[1], np.full((30, 4), np.exp(0.7)), 1e-12)
    with pytest.raises(ValueError, match="sample 2 has inputs or targets"):
        MaternProcesses().fit(np.where(np.arange(30)[:, None] == 2, np.nan, x), y)
    with pytest.raises(ValueError, match="two or more"):
        MaternProcesses().fit(x[:1], y[:1])


# --- the method
# ------------------------------------------------------------------------------------------------------


def pipeline(samples: Meshes, modes=6, kind="tutte", folds=0, regressor="gp"):
    domain = CommonDomain(samples, kind)
    morphed = [domain.morph(samples, i) for i in range(len(samples))]
    shapes = POD.fit(np.stack([m.shape for m in morphed]), domain.shape_mass, modes)
    inputs = lambda ms, s: np.concatenate([shapes.encode(np.stack([m.shape for m in ms])), s], 1)  # noqa: E731
    snapshots = np.stack([(m.project @ u).T for m, u in zip(morphed, samples.fields, strict=True)])
    fp = FieldProcesses(modes, regressor, 0, 40, 0, False, folds)
    fp.fit(
        inputs(morphed, samples.scalars),
        snapshots,
        domain.mass,
        [m.back for m in morphed],
        samples.fields,
        samples.outputs,
    )

    def predict(new: Meshes):
        ms = [domain.morph(new, i) for i in range(len(new))]
        return fp.predict(inputs(ms, new.scalars), [m.back for m in ms])

    return domain, fp, predict, inputs, morphed


def test_permuting_a_test_mesh_permutes_its_prediction(plates):
    _, _, predict, *_ = pipeline(plates[range(20)])
    x, t, c, order = renumber(plates.points[22], plates.triangles[22], plates.landmarks[22])
    turned = Meshes([x], [t], plates.scalars[[22]], [plates.fields[22][order]], plates.outputs[[22]], c[None])
    close(predict(plates[[22]])[0][order], predict(turned)[0], 1e-8)


def test_without_noise_training_fields_are_their_projections(plates):
    train = plates[range(20)]
    _, fp, _, inputs, morphed = pipeline(train)
    theta = fp.processes.theta.clone()
    theta[:, -1] = np.log(1e-10)
    fp.processes.set(theta)
    x = inputs(morphed, train.scalars)
    mean, std = fp.coefficients(x)
    for k, pod in enumerate(fp.pods):
        truth = pod.encode(np.stack([(m.project @ u)[:, k] for m, u in zip(morphed, train.fields, strict=True)]))
        part = slice(fp.cuts[k - 1] if k else 0, fp.cuts[k])
        close(mean[:, part], truth, 1e-4 * np.abs(truth).max())
    assert (std / fp.scaler.std).max() < 1e-3


def test_error_is_bounded_by_the_projections_and_beats_the_mean(plates):
    train, test = plates[range(20)], plates[range(20, 26)]
    domain, fp, predict, *_ = pipeline(train, folds=4)
    fields, width, outputs, _ = predict(test)
    ms = [domain.morph(test, i) for i in range(6)]
    floor = np.concatenate(
        [
            np.stack([m.back @ p.decode(p.encode((m.project @ u[:, k])[None]))[0] for k, p in enumerate(fp.pods)], 1)
            for m, u in zip(ms, test.fields, strict=True)
        ]
    )
    ours, least = field_rrmse(test, fields), field_rrmse(test, floor)
    mean = field_rrmse(test, pipeline(train, regressor="mean")[2](test)[0])
    assert (ours >= least).all() and (ours < mean).all() and fields.shape == width.shape
    assert (width > 0).mean() > 0.9 and (fp.factor > 0.5).all()
    assert np.abs(outputs - test.outputs).mean() < np.abs(train.outputs.mean(0) - test.outputs).mean()


def test_scaler():
    x = np.array([[1.0, 5.0], [3.0, 5.0]])
    s = Scaler.fit(x)
    close(s(x), [[-1, 0], [1, 0]], 1e-12)
    close(s.undo(s(x)), x, 1e-12)


@pytest.mark.parametrize("kind", ["rbf", "none"])
def test_other_ways_to_a_common_domain(plates, kind):
    train, test = plates[range(20)], plates[range(20, 26)]
    fields, *_ = pipeline(train, kind=kind)[2](test)
    mean = field_rrmse(test, pipeline(train, regressor="mean")[2](test)[0])
    assert field_rrmse(test, fields).mean() < 0.8 * mean.mean()
    if kind == "none":
        domain = CommonDomain(train, "none", extend=False)
        m = domain.morph(train, 0)
        x = train.points[0]
        close(m.project @ np.ones(len(x)), (m.shape >= 0).astype(float), 1e-12)
        assert m.shape.min() < 0 < m.shape.max() <= 1.0


# --- plates
# ------------------------------------------------------------------------------------------------------


def test_meshes_of_plates_are_sound():
    for seed in range(6):
        x, t, corners = shape(seed, 0.1)
        mo.check_mesh(x, t)
        close(x[corners], [[-1, -1], [1, -1], [1, 1], [-1, 1]], 1e-12)
        assert (mo.signed_areas(x, t) > 0.02 * 0.1**2).all()
        loop = mo.boundary_loop(t, int(corners[0]))
        assert loop.tolist() == list(range(len(loop)))  # the outline, in its order


def test_assembly_is_that_of_scikit_fem():
    skfem = pytest.importorskip("skfem")
    from skfem.helpers import ddot, grad, identity, inv, transpose

    x, t, _ = shape(0, 0.3)
    u = 0.01 * np.random.default_rng(0).standard_normal(x.shape)
    mu, lam = 1.1, 0.9
    ours, matrix = el.internal(u, t, *el.gradients(x, t), mu, lam)
    basis = skfem.Basis(skfem.MeshTri(x.T.copy(), t.T.copy()), skfem.ElementVector(skfem.ElementTriP1()), intorder=1)
    order = basis.nodal_dofs.T.ravel()
    flat = np.empty(basis.N)
    flat[order] = u.ravel()

    def parts(w):
        f = grad(w["u"]) + identity(grad(w["u"]))
        g = transpose(inv(f))
        return f, g, np.log(f[0, 0] * f[1, 1] - f[0, 1] * f[1, 0])

    @skfem.LinearForm
    def force(v, w):
        f, g, log = parts(w)
        return ddot(mu * (f - g) + lam * log * g, grad(v))

    @skfem.BilinearForm
    def stiffness(du, v, w):
        _, g, log = parts(w)
        middle = np.einsum("im...,nm...,nj...->ij...", g, grad(du), g)
        return ddot(mu * grad(du) + (mu - lam * log) * middle + lam * ddot(g, grad(du)) * g, grad(v))

    state = basis.interpolate(flat)
    close(ours.ravel(), force.assemble(basis, u=state)[order], 1e-12)
    close(matrix.toarray(), stiffness.assemble(basis, u=state).toarray()[np.ix_(order, order)], 1e-10)


def test_tangent_is_the_derivative_and_a_homogeneous_stretch_is_in_equilibrium():
    x, t, _ = shape(0, 0.3)
    grad, area = el.gradients(x, t)
    close(np.einsum("tai,taj->tij", x[t], grad), np.broadcast_to(np.eye(2), (len(t), 2, 2)), 1e-12)
    u = x @ np.array([[0.02, 0.01], [-0.03, 0.05]])
    force, tangent = el.internal(u, t, grad, area, 1.0, 0.8)
    inner = np.setdiff1d(np.arange(len(x)), mo.boundary_loop(t))
    assert np.abs(force[inner]).max() < 1e-12
    d = np.random.default_rng(0).standard_normal(u.shape)
    numeric = (
        el.internal(u + 1e-6 * d, t, grad, area, 1.0, 0.8)[0] - el.internal(u - 1e-6 * d, t, grad, area, 1.0, 0.8)[0]
    ) / 2e-6
    close(tangent @ d.ravel(), numeric.ravel(), 1e-7)
    close(tangent.toarray(), tangent.toarray().T, 1e-12)


def test_solution_balances_the_load_and_converges():
    tops = []
    for h in (0.2, 0.1, 0.05):
        boundary, _ = outline(np.random.default_rng(5), h)
        x, t = mesh(boundary, h, np.random.default_rng(0))
        load_ = el.top_load(x, len(boundary), 0.2)
        assert abs(load_[:, 1].sum() - 0.4) < 1e-12
        fixed = np.flatnonzero(x[:, 1] < -1 + 1e-12)
        u = el.solve(x, t, load_, fixed, 1.0, 1.0)
        force, _ = el.internal(u, t, *el.gradients(x, t), 1.0, 1.0)
        close(force[fixed].sum(0), [0.0, -0.4], 1e-7)
        tops.append(u[x[:, 1] > 1 - 1e-12, 1].mean())
        assert el.von_mises(x, t, u, 1.0, 1.0).max() > 0.3
    assert abs(tops[2] - tops[1]) < abs(tops[1] - tops[0]) / 2
    with pytest.raises(BenchError, match="lower"):
        el.solve(x, t, -40 * load_, fixed, 1.0, 1.0)


def test_gmsh_gives_the_same_plate():
    pytest.importorskip("gmsh")
    a, b = (plate(config(h=0.1, mesher=m), 0, 3) for m in ("gmsh", "delaunay"))
    mo.check_mesh(a[0], a[1])
    assert (a[5] == b[5]).all() and np.abs(a[0][a[5]] - b[0][b[5]]).max() < 1e-12
    assert abs(a[4][0] / b[4][0] - 1) < 0.01  # mean displacement of the top


def test_plates_are_cached_and_damage_is_noticed(tmp_path, plates, capsys):
    write(tmp_path / "p.npz", plates)
    again = read(tmp_path / "p.npz")
    assert all(
        (a == b).all()
        for part in ("points", "triangles", "fields")
        for a, b in zip(getattr(plates, part), getattr(again, part), strict=True)
    )
    (tmp_path / "p.npz").write_bytes(b"x")
    assert read(tmp_path / "p.npz") is None and "built again" in capsys.readouterr().out
    one = load(config(train=8, test=2), fold="draw1", source="simulated", root=tmp_path, cache=tmp_path)
    two = load(config(train=8, test=2), fold="draw1", source="simulated", root=tmp_path, cache=tmp_path)
    assert one.fingerprint == two.fingerprint and len(one.train) == 8 and len(one.test) == 2


def test_scores_are_their_formulas(plates):
    test = plates[range(3)]
    truth = np.concatenate(test.fields)
    guess = truth + 0.01
    parts = np.split(guess, np.cumsum([len(p) for p in test.points])[:-1])
    for k in range(3):
        own = [
            np.mean((u[:, k] - g[:, k]) ** 2) / np.abs(u[:, k]).max() ** 2
            for u, g in zip(test.fields, parts, strict=True)
        ]
        assert abs(field_rrmse(test, guess)[k] - np.sqrt(np.mean(own))) < 1e-12

    class Bundle:
        train = test

    Bundle.test = test
    score = {
        m.name: m.value
        for m in MeshFields().score(
            Bundle, {"fields": guess, "fields_std": np.full_like(guess, 0.01), "outputs": 1.1 * test.outputs}
        )
    }
    assert score["coverage_90"] == 1 and abs(score["rrmse_max_von_mises"] - 0.1) < 1e-12
    with pytest.raises(ValueError, match="finite"):
        MeshFields().score(Bundle, {"fields": guess * np.nan})


# --- network, bad input
# ------------------------------------------------------------------------------------------------------


def test_network_commutes_with_numbering(plates):
    torch.manual_seed(0)
    net = Network(6, 3, 8, 2)
    x, t, _, order = renumber(plates.points[0], plates.triangles[0], plates.landmarks[0])
    with torch.no_grad():
        a, b = (
            net(*features(p, q, plates.scalars[0])).numpy()
            for p, q in ((plates.points[0], plates.triangles[0]), (x, t))
        )
    close(a[order], b, 1e-4)


def test_bad_meshes_are_named(plates):
    x, t = plates.points[0], plates.triangles[0]
    with pytest.raises(ValueError, match="sample 4: triangle 3 is inverted"):
        mo.check_mesh(x, np.where(np.arange(len(t))[:, None] == 3, t[:, ::-1], t), "sample 4")
    with pytest.raises(ValueError, match=f"the mesh: node {len(x) - 2} has a duplicate"):
        mo.check_mesh(np.where(np.arange(len(x))[:, None] == len(x) - 1, x[-2], x), t)
    with pytest.raises(ValueError, match="node 5 is not finite"):
        mo.check_mesh(np.where(np.arange(len(x))[:, None] == 5, np.nan, x), t)
    with pytest.raises(ValueError, match="triangle 2 names a node"):
        mo.check_mesh(x, np.where(np.arange(len(t))[:, None] == 2, len(x), t))
    with pytest.raises(ValueError, match=f"node {len(x)} belongs to no triangle"):
        mo.check_mesh(np.concatenate([x, [[9.0, 9.0]]]), t)
    flat = x.copy()
    flat[t[0, 0]] = (x[t[0, 1]] + x[t[0, 2]]) / 2
    with pytest.raises(ValueError, match="triangle"):
        mo.check_mesh(flat, np.concatenate([t, [[t[0, 1], t[0, 0], t[0, 2]]]]))
    inner = np.setdiff1d(np.arange(len(x)), mo.boundary_loop(t))
    hole = t[~(t == inner[len(inner) // 2]).any(1)]
    keep = np.unique(hole)
    with pytest.raises(ValueError, match="2 boundary loops and Euler number 0"):
        mo.check_mesh(x[keep], np.searchsorted(keep, hole))
    mixed = Meshes(
        [x, x, x[keep]],
        [t, t, np.searchsorted(keep, hole)],
        np.zeros((3, 1)),
        [x, x, x[keep]],
        np.ones((3, 1)),
        plates.landmarks[[0, 0, 0]],
    )
    with pytest.raises(ValueError, match="sample 2 has 2 boundary loops"):
        CommonDomain(mixed).morph(mixed, 2)
    with pytest.raises(ValueError, match="sample 1: the fields at node 4 are not finite"):
        Meshes(
            [x, x], [t, t], np.zeros((2, 1)), [x, np.where(np.arange(len(x))[:, None] == 4, np.nan, x)], np.ones((2, 1))
        )
    with pytest.raises(ValueError, match=r"sample 0 has \d+ nodes and \d+ rows"):
        Meshes([x], [t], np.zeros((1, 1)), [x[1:]], np.ones((1, 1)))


def test_cache_folder_of_a_bundle(tmp_path):
    b = load(config(train=8, test=2), fold="draw0", source="simulated", root=Path(), cache=tmp_path)
    assert b.kind == "mesh_fields" and b.train.field_names == ("u_x", "u_y", "von_mises")
    assert list((tmp_path / "plates").glob("*.npz"))


# --- published sets
# ------------------------------------------------------------------------------------------------------


def write_plaid(home: Path, meshes: Meshes, splits: dict[str, list[int]]) -> None:
    """The layout of the publishers: HDF5 with the nodes of CGNS, 1-based elements, a row of scalars."""
    h5py = pytest.importorskip("h5py")
    (home / "problem_definition").mkdir(parents=True)
    (home / "problem_definition" / "split.csv").write_text(
        "".join(f"{k},{','.join(map(str, v))}\n" for k, v in splits.items())
    )
    for i in range(len(meshes)):
        folder = home / "dataset" / "samples" / f"sample_{i:09d}"
        (folder / "meshes").mkdir(parents=True)
        (folder / "scalars.csv").write_text(
            "P,p1,top\n" + ",".join(map(str, [*meshes.scalars[i, :2], meshes.outputs[i, 0]])) + "\n"
        )
        with h5py.File(folder / "meshes" / "mesh_000000000.cgns", "w") as f:
            f.create_dataset("CGNSLibraryVersion/ data", data=[4.0])
            zone = f.create_group("Base_2_2/Zone")
            for axis, value in zip("XYZ", [*meshes.points[i].T, np.zeros(len(meshes.points[i]))], strict=True):
                zone[f"GridCoordinates/Coordinate{axis}/ data"] = value
            zone["Elements_TRI_3/ElementConnectivity/ data"] = meshes.triangles[i].ravel() + 1
            for k, name in enumerate(("U1", "U2")):
                zone[f"VertexFields/{name}/ data"] = meshes.fields[i][:, k]


def test_plaid_folders_are_read_and_regressed(tmp_path, plates):
    from datasets.mesh_folder.adapter import load as load_folder
    from datasets.mesh_folder.config import Config as Folder

    write_plaid(tmp_path / "set", plates[range(12)], {"train": list(range(9)), "test": [9, 10, 11]})
    c = Folder(name="tensile2d", path="set", train="train", test="test", inputs=["P", "p1"], outputs=["top"])
    assert c.present(tmp_path, tmp_path) and not Folder(name="x", path="none").present(tmp_path, tmp_path)
    b = load_folder(c, fold="0", source="real", root=tmp_path, cache=tmp_path)
    assert len(b.train) == 9 and b.origin == "real" and b.test.landmarks is None
    assert (b.test.triangles[0] == plates.triangles[9]).all() and b.test.points[0].shape[1] == 2
    close(b.test.fields[1], plates.fields[10][:, :2], 0)
    close(b.train.outputs[:, 0], plates.outputs[:9, 0], 1e-15)
    domain = CommonDomain(b.train, landmarks=False)
    assert np.isfinite(domain.morph(b.test, 0).shape).all()
    with pytest.raises(ValueError, match="no landmarks"):
        CommonDomain(b.train)
    c.train = "train_500"
    with pytest.raises(BenchError, match="no split 'train_500'; it has train, test"):
        load_folder(c, fold="0", source="real", root=tmp_path, cache=tmp_path)
    c.train, c.fields = "train", ["sig11"]
    with pytest.raises(BenchError, match=r"sample_000000000 .* has no field 'sig11'; it has U1, U2"):
        load_folder(c, fold="0", source="real", root=tmp_path, cache=tmp_path)


def test_airfrans_folders_are_read(tmp_path):
    meshio = pytest.importorskip("meshio")
    from datasets.mesh_folder.adapter import load as load_folder
    from datasets.mesh_folder.config import Config as Folder

    names = [f"airFoil2D_SST_{40 + i}.5_{i}.25_1_2_3" for i in range(3)]
    x = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [1, 1, 0], [2, 1, 0]])
    for i, name in enumerate(names):
        (tmp_path / "airfrans" / name).mkdir(parents=True)
        data = {"U": np.full((6, 3), float(i)), "p": np.arange(6.0), "nut": np.ones(6)}
        meshio.Mesh(x, [("quad", [[0, 1, 4, 3], [1, 2, 5, 4]])], point_data=data).write(
            tmp_path / "airfrans" / name / f"{name}_internal.vtu"
        )
    (tmp_path / "airfrans" / "manifest.json").write_text(
        f'{{"full_train": {names[:2]!r}, "full_test": {names[2:]!r}}}'.replace("'", '"')
    )
    c = Folder(
        name="airfrans", path="airfrans", layout="airfrans", train="full_train", test="full_test", fields=["U_x", "p"]
    )
    b = load_folder(c, fold="0", source="real", root=tmp_path, cache=tmp_path)
    close(b.train.scalars, [[40.5, 0.25], [41.5, 1.25]], 1e-12)
    assert b.test.triangles[0].shape == (4, 3) and b.test.fields[0][0, 0] == 2
    assert (mo.signed_areas(b.test.points[0], b.test.triangles[0]) > 0).all()
    (tmp_path / "airfrans" / names[0] / f"{names[0]}_internal.vtu").unlink()
    with pytest.raises(BenchError, match=r"_internal\.vtu is missing"):
        load_folder(c, fold="0", source="real", root=tmp_path, cache=tmp_path)
