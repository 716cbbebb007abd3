"""The image classifier: backbones against their libraries, weights from files, schedule, parts of a batch, averages, combinations."""

from __future__ import annotations

import copy
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bench import cell as cells
from bench import choices, plan
from bench.gathering import share_statistics
from bench.schema import Arrays, BenchError, Bundle
from models.image_classifier import optimisers
from models.image_classifier.backbones import backbone
from models.image_classifier.config import HEADS, MANIFOLDS, NORMS, OPTIMISERS
from models.image_classifier.heads import CosineHead
from models.image_classifier.module import Network
from models.image_classifier.norms import factory
from models.image_classifier.plugin import ImageClassifier
from models.nn.convnets import BasicBlock, ResNet, load_weights
from models.nn.pretrained import read_state
from models.nn.torchvision_ops import cure

cure()


def cfg_of(name="image_classifier", scale="smoke", **changes):
    section = {k: v for k, v in choices.raw("method", name).items() if k != "defaults"}
    return choices.typed("method", {**section, **changes}, scale)


def run(out, *words):
    cell = plan.expand(
        [
            "method=image_classifier",
            "data=digits",
            "data.source=synthetic",
            "scale=smoke",
            "fold=0",
            f"out={out}",
            *words,
        ]
    )[0]
    return cell, *cells.run(cell)


def values(record):
    return {m["metric"]: m["value"] for m in record["metrics"] if m["unit"] != "s"}


def randomised(net, seed=0):
    """Every parameter and statistic generic, so that no layer is the identity."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for t in [*net.parameters(), *(b for b in net.buffers() if b.is_floating_point())]:
            t.copy_(torch.rand(t.shape, generator=g) * 0.1 + (0.5 if t.dim() == 1 else -0.05))
    return net.eval()


# --- backbones


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_resnets_are_those_of_torchvision(name, tmp_path):
    """Same weights, same features, to 1e-5; the weights come through a file, the classifier in it is dropped."""
    import torchvision

    theirs = randomised(getattr(torchvision.models, name)())
    torch.save(theirs.state_dict(), tmp_path / "weights.pt")
    ours = backbone(cfg_of(backbone=name, stem="imagenet", weights=str(tmp_path / "weights.pt")), (3, 64, 64)).eval()
    theirs.fc = nn.Identity()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)
    assert ours.features == theirs(x).shape[1]


def test_the_d_variant_is_that_of_timm():
    import timm

    theirs = randomised(timm.create_model("resnet50d", num_classes=0))
    ours = backbone(cfg_of(backbone="resnet50_d", stem="deep"), (3, 64, 64)).eval()
    load_weights(ours, theirs.state_dict(), "timm's resnet50d")
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm", list(NORMS))
@pytest.mark.parametrize("name", ["small_cnn", "preact_resnet", "resnet18", "resnet50_d"])
def test_the_normalisation_is_replaced_throughout(name, norm):
    """No layer of another kind is left, and every part has a gradient (scales that start at 0 cut some off at first)."""
    net = backbone(cfg_of(backbone=name, norm=norm, groups=4, width=8), (1, 16, 16))
    kinds = {type(m).__name__ for m in net.modules() if "Norm" in type(m).__name__}
    expected = {
        "bn_relu": ("BatchNorm",),
        "gn_relu": ("GroupNorm",),
        "evonorm_b0": ("EvoNormB0",),
        "evonorm_s0": ("EvoNormS0",),
    }
    assert kinds and all(k.startswith(expected[norm]) for k in kinds)
    randomised(net).train()
    net(torch.randn(3, 1, 16, 16)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_blocks_start_as_the_identity():
    """The scale of a block's last layer starts at 0: the block is relu of its shortcut, under every normalisation."""
    x = torch.randn(2, 8, 6, 6)
    for norm in NORMS:
        block = BasicBlock(8, 8, 1, factory(norm, 4), False)
        torch.testing.assert_close(block(x), torch.relu(x))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_layers_that_synchronise_on_gpus_compute_the_same(name):
    """In training and evaluation, with the same weights: synchronising must not drop the activation that a layer brings along."""
    net = randomised(backbone(cfg_of(backbone=name), (3, 32, 32)))
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    shared = share_statistics(copy.deepcopy(net), "cuda")
    if name == "resnet18":
        assert all(
            isinstance(m, nn.SyncBatchNorm) for m in shared.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
        )
    assert shared.state_dict().keys() == net.state_dict().keys()
    for training in (True, False):
        torch.testing.assert_close(shared.train(training)(x), net.train(training)(x))


