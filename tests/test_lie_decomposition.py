"""Lie group decompositions: equivariant convolutions, warped digits, and the method."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from bench import plan
from bench.schema import BenchError
from models.geometry import lie, warps
from models.geometry.equivariance import equivariance_errors
from models.geometry.lie import Samples
from models.lie_decomposition.action import ImageAction
from models.lie_decomposition.layers import GroupConv, LiftingConv, mask, pixel_grid
from models.lie_decomposition.network import LieNetwork, PlainNetwork, count, matched_channels
from models.lie_decomposition.siren import Siren

F64 = torch.float64
EYE = torch.eye(2, dtype=F64)[None]


def rotations4() -> Samples:
    """The four rotations by multiples of 90 degrees, entries exact."""
    j = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=F64)
    g = torch.stack([torch.linalg.matrix_power(j, k) for k in range(4)])
    return Samples(g, g.mT.contiguous(), torch.ones(4, dtype=F64))


# ------------------------------------------------------------------------------------------ layers


def test_the_start_of_kernel_networks():
    """Bounds of every weight; sin(10 (W x + b)); biases 0 but for the first."""
    torch.manual_seed(0)
    net = Siren(5, 12, width=60, fan_in=40 * 25)
    assert len(net.hidden) == 3 and all(layer.out_features == 60 for layer in net.hidden)
    bounds = [1 / 5, math.sqrt(6 / 60) / 10, math.sqrt(6 / 60) / 10, math.sqrt(6 / 60) / math.sqrt(1000)]
    for layer, bound in zip([*net.hidden, net.last], bounds, strict=True):
        assert 0.95 * bound < float(layer.weight.detach().abs().max()) <= bound
    assert all(not layer.bias.any() for layer in [*net.hidden[1:], net.last]) and net.hidden[0].bias.any()
    x = torch.randn(4, 5)
    first = net.hidden[0]
    expected = x
    for layer in net.hidden:
        expected = torch.sin(10 * (expected @ layer.weight.mT + layer.bias))
    assert torch.allclose(net(x), expected @ net.last.weight.mT + net.last.bias) and first.in_features == 5


def test_pixel_grid_is_affine_grid():
    from torch.nn.functional import affine_grid

    for k in (3, 5, 6):
        theirs = affine_grid(torch.eye(2, 3, dtype=F64)[None], [1, 1, k, k], align_corners=False)[0]
        assert (pixel_grid(k, theirs) - theirs.reshape(-1, 2)).abs().max() < 1e-15


def test_masks():
    p = torch.tensor([[0.0, 0.0], [0.6, 0.8], [0.8, 0.8]], dtype=F64)
    assert mask(p, "sl2").tolist() == [1.0, 1.0, 0.0]
    c = torch.tensor([[0.0, 0, 0, 0], [1.0, 0, 0, 0], [0, 0, 2.0, 0]], dtype=F64)
    norm = torch.tensor([0.0, math.sqrt(2), math.sqrt(1.28 + 4)], dtype=F64)
    assert torch.allclose(mask(p, "gl2", c), torch.sigmoid(2 * (1 - norm)))


@pytest.mark.parametrize("group", ["sl2", "gl2", "so2"])
def test_lifting_commutes_with_quarter_turns(group):
    """With the four rotations by 90 degrees as samples, lift(rot90 x) = rot90 of lift(x), its samples shifted cyclically, to 1e-5."""
    torch.manual_seed(0)
    layer = LiftingConv(2, 3, 5, group).double()
    x = torch.randn(2, 2, 13, 13, dtype=F64)
    s = rotations4()
    y, turned = layer(x, s), layer(torch.rot90(x, -1, (2, 3)), s)  # -1: from x to y, the sense of j in (right, down)
    assert (turned - torch.rot90(y.roll(1, 2), -1, (3, 4))).abs().max() < 1e-5
    assert (turned - torch.rot90(y, -1, (3, 4))).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("group", "angle"), [("sl2", "chart"), ("sl2", "circle"), ("gl2", "chart"), ("gl2", "circle"), ("so2", "chart")]
)
def test_the_network_is_invariant_under_the_group_its_samples_form(group, angle):
    """Lift, residual block, pooling, last convolution and maximum: scores of quarter turns agree to 1e-10, of other turns do not."""
    torch.manual_seed(0)
    net = LieNetwork(1, 10, group=group, channels=4, width=12, angle=angle).double().eval()
    net.given = (rotations4(), rotations4())
    x = torch.randn(2, 1, 24, 24, dtype=F64)
    y = net(x)
    for k in (1, 2, 3):
        assert (net(torch.rot90(x, k, (2, 3))) - y).abs().max() < 1e-10
    j = warps.homogeneous(lie.plane_rotation(torch.tensor([0.5, 0.5], dtype=F64)))
    assert (net(warps.resample(x, j)) - y).abs().max() > 1e-4


@pytest.mark.parametrize("group", ["sl2", "gl2", "so2"])
def test_one_sample_at_the_identity_is_a_plain_convolution(group):
    """g = h = I: conv2d with the kernel network's values at (x, xi^-1(I) = 0), times the mask."""
    torch.manual_seed(0)
    layer = GroupConv(3, 2, 5, group).double()
    eye = Samples(*(torch.eye(2, dtype=F64)[None],) * 2, torch.ones(1, dtype=F64))
    x = torch.randn(2, 3, 1, 9, 9, dtype=F64)
    grid = pixel_grid(5, x)
    zero = torch.zeros(25, lie.dimension(group), dtype=F64)
    w = layer.siren(torch.cat([grid, zero], -1)) * mask(grid, group, zero)[:, None]
    expected = conv2d(x[:, :, 0], w.T.reshape(2, 3, 5, 5))
    assert (layer(x, eye, eye)[:, :, 0] - expected).abs().max() < 1e-12


