"""Inputs of the pressure networks: what they know and what they cannot know; networks, controls, baselines as cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from bench import cell as cells
from bench import plan
from bench.schema import BenchError
from datasets.wings.adapter import load
from datasets.wings.config import Config as Wings
from models.geometry.forms import grid_forms
from models.wing_baselines.config import Config as Baselines
from models.wing_baselines.plugin import Baseline
from models.wing_cp.config import FEATURES, Config
from models.wing_cp.inputs import SurfaceInputs, forms_of, point_features, pooled, signed_log
from models.wing_cp.networks import DAN, PointNetCp, PointwiseMLP
from models.wing_cp.plugin import WingCp

SIZES = {"train": 6, "val": 2, "test": 3, "splits": 1, "incidences": 1, "chordwise": 16, "spanwise": 5, "points": 120}


@pytest.fixture(scope="module")
def wings(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")

    def make(**more):
        return load(Wings(name="wings", **{**SIZES, **more}), fold="0", source="simulated", root=cache, cache=cache)

    return make


def config(**more) -> Config:
    return Config(name="wing_cp", **more)


# ------------------------------------------------------------------------------------------ features


def test_features_are_the_scaled_forms(wings):
    """log E, F / sqrt(EG), log G; signed logarithms of Gamma, K and H, in this order, of the grid chart with the normal outwards."""
    b = wings()
    x = b.train.x
    forms = forms_of(x, b.meta["grid"], "grid", 24)
    out = point_features(forms, x[..., 3:6], ("metric", "connection", "gauss", "mean", "normal"), b.meta["grid"])
    assert out.shape == (6, 80, 3 + 6 + 1 + 1 + 3)
    one = grid_forms(x[2, :, :3].reshape(16, 5, 3))
    e, f, g = np.moveaxis(one.metric.reshape(80, 3), -1, 0)
    assert np.allclose(out[2, :, :3], np.stack([np.log(e), f / np.sqrt(e * g), np.log(g)], -1))
    assert np.allclose(np.sign(out[2, :, 9]) * np.expm1(np.abs(out[2, :, 9])), one.gauss.ravel())
    assert np.allclose(out[2, :, 3:9], signed_log(one.connection.reshape(80, 6)))
    assert ((forms.normal * x[..., 3:6]).sum(-1) > 0.5).mean() > 0.95
    assert (out[..., 10] < 0).mean() > 0.7, "a convex body has negative mean curvature about its outward normal"


def test_orientation_of_the_grid_does_not_matter_to_curvature(wings):
    """A grid with its lines in the other order has the same outward mean curvature."""
    b = wings()
    x = b.train.x.reshape(6, 16, 5, 9)
    one = forms_of(b.train.x, (16, 5), "grid", 24).mean.reshape(6, 16, 5)
    other = forms_of(x[:, ::-1].reshape(6, 80, 9), (16, 5), "grid", 24).mean.reshape(6, 16, 5)
    assert np.abs(one - other[:, ::-1]).max() < 1e-8 * np.abs(one).max()


@pytest.mark.parametrize("chart", ["grid", "tangent"])
def test_geometric_features_do_not_see_rigid_motions(wings, chart):
    """1e-8 after the scaling, where coordinates and normals of course change."""
    b = wings()
    x, turn = b.train.x.copy(), Rotation.random(rng=0).as_matrix()
    y = x.copy()
    y[..., :3], y[..., 3:6] = x[..., :3] @ turn.T + [1, 2, 3], x[..., 3:6] @ turn.T
    parts = FEATURES["riemann"]
    one, other = (point_features(forms_of(a, (16, 5), chart, 24), a[..., 3:6], parts, (16, 5)) for a in (x, y))
    assert np.abs(one - other).max() < 1e-8


def test_intrinsic_features_cannot_tell_a_plate_from_a_cylinder():
    """The limit of the paper's set: an isometric bending changes H and the normal only."""
    u, v = np.meshgrid(np.linspace(0, 1, 161), np.linspace(0, 1, 8), indexing="ij")
    plate = np.stack([u, v, 0 * u], -1)
    roll = np.stack([np.sin(u), v, np.cos(u)], -1)
    samples = []
    for x in (plate, roll):
        normal = grid_forms(x).normal
        samples.append(np.concatenate([x, normal, 0 * x[..., :1]], -1).reshape(1, -1, 7))
    forms = [forms_of(s, (161, 8), "grid", 24) for s in samples]
    for part, bound in (("metric", 1e-4), ("connection", 1e-4), ("gauss", 1e-6)):
        one, other = (point_features(f, s[..., 3:6], (part,), (161, 8)) for f, s in zip(forms, samples, strict=True))
        assert np.abs(one - other).max() < bound, part
    one, other = (point_features(f, s[..., 3:6], ("mean",), (161, 8)) for f, s in zip(forms, samples, strict=True))
    assert np.abs(one - other).min() > 0.3


