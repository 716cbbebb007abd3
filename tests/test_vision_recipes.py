"""The ImageNet recipes of the vision papers: Mixup, CutMix, losses, stochastic depth, and every cell's first step at 224 pixels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from bench import cell as cells
from bench import choices, plan
from bench.schema import BenchError
from models.image_classifier import optimisers
from models.image_classifier.backbones import backbone
from models.image_classifier.objective import loss, mixed
from models.image_classifier.plugin import ImageClassifier
from models.nn.convnets import BasicBlock, DropPath
from models.nn.torchvision_ops import cure

cure()

EXPERIMENTS = ("gcr/imagenet", "gcr/imagenet_recipes", "ebv/imagenet", "evonorm/imagenet", "adamp/imagenet")
PRESETS = (
    "image_classifier", "softmax", "cosine_softmax", "gcr", "fc", "ebv", "resnet_bn", "resnet_gn", "evonorm_b0", "evonorm_s0",
    "sgd_baseline", "sgdp", "adam_baseline", "adamp",
)  # fmt: skip


def cfg_of(**changes):
    section = {k: v for k, v in choices.raw("method", "image_classifier").items() if k != "defaults"}
    return choices.typed("method", {**section, **changes}, "smoke")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


# --- what is minimised


def test_binary_cross_entropies():
    """-sum_c t_c log s(l_c) + (1 - t_c) log(1 - s(l_c)), mean over samples; classes are one-hot shares; smoothing as in cross-entropy."""
    scores, y = torch.randn(4, 5, dtype=torch.float64, generator=rng()), torch.tensor([0, 3, 1, 4])
    t = nn.functional.one_hot(y, 5).double()
    expected = -(t * scores.sigmoid().log() + (1 - t) * (-scores).sigmoid().log()).sum(1).mean()
    assert float(loss(scores, y, cfg_of(loss="bce"))) == pytest.approx(float(expected), rel=1e-12)
    for name in ("bce", "cross_entropy"):
        cfg = cfg_of(loss=name, label_smoothing=0.2)
        smoothed = loss(scores, 0.8 * t + 0.2 / 5, cfg_of(loss=name))
        assert float(loss(scores, y, cfg)) == pytest.approx(float(smoothed), rel=1e-12)
        assert float(loss(scores, t, cfg)) == pytest.approx(float(smoothed), rel=1e-12)


def test_mixup_and_cutmix_mix_targets_as_they_mix_images():
    """One-pixel-valued images tell their shares: the mean of a mixed image is the same mixture of the means as its target is of classes."""
    x = (40 * torch.arange(6, dtype=torch.uint8)).view(6, 1, 1, 1).expand(6, 3, 32, 32)
    y = torch.arange(6)
    torch.manual_seed(0)
    for changes in ({"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.2, "cutmix": 1.0}):
        for _ in range(5):
            z, shares = mixed(x, y, 6, cfg_of(**changes))
            assert z.is_floating_point() and torch.allclose(shares.sum(1), torch.ones(6))
            torch.testing.assert_close(z.mean((1, 2, 3)), shares @ (40 * y).float(), rtol=1e-5, atol=1e-3)
    assert mixed(x, y, 6, cfg_of())[0] is x and mixed(x, y, 6, cfg_of())[1] is y


def test_a_coin_takes_one_of_the_two():
    """Mixup gives every pixel one mixture, CutMix whole pixels: over batches both occur, about equally often."""
    x = torch.tensor([0, 200], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 16, 16)
    torch.manual_seed(0)
    kinds = [len(mixed(x, torch.arange(2), 2, cfg_of(mixup=1.0, cutmix=1.0))[0][0].unique()) for _ in range(200)]
    mixups = sum(k == 1 for k in kinds)  # a CutMix that takes all or nothing is rare
    assert 70 < mixups < 130


def test_a_recipe_trains(tmp_path):
    """Lamb, Mixup, CutMix, binary cross-entropies, parts of a batch and a Grassmann head: one command, better than chance."""
    words = [
        "method=gcr", "data=digits", "data.source=synthetic", "scale=smoke", "fold=0", f"out={tmp_path}", "method.optimiser=lamb",
        "method.lr=0.02", "method.mixup=0.2", "method.cutmix=1.0", "method.grassmann_lr=0.1", "method.accumulate=2",
        "data.augment=shift", "data.erase=0.25",
    ]  # fmt: skip
    outcome, record = cells.run(plan.expand(words)[0])
    assert outcome == "done", record["traceback"]
    values = {m["metric"]: m["value"] for m in record["metrics"]}
    assert values["accuracy"] > 0.3 and values["orthonormality_error"] < 1e-5


def test_lamb_is_the_trust_ratio_times_adam():
    """First step of a decayed tensor: lr ||w|| / ||u|| along u = g / (|g| + eps) + decay w, gradients of norm below 1 unclipped."""
    net = nn.Linear(4, 3, bias=False).double()
    w = net.weight.detach().clone()
    g = 0.01 * torch.randn(3, 4, dtype=torch.float64, generator=rng())
    net.weight.grad = g.clone()
    optimisers.optimiser(net, cfg_of(optimiser="lamb", lr=0.1, weight_decay=0.3)).step()
    u = g / (g.abs() + 1e-6) + 0.3 * w
    torch.testing.assert_close(net.weight.detach(), w - 0.1 * w.norm() / u.norm() * u, rtol=1e-9, atol=1e-12)


# --- stochastic depth, further networks


def test_stochastic_depth():
    """Each sample is dropped whole with the given probability, the mean is kept; evaluation changes nothing; rates grow linearly."""
    drop, x = DropPath(0.3), torch.ones(4000, 2, 3, 3)
    torch.manual_seed(0)
    y = drop(x)
    values = y.flatten(1)
    assert (values == values[:, :1]).all() and torch.allclose(values.unique(), torch.tensor([0.0, 1 / 0.7]))
    assert abs(float(y.mean()) - 1) < 4 * math.sqrt(0.3 / 0.7 / 4000)
    assert drop.eval()(x) is x
    net = backbone(cfg_of(backbone="resnet18", width=8, drop_path=0.7), (3, 32, 32))
    blocks = [m for m in net.modules() if isinstance(m, BasicBlock)]
    assert [getattr(b.drop, "rate", 0.0) for b in blocks] == pytest.approx([0.7 * i / 7 for i in range(8)])


@pytest.mark.parametrize("name, features", [("mobilenet_v2", 1280), ("resnext50", 2048)])
def test_networks_of_timm(name, features, tmp_path):
    """Their features, and weights with a classifier of their own from a file."""
    import timm

    from models.image_classifier.config import LIBRARY

    whole = timm.create_model(LIBRARY[name]).state_dict()
    torch.save(whole, tmp_path / "w.pt")
    net = backbone(cfg_of(backbone=name, weights=str(tmp_path / "w.pt")), (3, 64, 64))
    first = next(iter(net.net.state_dict()))
    assert net.features == features and torch.equal(net.net.state_dict()[first], whole[first])
    with torch.no_grad():
        assert net.eval()(torch.randn(2, 3, 64, 64)).shape == (2, features)
    with pytest.raises(BenchError, match="keeps its own"):
        cfg_of(backbone=name, norm="gn_relu")


def test_contradictions():
    with pytest.raises(BenchError, match="drop_path is for ResNets"):
        cfg_of(backbone="small_cnn", drop_path=0.1)
    vectors = choices.typed("data", choices.raw("data", "subspaces"), "smoke")
    assert "mix images" in cfg_of(backbone="none", mixup=0.2).fits(vectors)


# --- the papers' scale


@pytest.mark.long
@pytest.mark.parametrize("method", PRESETS)
def test_presets_start_on_images_of_the_papers_size(method, tmp_path):
    """Two images of 224 pixels, 1000 classes, the paper's network: one step, evaluation, a row."""
    words = [
        f"method={method}",
        "data=random_images",
        "scale=paper",
        "data.twin.n_train=2",
        "fold=0",
    ]
    cell = plan.expand(
        [*words, f"out={tmp_path}", "method.batch=2", "method.max_steps=1", "method.feature_metrics=false"]
    )[0]
    assert cell.method.backbone.startswith("resnet") and cell.method.epochs >= 90
    outcome, record = cells.run(cell)
    assert outcome == "done", record["traceback"]
    assert "accuracy_top5" in {m["metric"] for m in record["metrics"]} and record["params"] > 11e6
    assert record["n_out"] == 1000