@pytest.mark.parametrize("group", ["sl2", "gl2", "so2"])
def test_kernels_jump_at_the_identity_in_the_chart_and_not_on_the_circle(group):
    """Weights for h^-1 g = R(+e) and R(-e): their gap goes to 0 with e on the circle, in the chart it does not."""
    gaps = {}
    for angle in ("chart", "circle"):
        torch.manual_seed(0)
        layer = GroupConv(1, 1, 5, group, angle=angle).double()
        for e in (1e-2, 1e-4):
            g = lie.plane_rotation(torch.tensor([e, -e], dtype=F64))
            into, out = Samples(g, g.mT, torch.ones(2)), Samples(EYE, EYE, torch.ones(1))
            w = layer.weights(into, out)[0, 0, 0]
            gaps[angle, e] = float((w[0] - w[1]).detach().abs().max())
    assert gaps["circle", 1e-4] < 0.02 * gaps["circle", 1e-2] and gaps["chart", 1e-4] > 0.5 * gaps["chart", 1e-2] > 1e-3


def brute_force(layer: GroupConv, x: torch.Tensor, into: Samples, out: Samples, parity: bool) -> torch.Tensor:
    """The sum over pixels, samples and channels, term by term."""
    k, half = layer.kernel, layer.kernel // 2
    n, _, m_in, h, w = x.shape
    y = torch.zeros(n, layer.c_out, len(out.g), h - 2 * half, w - 2 * half, dtype=x.dtype)
    for i, (g_out, h_inv) in enumerate(zip(out.g, out.inverse, strict=True)):
        for j in range(m_in):
            v = lie.xi_inverse((torch.linalg.inv(g_out) @ into.g[j])[None], layer.group)[0]
            det = torch.linalg.det(into.g[i if parity else j]).abs() if layer.group == "gl2" else 1.0
            for row in range(k):
                for column in range(k):
                    u = h_inv @ torch.tensor([(2 * column + 1) / k - 1, (2 * row + 1) / k - 1], dtype=x.dtype)
                    size = torch.cat([u, v]).norm() if layer.group == "gl2" else u.norm()
                    weight = torch.sigmoid(2 * (1 - size)) if layer.group == "gl2" else float(size <= 1)
                    kernel = layer.siren(torch.cat([u, v])).reshape(layer.c_out, layer.c_in) * weight / det
                    part = x[:, :, j, row : row + h - 2 * half, column : column + w - 2 * half]
                    y[:, :, i] += torch.einsum("oc,nchw->nohw", kernel, part)
    return y