def test_stems_by_size():
    net = backbone(cfg_of(backbone="resnet18", width=8), (3, 32, 32))
    assert net.conv1.kernel_size == (3, 3) and isinstance(net.maxpool, nn.Identity)
    net = backbone(cfg_of(backbone="resnet18", width=8), (3, 224, 224))
    assert net.conv1.kernel_size == (7, 7) and isinstance(net.maxpool, nn.MaxPool2d)
    assert len(backbone(cfg_of(backbone="resnet50_d", width=8), (3, 224, 224)).conv1) == 7


# --- weights


def test_weights_that_do_not_fit_are_named(tmp_path):
    small, other = (ResNet(3, factory("bn_relu"), BasicBlock, (1, 1), width=w) for w in (8, 4))
    torch.save({"state_dict": other.state_dict()}, tmp_path / "w.pt")
    with pytest.raises(
        ValueError, match=r"of another shape \(first bn1.bias: \(4,\) in the file, \(8,\) in the network\)"
    ):
        load_weights(small, read_state(str(tmp_path / "w.pt")), "w.pt")
    state = small.state_dict()
    state["layer9.weight"] = state.pop("conv1.weight")
    with pytest.raises(ValueError, match=r"1 missing \(first conv1.weight\), 1 unknown \(first layer9.weight\)"):
        load_weights(small, state, "w.pt")
    with pytest.raises(BenchError, match="is no file"):
        read_state(str(tmp_path / "none.pt"))
    (tmp_path / "torn.pt").write_bytes((tmp_path / "w.pt").read_bytes()[:100])
    with pytest.raises(BenchError, match="cannot be read as tensors"):
        read_state(str(tmp_path / "torn.pt"))


def test_a_weight_file_with_objects_is_not_executed(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "object.pt")
    with pytest.raises(BenchError, match="cannot be read as tensors"):
        read_state(str(tmp_path / "object.pt"))


# --- head, network


