"""Rotation regression: heads, networks, kinematics, the three data sets and the method's contract."""

from __future__ import annotations

import copy
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from bench import cell as cells
from bench import plan
from bench.schema import Arrays, BenchError, Bundle
from datasets.rotations.clouds import adapter as clouds
from datasets.rotations.clouds.config import Config as Clouds
from datasets.rotations.haar import adapter as haar
from datasets.rotations.haar.config import Config as Haar
from datasets.rotations.poses import adapter as poses
from datasets.rotations.poses import skeleton
from datasets.rotations.poses.config import Config as Poses
from datasets.rotations.stream import rotations
from datasets.rotations.task import angles
from models.geometry.rotations import REPRESENTATIONS, axis_angle_double, procrustes
from models.rot6d import PairPointNet, RotationHead, forward_kinematics
from models.rot6d.config import REPRESENTATIONS as CHOICES
from models.rot6d.config import Config
from models.rot6d.meter import symmetry
from models.rot6d.nets import MatrixNet, PoseNet, mean_angle
from models.rot6d.plugin import RotationRegression

F64 = torch.float64


def load(module, config, fold="draw0") -> Bundle:
    return module.load(config, fold=fold, source="simulated", root=Path("."), cache=Path("."))


def test_config_offers_every_representation():
    assert set(CHOICES) == set(REPRESENTATIONS)


@pytest.mark.parametrize("name", CHOICES)
def test_head_gives_rotations_and_learns(name):
    """In evaluation every head gives rotations; a gradient reaches the last layer."""
    torch.manual_seed(0)
    net = MatrixNet(RotationHead(name), 16)
    x = torch.randn(7, 9)
    net(x).square().mul(torch.arange(9.0).view(3, 3)).sum().backward()
    last = net.body[-1].weight.grad
    assert bool(torch.isfinite(last).all()) and float(last.abs().max()) > 0
    r = net.eval()(x)
    assert float((r.mT @ r - torch.eye(3)).detach().abs().max()) < 1e-5


def test_matrix_head_is_raw_in_training_only():
    x = torch.randn(5, 9, generator=torch.Generator().manual_seed(0))
    head = RotationHead("matrix")
    assert torch.equal(head.train()(x), x.view(5, 3, 3))
    assert float((torch.linalg.det(head.eval()(x)) - 1).abs().max()) < 1e-5
    parity = RotationHead("matrix", official_parity=True).eval()(x)
    assert float(torch.linalg.det(parity).min()) < 0  # Gram-Schmidt leaves reflections
    projected = RotationHead("matrix", svd=True)
    assert torch.equal(projected.train()(x), projected.eval()(x))


def test_parity_follows_the_released_maps():
    x = torch.randn(5, 4, dtype=F64, generator=torch.Generator().manual_seed(0))
    on_clouds = RotationHead("axis_angle", official_parity=True, clouds=True)
    assert torch.equal(on_clouds(x), axis_angle_double(x))
    assert torch.equal(RotationHead("axis_angle", official_parity=True)(x), RotationHead("axis_angle")(x))


def test_network_sizes_are_the_papers():
    """Sanity: 9-128-128-128-6; clouds: 3-64-128-1024, then 2048-512-6; poses: 171-1024-1024-1024-342."""

    def count(*sizes: int) -> int:
        return sum(a * b + b for a, b in itertools.pairwise(sizes))

    head = RotationHead("6d")
    parents, offsets, _ = skeleton.skeleton()
    for net, expected in (
        (MatrixNet(head), count(9, 128, 128, 128, 6)),
        (PairPointNet(head), count(3, 64, 128, 1024) + count(2048, 512, 6)),
        (PoseNet(head, parents, torch.as_tensor(offsets)), count(171, 1024, 1024, 1024, 342)),
    ):
        assert sum(p.numel() for p in net.parameters()) == expected


def test_point_network_ignores_the_order_of_points():
    net = PairPointNet(RotationHead("6d"), 32).double()
    x = torch.randn(3, 2, 20, 3, dtype=F64)
    assert float((net(x) - net(x[:, :, torch.randperm(20)])).abs().max()) < 1e-12


def test_kinematics_by_level_equals_joint_by_joint():
    """The batched tree equals the recursion p_j = p_parent + R_parent o_j; segment lengths never change."""
    parents, offsets, _ = skeleton.skeleton()
    assert len(parents) == 57
    local = Rotation.random(4 * 57, rng=np.random.default_rng(0)).as_matrix().reshape(4, 57, 3, 3)
    root = np.random.default_rng(1).normal(size=(4, 3))
    ours = forward_kinematics(torch.as_tensor(local), torch.as_tensor(root), parents, torch.as_tensor(offsets))
    assert np.abs(ours.numpy() - skeleton.positions(local, root, parents, offsets)).max() < 1e-11
    bones = (ours[:, 1:] - ours[:, parents[1:]]).norm(dim=-1).numpy()
    assert np.abs(bones - np.linalg.norm(offsets[1:], axis=1)).max() < 1e-11