@pytest.mark.parametrize(("group", "parity"), [("sl2", False), ("gl2", False), ("gl2", True), ("so2", False)])
def test_group_convolution_is_its_sum(group, parity):
    """Against the definition, term by term; determinants of the input samples, of the wrong axis with parity."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    layer = GroupConv(2, 3, 3, group, parity=parity).double()
    into, out = (lie.sample(3, group, generator=generator) for _ in "12")
    x = torch.randn(1, 2, 3, 5, 6, dtype=F64)
    with torch.no_grad():
        assert (layer(x, into, out) - brute_force(layer, x, into, out, parity)).abs().max() < 1e-12


def test_lifting_is_its_sum():
    torch.manual_seed(0)
    layer = LiftingConv(1, 2, 3, "gl2").double()
    out = lie.sample(2, "gl2", generator=torch.Generator().manual_seed(1))
    x = torch.randn(1, 1, 4, 4, dtype=F64)
    with torch.no_grad():
        y = layer(x, out)
        for i in range(2):
            u = pixel_grid(3, x) @ torch.linalg.inv(out.g[i]).mT
            w = layer.siren(u) * torch.sigmoid(2 * (1 - u.norm(dim=-1)))[:, None] / torch.linalg.det(out.g[i]).abs()
            assert (y[:, :, i] - conv2d(x, w.T.reshape(2, 1, 3, 3))).abs().max() < 1e-12


def test_translated_images_give_translated_maps():
    torch.manual_seed(0)
    s = lie.sample(3, "sl2", generator=torch.Generator().manual_seed(1))
    lift, conv = LiftingConv(1, 2).double(), GroupConv(2, 2).double()
    x = torch.zeros(1, 1, 28, 28, dtype=F64)
    x[..., 10:14, 10:14] = torch.randn(4, 4, dtype=F64)
    y, z = (conv(lift(a, s), s, s) for a in (x, x.roll((3, 2), (2, 3))))
    assert (z - y.roll((3, 2), (3, 4))).abs().max() < 1e-12


def test_error_falls_with_the_number_of_samples():
    """Equivariance is approximate: with random kernels, the error of the group's maximum under rotations falls as samples are added,
    and with all of SL(2) as well, where the samples are random."""
    torch.manual_seed(0)
    x = blobs(6, 33)
    errors = {}
    for group, counts in (("so2", (2, 6, 18)), ("sl2", (2, 8, 64))):
        action = ImageAction(group, spread=0.0)
        errors[group] = []
        for m in counts:
            mean = 0.0
            for seed in range(4):
                torch.manual_seed(seed)
                lift = LiftingConv(1, 8, 9, group).double()
                s = lie.sample(m, group, variance=0.1, generator=torch.Generator().manual_seed(seed))

                def f(images, lift=lift, s=s):
                    return lift(images, s).amax((2, 3, 4))

                with torch.no_grad():
                    mean += equivariance_errors(f, action, x, draws=2, steps=0).mean / 4
            errors[group].append(mean)
    for few, some, many in errors.values():
        assert many < some < few and many < 0.6 * few, errors


def blobs(count: int, size: int) -> torch.Tensor:
    """Smooth images well inside their frame (count, 1, size, size)."""
    generator = torch.Generator().manual_seed(7)
    p = warps.centres(size, torch.zeros(1, dtype=F64)) / size
    centre = 0.12 * torch.randn(count, 4, 1, 2, dtype=F64, generator=generator)
    sign = torch.tensor([1.0, -1.0, 1.0, 0.7], dtype=F64)[:, None]
    return (sign * torch.exp(-((p - centre) ** 2).sum(-1) / 0.006)).sum(1).reshape(count, 1, size, size)


def test_the_network_as_published():
    """train.py's numbers: 10 samples, 40 channels, kernel networks of 3 x 60, head 256; the parameters are counted by hand."""
    net = LieNetwork(1, 10)

    def siren(d_in: int, d_out: int) -> int:
        return d_in * 60 + 60 + 2 * (60 * 60 + 60) + 60 * d_out + d_out

    assert count(net) == siren(2, 40) + 3 * siren(5, 1600) + 40 * 256 + 2 * 256 + 256 * 10 + 10
    assert net.samples == 10 and net.law["variance"] == 0.1 and len(net.blocks) == 1
    shapes = []
    small = LieNetwork(1, 10, channels=3, samples=2, width=4).eval()
    hook = small.last.register_forward_hook(lambda m, a, y: shapes.append((a[0].shape[-1], y.shape[-1])))
    assert small(torch.randn(2, 1, 40, 40)).shape == (2, 10) and shapes == [(18, 14)]
    hook.remove()