def recipes():
    """One cell for each network and recipe of the ImageNet experiments that is not its preset's."""
    found, n = {}, 0
    for e in EXPERIMENTS:
        for cell in plan.expand([f"experiment={e}", "scale=paper", "data.source=synthetic", "out=none"]):
            c, n = cell.method, n + 1
            preset = choices.typed(
                "method", {k: v for k, v in choices.raw("method", c.name).items() if k != "defaults"}, "paper"
            )
            key = (c.backbone, c.optimiser, c.mixup, c.cutmix, c.loss, cell.data.augment)
            if (
                key[:-1] != (preset.backbone, preset.optimiser, preset.mixup, preset.cutmix, preset.loss)
                and c.max_cos is None
            ):
                found[e, *key] = cell  # sets of vectors take their time: tests/test_ebv.py has them
    return found, n


def test_experiments_compose():
    found, n = recipes()
    assert n == 96 and len(found) > 20


@pytest.mark.long
@pytest.mark.parametrize("experiment", [e for e in EXPERIMENTS if e != "evonorm/imagenet"])  # all of it are presets
def test_every_recipe_takes_a_step(experiment):
    """One gradient step of each network under its own recipe on two images of 224 pixels, through the recipe's own transform."""
    from datasets.images.transforms import augmentation

    bundle = cells.load(plan.expand(["method=softmax", "data=random_images", "scale=paper", "fold=0", "out=none"])[0])
    for key, cell in recipes()[0].items():
        if key[0] != experiment:
            continue
        d, cfg = cell.data, cell.method
        transform = augmentation(d.augment, d.train_size or 224, d.magnitude, d.erase, [100.0] * 3)
        x = torch.stack(
            [transform(torch.from_numpy(i)) if transform else torch.from_numpy(i) for i in bundle.train.x[:2]]
        )
        x, y = mixed(x, torch.as_tensor(bundle.train.y[:2]), bundle.n_out, cfg)
        module = ImageClassifier(cfg).build(bundle, cfg)
        before = [p.detach().clone() for p in module.net.head.parameters()]
        value = loss(module.net(x), y, cfg)
        value.backward()
        optimisers.optimiser(module.net, cfg).step()
        assert value.isfinite(), key
        assert all(p.isfinite().all() for p in module.net.parameters()), key
        assert any(not torch.equal(p, q) for p, q in zip(module.net.head.parameters(), before, strict=True)), key