@pytest.mark.parametrize("parents", [[], [0], [-1, 2, 0], [-1, -1]])
def test_a_broken_tree_is_refused(parents):
    with pytest.raises(ValueError, match="parents must begin with -1"):
        forward_kinematics(torch.zeros(1, 3, 3, 3), torch.zeros(1, 3), parents, torch.zeros(len(parents), 3))


def test_mean_angle_is_the_angle():
    r = torch.as_tensor(Rotation.random(200, rng=np.random.default_rng(0)).as_matrix())
    truth = (Rotation.from_matrix(r[:100].numpy()) * Rotation.from_matrix(r[100:].numpy()).inv()).magnitude().mean()
    assert abs(float(mean_angle(r[:100], r[100:])) - truth) < 1e-4
    assert math.isclose(np.radians(angles(r[:100].numpy(), r[100:].numpy())).mean(), truth, rel_tol=1e-12)
    same = r[:3].clone().requires_grad_()
    mean_angle(same, r[:3]).backward()
    assert bool(torch.isfinite(same.grad).all())


def test_streams_are_rotations_and_belong_to_their_generator():
    b = load(haar, Haar(name="rotations", n_test=50))
    x, y = b.train.draw(20, np.random.default_rng(0))
    assert np.array_equal(x.reshape(20, 3, 3), y)
    assert np.abs(y.transpose(0, 2, 1) @ y - np.eye(3)).max() < 1e-6
    again, _ = b.train.draw(20, np.random.default_rng(0))
    assert np.array_equal(x, again) and not np.array_equal(x, b.train.draw(20, np.random.default_rng(1))[0])
    assert b.task.score(b, b.task.trivial(b))[0].value > 100


def test_half_angle_sampling_differs_from_haar():
    """Angle from the identity: mean pi/2 + 2/pi under Haar, pi/2 with a uniform angle."""
    means = [angles(rotations(20000, np.random.default_rng(0), s), np.eye(3)).mean() for s in ("haar", "uniform_angle")]
    assert np.abs(np.radians(means) - [math.pi / 2 + 2 / math.pi, math.pi / 2]).max() < 0.03


def test_clouds_hold_the_stated_rotation():
    """The second cloud is R times the first; shapes are inside the unit ball; one drawn batch is one shape."""
    b = load(clouds, Clouds(name="rotated_planes", shapes=5, test_shapes=3, per_shape=2))
    p, q = b.test.x[:, 0].astype(float), b.test.x[:, 1]
    assert np.abs(np.einsum("nij,npj->npi", b.test.y, p) - q).max() < 1e-5
    assert np.abs(np.linalg.norm(p, axis=-1).max(1) - 1).max() < 1e-5
    x, _ = b.train.draw(4, np.random.default_rng(0))
    assert (x[:, 0] == x[0, 0]).all()
    # a half turn about no axis maps an aeroplane onto itself: the answer is unique
    many = clouds.aeroplanes(1, 2000, np.random.default_rng(0))[0]
    for turn in np.diag([1.0, -1, -1]), np.diag([-1.0, 1, -1]), np.diag([-1.0, -1, 1]):
        nearest = np.linalg.norm((many @ turn)[:300, None] - many[None], axis=-1).min(1)
        assert nearest.max() > 0.2


def test_poses_keep_their_bones_and_their_truth():
    """Input and target are one pose in two units, all bones keep their length, and the true rotations reproduce it."""
    b = load(poses, Poses(name="skeleton_poses", sequences=2, test_sequences=2))
    assert np.abs(100 * b.test.x.reshape(-1, 57, 3) - b.test.y).max() < 1e-3
    parents = b.meta["parents"]
    bones = np.linalg.norm(b.test.y[:, 1:] - b.test.y[:, parents[1:]], axis=-1)
    assert np.abs(bones - np.linalg.norm(b.meta["offsets"][1:], axis=1)).max() < 1e-3
    assert b.task.score(b, {"positions": b.test.y})[1].value == 0.0


def smoke(tmp_path, *words):
    return plan.expand(
        ["method=rot6d", "scale=smoke", "fold=0", f"out={tmp_path}", "trainer.checkpoint_every_s=1e9", *words]
    )[0]


@pytest.mark.parametrize("data", ["rotated_planes", "skeleton_poses"])
def test_other_data_run(tmp_path, data):
    outcome, record = cells.run(smoke(tmp_path, f"data={data}", "method.steps=20", "method.width=32"))
    assert outcome == "done", record["traceback"]
    found = {m["metric"]: m["value"] for m in record["metrics"]}
    assert {"mean_error", "max_error"} <= found.keys()
    e, worst, most = (found[f"equivariance_error{k}"] for k in ("", "_worst", "_adversarial"))
    assert 1e-4 < e < worst <= most


class Exact(torch.nn.Module):
    """The matrix that is asked for."""

    def forward(self, x):
        return x.unflatten(1, (3, 3))