def test_the_plain_network_has_as_many_parameters():
    """The nearest number of channels: neither one more nor one fewer is closer."""
    options = {"blocks": 1, "kernel": 5, "head": 256}
    for target in (16_000, 100_000, 400_000):
        c = matched_channels(target, 1, 10, **options)
        sizes = {k: count(PlainNetwork(1, 10, channels=k, **options)) for k in (c - 1, c, c + 1)}
        assert min(sizes, key=lambda k: abs(sizes[k] - target)) == c


def test_samples_are_new_in_training_and_fixed_in_evaluation():
    torch.manual_seed(0)
    net = LieNetwork(1, 10, channels=3, samples=3, width=8, dropout=0.0)
    x = torch.randn(2, 1, 16, 16)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))
    more = net.resampled(9)
    assert more.samples == 9 and net.samples == 3 and not torch.equal(more(x), net(x))
    net.eval_draws = 3
    assert (net(x).exp().sum(1) - 1).abs().max() < 1e-5


def test_gradients_reach_every_parameter_and_pass_gradcheck():
    torch.manual_seed(0)
    net = LieNetwork(1, 3, channels=2, samples=2, width=4, head=4, dropout=0.0, group="gl2").double()
    net.given = tuple(lie.sample(2, "gl2", generator=torch.Generator().manual_seed(k)) for k in (0, 1))
    net(torch.randn(2, 1, 14, 14, dtype=F64)).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() and p.grad.any() for p in net.parameters())
    layer = GroupConv(1, 1, 3, "sl2", width=3, layers=1).double()
    s = lie.sample(2, "sl2", generator=torch.Generator().manual_seed(0))
    x = torch.randn(1, 1, 2, 4, 4, dtype=F64, requires_grad=True)
    torch.autograd.gradcheck(lambda x, w: torch.func.functional_call(layer, {"siren.last.weight": w}, (x, s, s)),
                             (x, layer.siren.last.weight.detach().requires_grad_()))  # fmt: skip


# ------------------------------------------------------------------------------------------ data


def bundle_of(*words: str):
    from bench.cell import load

    return load(plan.expand(["method=lie_cnn", "scale=smoke", "fold=0", "data.source=synthetic", *words])[0])