def test_the_grid_chart_knows_the_index_and_other_charts_less(wings):
    """The leak: over wings on one grid, log E and Gamma^u_uu are nearly functions of the index, elsewhere less so."""

    def shares(chart, **more):
        b = wings(train=20, **more)
        forms = forms_of(b.train.x, b.meta["grid"], chart, 24)
        f = point_features(forms, b.train.x[..., 3:6], ("metric", "connection"), b.meta["grid"])[..., [0, 3]]
        return f.mean(0).var(0) / f.var((0, 1))  # of the variance, what the index explains

    fixed, random, tangent = shares("grid"), shares("grid", grid="random"), shares("tangent")
    assert (fixed > [0.85, 0.98]).all() and (random < [0.75, 0.85]).all() and (tangent < [0.5, 0.5]).all()


def test_scattered_points_take_fits_of_their_own_piece(wings):
    b = wings(layout="points")
    inputs = SurfaceInputs(config(features="riemann", neighbours=16), b)
    assert inputs.chart == "tangent" and inputs.sizes == (14, 2)
    with pytest.raises(BenchError, match=r"has a smooth piece of \d+ points and method\.neighbours=90"):
        forms_of(b.train.x, None, "tangent", 90)
    parts = forms_of(b.train.x, None, "tangent", 16)
    assert ((parts.normal * b.train.x[..., 3:6]).sum(-1) > 0.9).mean() > 0.85