def test_cosine_head():
    """Scores are s times cosines: bounded by s, unchanged when features or class vectors are rescaled."""
    head, x = CosineHead(6, 4, 25.0).double(), torch.randn(5, 6, dtype=torch.float64)
    scores = head(x)
    cosine = nn.functional.cosine_similarity(x[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(scores, 25 * cosine)
    with torch.no_grad():
        head.weight *= torch.rand(4, 1, dtype=torch.float64) + 0.5
    torch.testing.assert_close(head(3 * x), scores)


def test_network_normalises_bytes():
    """(pixel / white - mean) / std, channel by channel."""
    net = Network(nn.Flatten(), nn.Identity(), [0.1, 0.4], [0.2, 0.5], 16.0)
    x = torch.randint(0, 17, (3, 2, 2, 2), dtype=torch.uint8)
    expected = (x / 16 - torch.tensor([0.1, 0.4]).view(1, 2, 1, 1)) / torch.tensor([0.2, 0.5]).view(1, 2, 1, 1)
    torch.testing.assert_close(net(x), expected.flatten(1))


# --- optimisers


def test_schedule():
    """Warm-up from lr / 100, cosine to lr_end, steps by tenths; 4 steps an epoch."""
    f = optimisers.schedule(cfg_of(epochs=10, warmup_epochs=2, lr_end=0.1), 4)
    assert f(0) == pytest.approx(0.01) and f(4) == pytest.approx(0.01 + 0.99 / 2) and f(8) == 1
    assert f(24) == pytest.approx(0.1 + 0.9 * 0.5) and f(40) == pytest.approx(0.1)
    f = optimisers.schedule(cfg_of(epochs=10, schedule="step", step_epochs=3), 4)
    assert [round(math.log10(f(t))) for t in (0, 11, 12, 24)] == [0, 0, -1, -2]
    assert optimisers.rate(cfg_of(lr=0.1, batch=32, lr_batch=64)) == pytest.approx(0.05)


def test_every_optimiser_takes_its_options():
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    for name in OPTIMISERS:
        opt = optimisers.optimiser(net, cfg_of(optimiser=name, lr=0.03, weight_decay=0.2, decay_all=False))
        assert {g["weight_decay"] for g in opt.param_groups} == {0.2, 0.0}
        decayed = next(g for g in opt.param_groups if g["weight_decay"])
        assert [tuple(p.shape) for p in decayed["params"]] == [(2, 3)] and decayed["lr"] == 0.03
    with pytest.raises(BenchError, match="nesterov is for"):
        cfg_of(optimiser="adamw", nesterov=True)


class Sphere(nn.Linear):
    manifolds = {"weight": "sphere"}  # noqa: RUF012


def descent(params, cfg):
    return torch.optim.SGD(params, lr=0.5)


def test_weights_on_a_manifold_get_their_own_optimiser(monkeypatch):
    """Joint equals the two optimisers apart, with one schedule over both, and its state goes on in a copy."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), Sphere(3, 2))
    with pytest.raises(ValueError, match="manifold 'sphere', for which MANIFOLDS"):
        optimisers.optimiser(net, cfg_of())
    monkeypatch.setitem(MANIFOLDS, "sphere", "tests.test_image_classifier:descent")
    other = copy.deepcopy(net)
    joint = optimisers.optimiser(net, cfg_of(lr=0.1))
    apart = [
        torch.optim.SGD([*other[0].parameters(), other[1].bias], lr=0.1, momentum=0.9),
        torch.optim.SGD([other[1].weight], lr=0.5),
    ]
    schedulers = [torch.optim.lr_scheduler.LambdaLR(o, lambda t: 0.5**t) for o in (joint, *apart)]
    x = torch.randn(6, 4)

    def step(module, members):
        module.zero_grad()
        module(x).square().sum().backward()
        for m in members:
            m.step()

    for _ in range(3):
        step(net, [joint])
        step(other, apart)
        for s in schedulers:
            s.step()
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    twin = copy.deepcopy(net)
    resumed = optimisers.optimiser(twin, cfg_of(lr=0.1))
    resumed.load_state_dict(copy.deepcopy(joint.state_dict()))
    step(net, [joint])
    step(twin, [resumed])
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), twin.parameters(), strict=True))


# --- training


def test_parts_of_a_batch_add_up_to_its_gradient(tmp_path):
    """EvoNorm-S0 sees each image alone, so accumulation over parts gives the same training up to rounding."""
    words = ("method.norm=evonorm_s0", "method.groups=8", "method.precision=64", "method.epochs=1", "method.batch=30")
    records = [run(tmp_path, *words, f"method.accumulate={k}")[2] for k in (1, 3)]
    a, b = (values(r) for r in records)
    assert a["nll"] == pytest.approx(b["nll"], abs=1e-9) and a["accuracy"] == b["accuracy"]


def test_average_of_weights(tmp_path):
    """Tested weights are the exponential average: decay 0 is the last step, and the number of parameters is the network's."""
    plain = run(tmp_path, "method.epochs=2")[2]
    last = run(tmp_path, "method.epochs=2", "method.ema=0.0")[2]
    slow = run(tmp_path, "method.epochs=2", "method.ema=0.95")[2]
    assert values(last)["nll"] == pytest.approx(values(plain)["nll"], abs=1e-6)
    assert abs(values(slow)["nll"] - values(plain)["nll"]) > 1e-3
    assert slow["params"] == plain["params"]


def test_two_combinations_of_every_axis(tmp_path):
    """Heads, normalisations and optimisers go together, half precision and channels-last included; what is measured is in the row."""
    words = ("method.head=cosine", "method.norm=evonorm_b0", "method.optimiser=adamp", "method.lr=0.01")
    _, outcome, record = run(
        tmp_path, *words, "method.precision=bf16-mixed", "method.channels_last=true", "data.augment=shift"
    )
    assert outcome == "done", record["traceback"]
    names = {m["metric"]: m for m in record["metrics"]}
    assert names["s_per_1000_images"]["unit"] == "s" and names["s_per_1000_images"]["value"] > 0
    assert names["projected_convolutions"]["value"] >= 0 and names["norm_growth"]["value"] > -1
    assert any(f.endswith("training.png") for f in record["figures"])
    words = (
        "method.norm=gn_relu",
        "method.groups=8",
        "method.optimiser=adamw",
        "method.lr=0.01",
        "method.label_smoothing=0.1",
    )
    _, outcome, record = run(tmp_path, *words, "method.clip=1.0", "method.warmup_epochs=1", "method.select=best")
    assert outcome == "done", record["traceback"]
    assert values(record)["mode_gap"] == 0, "group normalisation does the same in training and evaluation"


def test_mode_gap_tells_batch_statistics(tmp_path):
    assert values(run(tmp_path, "method.epochs=1", "method.norm=evonorm_s0", "method.groups=8")[2])["mode_gap"] == 0
    assert values(run(tmp_path, "method.epochs=1")[2])["mode_gap"] > 0.1


def test_repeated_augmentation_shows_other_views_of_the_same_images(tmp_path):
    """Three views of an image follow each other and differ; an epoch takes a third of the images, other ones each time; a run goes on."""
    words = [
        "method=image_classifier",
        "data=digits",
        "data.augment=shift",
        "data.source=synthetic",
        "scale=smoke",
        "fold=0",
    ]
    bundle = cells.load(plan.expand(words)[0])
    n, method = len(bundle.train), ImageClassifier(cfg_of(repeats=3, batch=10))
    first, again, other = (method.batches(bundle.train, torch.Generator().manual_seed(i)) for i in (0, 0, 1))
    assert first == again != other
    views = np.concatenate(first).reshape(-1)
    assert all(len(b) == 10 for b in first) and n - 12 < len(views) <= n
    triples = views[: len(views) // 3 * 3].reshape(-1, 3)
    assert (triples // n == [0, 1, 2]).all() and (triples % n == triples[:, :1]).all()
    assert len(np.unique(triples[:, 0])) == len(triples)
    image = [[bundle.train[int(i)] for i in t] for t in triples[:8]]
    assert all(len({y for _, y in views}) == 1 for views in image)
    assert any(not torch.equal(views[0][0], views[1][0]) for views in image)
    assert (
        method.batches(bundle.train, torch.Generator())
        and ImageClassifier(cfg_of()).batches(bundle.train, torch.Generator()) is None
    )
    _, outcome, record = run(tmp_path, "method.epochs=1", "method.repeats=3", "data.augment=shift")
    assert outcome == "done", record["traceback"]
    _, outcome, record = run(tmp_path, "method.epochs=1", "method.repeats=3", "data.augment=none")
    assert outcome == "failed" and "set data.augment" in record["error"]


@pytest.mark.parametrize("augment", ["none", "shift"])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path, augment, monkeypatch):
    """Optimiser state, schedule, average and augmentation are those of an uninterrupted run, to the last bit."""
    words = ("method.epochs=3", "method.ema=0.9", "method.optimiser=adamp", "method.lr=0.01", f"data.augment={augment}")
    whole = run(tmp_path / "whole", *words)[2]
    cell, outcome, _ = run(tmp_path / "torn", *words, "deadline=1e-9")
    assert outcome == "stopped" and (cell.folder / "last.ckpt").is_file()
    torn = run(tmp_path / "torn", *words)[2]
    assert values(torn) == values(whole)


@pytest.mark.long
def test_a_compiled_network_is_the_same_network():
    """The same scores and gradients up to rounding, and the same names of parameters; skipped where there is no compiler."""
    if not any(map(shutil.which, ("g++", "clang++", "c++"))):
        pytest.skip("torch.compile needs a C++ compiler")
    bundle = cells.load(
        plan.expand(["method=image_classifier", "data=digits", "data.source=synthetic", "scale=smoke", "fold=0"])[0]
    )
    x, y = torch.as_tensor(bundle.train.x[:8]), torch.as_tensor(bundle.train.y[:8])
    found = []
    for compiled in (False, True):
        cfg = cfg_of(norm="evonorm_s0", groups=4, width=4, compiled=compiled)
        torch.manual_seed(0)
        net = ImageClassifier(cfg).build(bundle, cfg).net
        assert (net._compiled_call_impl is not None) == compiled
        scores = net(x)
        nn.functional.cross_entropy(scores, y).backward()
        found.append([scores.detach(), *(p.grad for p in net.parameters())])
        assert list(copy.deepcopy(net).state_dict()) == list(net.state_dict()) and "_orig_mod" not in str(
            net.state_dict().keys()
        )
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)


# --- refusals


def test_transformers():
    """Through timm, with the image size of the data; what is for convolutional networks is refused."""
    net = backbone(cfg_of(backbone="vit_s16"), (1, 32, 32))
    with torch.no_grad():
        assert net(torch.randn(2, 1, 32, 32)).shape == (2, net.features)
    with pytest.raises(BenchError, match="vit_s16 keeps its own"):
        cfg_of(backbone="vit_s16", norm="gn_relu")
    bundle = Bundle(
        "image", Arrays(np.zeros((2, 1, 8, 8), np.uint8), np.zeros(2)), None, None, 2, (1, 8, 8), "0", "real", "0"
    )
    assert "32 pixels or more" in ImageClassifier(cfg_of(backbone="swin_t")).skip(bundle)
    digits = choices.typed("data", choices.raw("data", "digits"), "smoke")
    assert "32 pixels or more" in cfg_of(backbone="vit_s16").fits(digits)


def test_contradictions():
    for words, text in (
        ({"accumulate": 3, "batch": 32}, "accumulate=3 must divide"),
        ({"betas": [0.9, 1.0]}, "betas"),
        ({"ema": 1.0}, "ema=1"),
    ):
        with pytest.raises(BenchError, match=text):
            cfg_of(**words)
    with pytest.raises(ValueError, match="norm 'ln' is unknown"):
        factory("ln")


def test_tables_name_folders_that_exist():
    """Every entry of the tables belongs to a folder under models/, so that its code is part of a row's fingerprint."""
    root = Path(__file__).resolve().parents[1]
    for path in [*HEADS.values(), *NORMS.values(), *OPTIMISERS.values(), *MANIFOLDS.values()]:
        assert (root / "models" / path.split(".")[1]).is_dir()
    assert cfg_of(norm="evonorm_s0", optimiser="adamp").parts() == ("evonorm", "adamp")
    assert cfg_of().parts() == ()