@pytest.mark.parametrize("data", ["warped_digits", "affnist", "homnist"])
def test_warped_images(data):
    """Test images upright then moved, of the same labels; strength 0 upright and positive moved; upright ones are whole."""
    b = bundle_of(f"data={data}")
    n = len(b.test) // 2
    assert b.test.x.dtype == np.uint8 and (b.test.y[:n] == b.test.y[n:]).all()
    assert (b.test.group == np.repeat([0, 1], n)).all()
    assert not b.meta["strength"][:n].any() and (b.meta["strength"][n:] > 0).all()
    assert (b.test.x[:n] != b.test.x[n:]).any(axis=(1, 2, 3)).all()
    scores = np.eye(b.n_out)[b.test.y]
    scores[n : n + n // 2] = np.eye(b.n_out)[(b.test.y[n : n + n // 2] + 1) % b.n_out]
    rows = {m.name: m.value for m in b.task.score(b, {"y_score": scores})}
    assert (
        rows["accuracy_upright"] == 1
        and rows["accuracy_transformed"] == rows["accuracy_upright"] - rows["accuracy_gap"]
    )
    assert abs(rows["accuracy_transformed"] - 0.5) < 0.02
    assert set(b.task.figures(b, {"y_score": scores})) == {"digits", "strength"}


def test_placing_pads_without_change():
    """Images of the stored size: the canvas holds them pixel by pixel in its middle, 0 around."""
    b = bundle_of("data=affnist")
    x = b.train.x
    assert x.shape[1:] == (1, 40, 40) and not x[:, :, :6].any() and not x[:, :, :, 34:].any()
    from bench.cell import load

    inner = load(plan.expand(["method=lie_cnn", "data=affnist", "scale=smoke", "fold=0", "data.source=synthetic",
                              "data.canvas=28"])[0]).train.x  # fmt: skip
    assert (x[:, :, 6:34, 6:34] == inner).all()


def mat_files(home, n=(12, 6), labels=None):
    from scipy.io import savemat

    rng = np.random.default_rng(0)
    for place, k in (("just_centered/training_and_validation", n[0]), ("just_centered/test", n[1]), ("transformed/test_batches/1", n[1]),
                     ("transformed/test_batches/2", n[1]), ("transformed/training_and_validation_batches/1", n[0])):  # fmt: skip
        path = home / f"{place}.mat"
        path.parent.mkdir(parents=True, exist_ok=True)
        y = np.arange(k) % 10 if labels is None else np.resize(labels, k)
        savemat(
            path,
            {
                "affNISTdata": {
                    "image": rng.integers(0, 256, (1600, k), dtype=np.uint8),
                    "label_int": y[None].astype(np.uint8),
                }
            },
        )


def test_affnist_files_are_read(tmp_path):
    """The published layout: images by column, batches in the order of their numbers, 5 of 6 of the shared file for training."""
    from datasets.warped_images.affnist import read_mat, read_part

    home = tmp_path / "affNIST"
    mat_files(home)
    x, y, used = read_part(home, "train")
    whole = read_mat(home / "just_centered/training_and_validation.mat")
    assert x.shape == (10, 1, 40, 40) and (x == whole[0][:10]).all() and (y == np.arange(10)).all() and len(used) == 1
    test = read_part(home, "test")
    assert len(test[1]) == 12 and [p.name for p in test[2]] == ["1.mat", "2.mat"]
    from scipy.io import loadmat

    raw = loadmat(home / "just_centered/test.mat")["affNISTdata"][0, 0]["image"]
    assert (read_part(home, "upright")[0][3, 0] == raw[:, 3].reshape(40, 40)).all()
    from bench.cell import load

    cell = plan.expand(["method=lie_cnn", "data=affnist_original", "scale=smoke", "fold=0", f"root={tmp_path}"])[0]
    assert cell.source == "real"
    b = load(cell)
    assert len(b.train) == 10 and len(b.val) == 2 and len(b.test) == 6 + 12 and np.isnan(b.meta["strength"][6:]).all()
    assert "accuracy_strong" not in {m.name for m in b.task.score(b, b.task.trivial(b))}
    assert set(b.task.figures(b, b.task.trivial(b))) == {"digits"}


def test_damaged_affnist_files_are_named(tmp_path):
    from datasets.warped_images.affnist import read_mat, read_part

    with pytest.raises(BenchError, match="unpack affNIST"):
        read_part(tmp_path, "train")
    (tmp_path / "bad.mat").write_bytes(b"x" * 300)
    with pytest.raises(BenchError, match="unpack it again"):
        read_mat(tmp_path / "bad.mat")
    mat_files(tmp_path, labels=[17])
    with pytest.raises(BenchError, match="digits 0 to 9"):
        read_part(tmp_path, "test")


# ------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: lie.parse("su2"), "use gl, sl or so"),
        (lambda: lie.polar(torch.full((1, 2, 2), float("nan"))), "NaN or Inf"),
        (lambda: lie.polar(-torch.eye(3)[None]), "not positive"),
        (lambda: lie.polar(torch.zeros(1, 2, 2)), "not positive"),
        (lambda: lie.polar(torch.ones(1, 2, 3)), "n, n"),
        (lambda: lie.polar(torch.eye(2, dtype=torch.int64)[None]), "floating"),
        (lambda: lie.xi_inverse(torch.eye(3)[None], "sl2"), "2, 2"),
        (lambda: lie.hat(torch.ones(4), "sl2"), "dimension 3"),
        (lambda: lie.sample(0, "sl2"), "at least 1"),
        (lambda: lie.sample(3, "sl2", variance=-1.0), "0 or more"),
        (lambda: lie.sample(3, "sl2", sampler="random"), "equidistant, shifted, uniform, haar"),
        (lambda: lie.sample(3, "sl3"), "use haar"),
        (lambda: LiftingConv(1, 1, 5, "sl3"), "does not act on images"),
        (lambda: LiftingConv(1, 1, 0), "must be 1 or more"),
        (lambda: GroupConv(1, 1, angle="sphere"), "chart, circle"),
        (lambda: LiftingConv(1, 1)(torch.ones(1, 2, 9, 9), rotations4()), "1 channels is needed"),
        (lambda: LiftingConv(1, 1).double()(torch.ones(1, 1, 4, 4, dtype=F64), rotations4()), "enlarge the images"),
        (lambda: GroupConv(1, 1).double()(torch.ones(1, 1, 3, 9, 9, dtype=F64), rotations4(), rotations4()), "samples x lives on"),
        (lambda: GroupConv(1, 1, 5, "gl2", parity=True).double().weights(rotations4(), Samples(EYE, EYE, torch.ones(1))), "equal numbers"),
        (lambda: warps.resample(torch.ones(1, 1, 4, 5), torch.eye(3)[None]), "w, w"),
        (lambda: warps.resample(torch.ones(1, 1, 4, 4), torch.zeros(1, 3, 3)), "singular"),
        (lambda: warps.resample(torch.ones(2, 1, 4, 4), torch.eye(3)[None]), "for each of 2"),
    ],
)  # fmt: skip
def test_bad_input_is_told_in_one_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["method.kernel=4"], "no centre"),
        (["method.official_parity=true", "method.importance=true"], "importance"),
        (["data.canvas=8"], "data.canvas=8 is smaller"),
        (["data.scale_low=2"], "swap them"),
        (["data.size=8", "data.canvas=10"], "14 pixels or more"),
        (["data.augment=shift"], "data.augment"),
        (["data=homnist", "data.shift=inside"], "affine maps"),
        (["method=lie_cnn_aug", "data=homnist"], "tested under others"),
        (["method=lie_cnn_aug", "data=mnist"], "has none"),
        (["data=affnist_original", "data.canvas=30"], "40 x 40"),
        (["data=affnist_original", "data.source=real", "fold=0"], "affNIST"),
    ],
)
def test_bad_choices_are_told_in_one_sentence(words, sentence, tmp_path):
    with pytest.raises(BenchError, match=sentence):
        plan.expand(["method=lie_decomposition", "scale=smoke", *words, f"root={tmp_path}"])


# ------------------------------------------------------------------------------------------ the method


def test_training_and_the_meter(tmp_path):
    """Rows of a small real run: parameters as matched, the meter's three errors in order, the second one with more samples."""
    from bench import cell as cells

    words = ["scale=smoke", "fold=0", f"out={tmp_path}", "method.epochs=1", "data.n_train=40", "data.n_test=20"]
    rows = {}
    for method in ("lie_decomposition", "lie_cnn"):
        outcome, record = cells.run(plan.expand([f"method={method}", *words])[0])
        assert outcome == "done", record["traceback"]
        rows[method] = {m["metric"]: m["value"] for m in record["metrics"]} | {"params": record["params"]}
    ours, plain = rows["lie_decomposition"], rows["lie_cnn"]
    assert abs(plain["params"] / ours["params"] - 1) < 0.15
    for r in (ours, plain):
        assert r["equivariance_error"] <= r["equivariance_error_worst"] <= r["equivariance_error_adversarial"]
    assert "equivariance_error_more" in ours and "equivariance_error_more" not in plain