def test_nothing_is_differenced_across_the_start_of_a_piece(wings):
    """A bend along a row of the grid is not seen by either side of it."""
    x = wings().train.x.copy()
    bent = x.copy()
    bent[..., 2] += np.where(np.arange(80) // 5 < 8, 0.0, np.linspace(0, 4, 80))
    for chart in ("grid", "tangent"):
        one, other = (forms_of(a, (16, 5), chart, 24, starts=[8]).gauss.reshape(6, 16, 5) for a in (x, bent))
        assert np.array_equal(one[:, :8], other[:, :8]) and not np.allclose(one[:, 8:], other[:, 8:])


def test_pooling_is_over_neighbours_of_the_same_wing(wings):
    b = wings()
    f = np.broadcast_to(np.arange(6.0)[:, None, None], (6, 80, 1))
    assert np.array_equal(pooled(f, b.train.x, 8)[..., 0], f[..., 0])
    value = np.random.default_rng(0).normal(size=(6, 80, 2))
    out = pooled(value, b.train.x, 8)
    assert out.shape == (6, 80, 4) and (out[..., 2:] >= out[..., :2]).all() and (out[..., 2:] >= value).all()


@pytest.mark.parametrize("features", list(FEATURES))
def test_inputs_are_standardised_by_the_training_wings_alone(wings, features):
    b = wings()
    inputs = SurfaceInputs(config(features=features), b)
    x, c = inputs(b.train.x)
    assert (
        np.abs(x.reshape(-1, x.shape[-1]).mean(0)).max() < 1e-4
        and np.abs(x.reshape(-1, x.shape[-1]).std(0) - 1).max() < 1e-3
    )
    assert c.shape == (6, 2) and (c[:, 1] == 0).all(), "a constant Mach number says nothing"
    far = b.test.x.copy()
    far[..., 0] += 5
    assert inputs(far)[0][..., 0].mean() > 3


# ------------------------------------------------------------------------------------------ networks


def test_dan_has_as_many_parameters_with_any_features():
    """Within 0.3 %, at the reduced scale's width."""
    count = [sum(p.numel() for p in DAN(c, 2, 64, 4, 4).parameters()) for c in (3, 13, 14, 33, 36)]
    assert max(count) / min(count) < 1.003


@pytest.mark.parametrize("net", [DAN(5, 2, 16, 2, 4), PointNetCp(5, 2, 16, 2), PointwiseMLP(5, 2, 16, 2)])
def test_networks_are_equivariant_to_the_order_of_points(net):
    x, c = torch.randn(3, 20, 5), torch.randn(3, 2)
    order = torch.randperm(20)
    assert (net(x, c)[:, order] - net(x[:, order], c)).abs().max() < 1e-5


def test_only_the_set_networks_see_the_other_points():
    x, c = torch.randn(1, 20, 5), torch.randn(1, 2)
    moved = x.clone()
    moved[:, 1:] += 1
    for net, sees in ((DAN(5, 2, 16, 2, 4), True), (PointNetCp(5, 2, 16, 2), True), (PointwiseMLP(5, 2, 16, 2), False)):
        assert ((net(x, c)[:, 0] - net(moved, c)[:, 0]).abs() > 1e-6).all() == sees
        assert ((net(x, c) - net(x, c + 1)).abs() > 1e-6).any()


# ------------------------------------------------------------------------------------------ as methods


def test_skips_say_why(wings):
    scattered = wings(layout="points")
    for method in (WingCp(config(features="index")), WingCp(config(chart="grid"))):
        assert "scattered points" in method.skip(scattered) and method.skip(wings()) is None
    assert "same points on every surface" in Baseline(Baselines(name="wing_pod", algorithm="pod")).skip(scattered)
    with pytest.raises(BenchError, match=r"no multiple of method\.heads"):
        config(width=30).check()
    with pytest.raises(BenchError, match="has none"):
        config(pool=8, features="normal").check()


def run(words, out):
    cell = plan.expand([*words.split(), f"out={out}", "scale=smoke", "fold=0", "trainer.threads=1"])[0]
    outcome, record = cells.run(cell)
    assert outcome == "done", record.get("traceback")
    return {m["metric"]: m["value"] for m in record["metrics"]}, record


def test_curvature_beats_coordinates_and_the_figure_is_drawn(tmp_path):
    plain, _ = run("method=wing_mlp", tmp_path)
    curved, record = run("method=wing_mlp method.features=riemann", tmp_path)
    assert curved["mse"] < 0.5 * plain["mse"] and curved["mse"] < 0.05
    assert record["figures"] == ["figures/cp.png"]


def test_scattered_points_and_stand_in_of_files_run(tmp_path):
    metrics, record = run("method=wing_cp data.layout=points", tmp_path)
    assert "cl_mae" not in metrics and record["origin"] == "simulated"
    _, record = run("method=wing_cp data=wing_files data.source=synthetic", tmp_path)
    assert record["origin"] == "synthetic_twin"


def test_principal_components_are_fitted_on_training_wings_alone(wings):
    """With all components the fields of the training wings come back, and the number kept is one that the validation error picks."""
    b = wings(train=16)
    method = Baseline(Baselines(name="wing_pod", algorithm="pod"))

    class Ctx:
        def seed(self, purpose):
            return 0

    method.fit(b, Ctx())
    codes = method.field.transform(b.train.y.astype(float))
    back = method.field.mean_ + codes @ method.field.components_
    assert ((back - b.train.y) ** 2).sum() / ((b.train.y - b.train.y.mean(0)) ** 2).sum() < 2e-4
    assert 1 <= method.count <= len(method.processes) and method.trials == 3