class Kabsch(PairPointNet):
    """The rotation that fits the second cloud to the first best."""

    def __init__(self):
        torch.nn.Module.__init__(self)

    def forward(self, x):
        return procrustes(x[:, 1].mT @ x[:, 0])


class Same(PoseNet):
    """The pose that is given."""

    def __init__(self):
        torch.nn.Module.__init__(self)

    def forward(self, x):
        return x.unflatten(1, (-1, 3))


def test_meter_turns_input_and_answer_together():
    """Exact solvers of the three tasks have no error; a network that answers without turning has one."""
    one = {
        "matrix": load(haar, Haar(name="r", n_test=20)),
        "poses": load(poses, Poses(name="p", sequences=2, test_sequences=2)),
    }
    one["clouds"] = load(clouds, Clouds(name="c", shapes=5, test_shapes=3, per_shape=2))
    for key, net in (("matrix", Exact()), ("clouds", Kabsch()), ("poses", Same())):
        x = torch.as_tensor(one[key].test.x)
        assert all(m.value < 1e-10 for m in symmetry(net, x, torch.Generator().manual_seed(0)))
    net = MatrixNet(RotationHead("6d"))
    assert symmetry(net, torch.as_tensor(one["matrix"].test.x), torch.Generator().manual_seed(0))[0].value > 0.1


@pytest.mark.parametrize("data", ["rotations", "rotated_planes", "skeleton_poses"])
def test_paper_scale_takes_a_step(tmp_path, data):
    small = {"rotations": ["data.n_test=50"], "rotated_planes": ["data.test_shapes=2"]}.get(data, [])
    words = ["method=rot6d", f"data={data}", "scale=paper", "fold=0", "method.steps=1", f"out={tmp_path}"]
    cell = plan.expand([*words, *small])[0]
    assert cell.method.schedule == "released" and cell.method.lr == 1e-5
    outcome, record = cells.run(cell)
    assert outcome == "done", record["traceback"]


def test_continuous_beats_discontinuous(tmp_path):
    """After 400 steps already the largest 6D error is below a fifth of the quaternion's."""
    worst = {}
    for method in ("rot6d", "rot_quaternion"):
        cell = plan.expand([f"method={method}", "scale=smoke", "fold=0", f"out={tmp_path}"])[0]
        _, record = cells.run(cell)
        worst[method] = next(m["value"] for m in record["metrics"] if m["metric"] == "max_error")
    assert worst["rot_quaternion"] > 5 * worst["rot6d"]


def test_geodesic_loss_trains(tmp_path):
    _, record = cells.run(smoke(tmp_path, "method.loss=geodesic", "method.steps=200"))
    assert next(m["value"] for m in record["metrics"] if m["metric"] == "mean_error") < 30


def test_schedule_as_released():
    """1e-5, a tenth of it from step 10,000 on for matrices; constant otherwise."""
    method = RotationRegression(Config(name="x", steps=500001, lr=1e-5, schedule="released"))
    for kind, late in (("rotations", 0.1), ("poses", 1.0)):
        optimiser = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1e-5)
        factor = method._schedule(optimiser, kind).lr_lambdas[0]
        assert factor(9999) == 1.0 and factor(10000) == late


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(tmp_path):
    """Steps 0..50, checkpoint, steps 50..100 equal 100 steps at once."""
    b = load(haar, Haar(name="rotations", n_test=50))

    class Stop(Exception):
        pass

    class Checkpoint:
        state = None

        def save(self, state):
            self.state = copy.deepcopy(state)

        def load(self):
            return self.state

    class Context:
        device = "cpu"

        def __init__(self, checkpoint, stop):
            self.checkpoint, self.stop, self.curves = checkpoint, stop, {}

        def seed(self, purpose):
            return 3

        def rng(self, purpose):
            return np.random.default_rng(list(purpose.encode()))

        def log(self, step, **values):
            pass

        def late(self):
            return self.stop

        def check_deadline(self):
            raise Stop

    def run(checkpoint, stop):
        method = RotationRegression(Config(name="x", steps=100, lr=1e-3, schedule="one_cycle"))
        method.fit(b, Context(checkpoint, stop))
        return method.evaluate(b, Context(checkpoint, False)).predictions["rotation"]

    whole, checkpoint = run(Checkpoint(), False), Checkpoint()
    with pytest.raises(Stop):
        run(checkpoint, True)
    assert checkpoint.state["done"] == 50
    assert np.array_equal(run(checkpoint, False), whole)


def test_bad_choices_are_told():
    with pytest.raises(BenchError, match="svd=false"):
        Config(name="x", svd=True).check()
    method = RotationRegression(Config(name="x"))
    fixed = Bundle("rotations", Arrays(np.zeros((2, 9))), None, None, 9, (9,), "g", "simulated", "")
    assert "no draw" in method.skip(fixed)
    with pytest.raises(BenchError, match="is null"):
        method.fit(fixed, None)
    with pytest.raises(BenchError, match="draw0 to draw7"):
        load(clouds, Clouds(name="rotated_planes"), fold="draw9")
