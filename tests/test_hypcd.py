"""Category discovery (arXiv 2504.06120, 2201.02609, 2211.11727): losses, k-means, accuracy, folds, and the methods; float64 where exact."""

from __future__ import annotations

import json
import math
import pickle

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from bench import cell as cells
from bench import choices, plan
from bench.schema import Arrays, BenchError, Bundle
from datasets.categories.accuracy import accuracy
from datasets.categories.known import listed
from models.geometry import poincare
from models.hypcd import HyperbolicLinear, info_nce, representation_loss, semi_supervised_kmeans, sup_con
from models.hypcd.backbones import DigitsCNN
from models.hypcd.kmeans import plain_kmeans
from models.hypcd.losses import classifier_loss, cosines, mean_entropy_gap, minus_distances, self_distillation
from models.hypcd.plugin import CategoryDiscoverer
from models.hypcd.pool import joined, two_views, weighted_batches

F64 = torch.float64


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(shape, dtype=F64, generator=rng(seed))


def labels(b=12):
    """Two of three images labelled, four classes, both views."""
    y = torch.arange(b) % 4
    y[::3] = -1
    return torch.cat([y, y])


def cfg_of(name, scale="smoke", **changes):
    section = {k: v for k, v in choices.raw("method", name).items() if k != "defaults"}
    return choices.typed("method", {**section, **changes}, scale)


# --- losses


def test_info_nce():
    """log(2B - 1) where all features are equal; the written sum over anchors elsewhere."""
    for b in (2, 7):
        assert float(info_nce(cosines(torch.ones(2 * b, 3, dtype=F64)), 1.0)) == pytest.approx(
            math.log(2 * b - 1), abs=1e-12
        )
    s, b, t = randn(10, 10), 5, 0.3
    total = 0.0
    for i in range(10):
        others = [j for j in range(10) if j != i]
        total -= math.log(math.exp(s[i, (i + b) % 10] / t) / sum(math.exp(s[i, j] / t) for j in others))
    assert float(info_nce(s, t)) == pytest.approx(total / 10, rel=1e-12)


def test_sup_con():
    """The written sum over anchors and positives; no labelled point gives 0."""
    s, y, t = randn(8, 8), torch.tensor([0, 1, 1, 2, 0, 1, 1, 2]), 0.07
    total = 0.0
    for i in range(8):
        others = [j for j in range(8) if j != i]
        lse = math.log(sum(math.exp(s[i, j] / t) for j in others))
        positive = [j for j in others if y[j] == y[i]]
        total -= sum(float(s[i, j]) / t - lse for j in positive) / len(positive)
    assert float(sup_con(s, y, t)) == pytest.approx(total / 8, rel=1e-12)
    assert float(sup_con(s[:0, :0], y[:0], t)) == 0.0


def test_representation_loss():
    """alpha = 0 on the ball is the loss of GCD on the features; alpha = 1 is that of distances; in between the mixture."""
    u, y = randn(24, 6), labels()
    c, r = 0.05, 2.3
    z = poincare.to_ball(u, c, r)
    plain = representation_loss(u, y)
    assert float(representation_loss(z, y, 0.0, c) - plain) == pytest.approx(0, abs=1e-12)
    rows = y >= 0
    by_hand = 0.65 * info_nce(cosines(u), 1.0) + 0.35 * sup_con(cosines(u[rows]), y[rows], 0.07)
    assert float(plain - by_hand) == pytest.approx(0, abs=1e-12)
    far = representation_loss(z, y, 1.0, c)
    d = minus_distances(z, c)
    assert float(far - (0.65 * info_nce(d, 1.0) + 0.35 * sup_con(d[rows][:, rows], y[rows], 0.07))) == pytest.approx(
        0, abs=1e-12
    )
    half = representation_loss(z, y, 0.4, c)
    assert float(half - 0.6 * plain - 0.4 * far) == pytest.approx(0, abs=1e-12)
    for official in (False, True):  # coinciding points, the origin: no NaN
        u0 = torch.zeros(24, 6, dtype=F64)
        u0[4:8] = 1.0
        u0.requires_grad_()
        loss = representation_loss(poincare.to_ball(u0, c, r), y, 0.7, c, official=official)
        (grad,) = torch.autograd.grad(loss, u0)
        assert bool(loss.isfinite()) and bool(grad.isfinite().all())
    small = poincare.to_ball(u, c, 1.0)
    official = representation_loss(small, y, 1.0, c, official=True)
    assert float(official) == pytest.approx(float(representation_loss(small, y, 1.0, c)), rel=1e-3) and float(
        official
    ) != float(representation_loss(small, y, 1.0, c))


def test_angle_temperatures():
    """`angle_scale` multiplies both temperatures of the angle losses and none of the distance losses."""
    z, y = poincare.to_ball(randn(24, 6), 0.1, 2.0), labels()
    assert float(representation_loss(z, y, 1.0, 0.1, angle_scale=0.3)) == float(representation_loss(z, y, 1.0, 0.1))
    scaled = representation_loss(z, y, 0.0, 0.1, angle_scale=0.3)
    assert float(scaled) == pytest.approx(float(representation_loss(z, y, temperatures=(0.3, 0.021))), rel=1e-12)


def test_classifier_losses():
    """Entropy gap 0 if uniform and log K if one-hot; a teacher as soft as the student and equal views give the entropy."""
    k = 7
    assert float(mean_entropy_gap(torch.full((k,), 1 / k, dtype=F64))) == pytest.approx(0, abs=1e-12)
    assert float(mean_entropy_gap(torch.eye(k, dtype=F64)[2])) == pytest.approx(math.log(k), abs=1e-12)
    one = randn(5, k)
    p = (one / 0.1).softmax(1)
    entropy = -(p * p.log()).sum(1).mean()
    assert float(self_distillation(torch.cat([one, one]), 0.1, 0.1)) == pytest.approx(float(entropy), rel=1e-12)
    swapped = torch.cat([one, randn(5, k, seed=1)])
    q = (swapped / 0.05).softmax(1)
    by_hand = (
        -(q[5:] * (swapped[:5] / 0.1).log_softmax(1)).sum(1).mean() / 2
        - (q[:5] * (swapped[5:] / 0.1).log_softmax(1)).sum(1).mean() / 2
    )
    assert float(self_distillation(swapped, 0.1, 0.05)) == pytest.approx(float(by_hand), rel=1e-12)
    free = classifier_loss(swapped, torch.full((10,), -1), 0.1, 0.05, 0.35, 2.0)
    gap = mean_entropy_gap((swapped / 0.1).softmax(1).mean(0))
    assert float(free) == pytest.approx(0.65 * float(by_hand + 2 * gap), rel=1e-12)
    leaf = swapped.clone().requires_grad_()  # the teacher has no gradient
    (grad,) = torch.autograd.grad(self_distillation(leaf, 0.1, 0.05), leaf)
    assert float((grad[:5] - ((swapped[:5] / 0.1).softmax(1) - q[5:]) / 0.1 / 10).abs().max()) < 1e-12


def test_hyperbolic_classifier():
    """Scores are coordinates within the ball; flat limit of the paper's layer is a linear layer, that of the released one is not."""
    torch.manual_seed(0)
    for mode, flat in (("paper", True), ("official", False)):
        layer = HyperbolicLinear(5, 4, 1e-6, mode).double()
        x = randn(9, 5)
        gap = float((layer(x) - (x @ layer.weight.mT + layer.bias)).detach().abs().max())
        assert (gap < 1e-4) == flat
        layer = HyperbolicLinear(5, 4, 0.1, mode).double()
        assert float(layer(poincare.to_ball(x, 0.1, 2.3)).detach().norm(dim=1).max()) < 0.1**-0.5


# --- k-means and accuracy


def blobs(k=6, n=20, d=5, seed=0):
    centres = 4 * randn(k, d, seed=seed)
    y = torch.arange(k * n) % k
    return centres[y] + 0.3 * randn(k * n, d, seed=seed + 1), y, centres


def test_semi_supervised_kmeans():
    """Clusters apart are found whatever the start; known classes keep their number; labelled points keep their class."""
    x, y, truth = blobs()
    known = (y < 3) & (torch.arange(len(y)) // 6 % 2 == 0)
    centres = semi_supervised_kmeans(x[known], y[known], x[~known], 6, restarts=10)
    assert float((centres[:3] - truth[:3]).norm(dim=1).max()) < 0.5
    found = torch.cdist(x[~known], centres).argmin(1)
    assert bool((found[y[~known] < 3] == y[~known][y[~known] < 3]).all())
    assert accuracy(y[~known].numpy(), found.numpy(), (y[~known] < 3).numpy()).all == 1.0
    # two labelled classes on one spot, apart by their labels alone: the mean of each is kept where its labels are
    twin = torch.cat([torch.zeros(4, 2, dtype=F64), torch.full((4, 2), 0.1, dtype=F64)])
    pair = semi_supervised_kmeans(
        twin, torch.tensor([0] * 4 + [1] * 4), torch.tensor([[5.0, 5.0], [5.1, 5.0]], dtype=F64), 3, restarts=2
    )
    assert torch.allclose(pair, torch.tensor([[0.0, 0.0], [0.1, 0.1], [5.05, 5.0]], dtype=F64))
    plain = plain_kmeans(x, 6)
    assert float(torch.cdist(truth, plain).amin(1).max()) < 0.5
    with pytest.raises(ValueError, match="without a gap"):
        semi_supervised_kmeans(x[:4], torch.tensor([0, 0, 2, 2]), x, 6)
    with pytest.raises(ValueError, match="unlabelled points"):
        semi_supervised_kmeans(x[known], y[known], x[:2], 6)


def test_accuracy():
    """Perfect clusters give 1; their numbers mean nothing; n All = n_old Old + n_new New; one assignment serves old and new."""
    g = np.random.default_rng(0)
    y = g.integers(0, 8, 400)
    old = y < 4
    perfect = g.permutation(8)[y]
    a = accuracy(y, perfect, old)
    assert (a.all, a.old, a.new) == (1.0, 1.0, 1.0)
    noisy = np.where(g.random(400) < 0.4, g.integers(0, 8, 400), y)
    a, b = accuracy(y, noisy, old), accuracy(y, g.permutation(8)[noisy], old)
    assert (a.all, a.old, a.new) == (b.all, b.old, b.new) and 0.5 < a.all < 0.8
    assert 400 * a.all == pytest.approx(old.sum() * a.old + (~old).sum() * a.new, abs=1e-9)
    # one cluster holds a known and a novel class: it is matched once
    y, cluster = np.array([0] * 6 + [1] * 5 + [2] * 3), np.array([0] * 11 + [1] * 3)
    a = accuracy(y, cluster, y == 0)
    assert (a.old, a.new) == (1.0, 3 / 8)
    more = accuracy(y, np.arange(14) % 7, y == 0)  # more clusters than classes
    assert 0 < more.all < 1
    with pytest.raises(ValueError, match="need both"):
        accuracy(y, cluster, np.ones(14, bool))
    with pytest.raises(ValueError, match="one length"):
        accuracy(y, cluster[:3], y == 0)


# --- batches and views


def test_batches_are_half_labelled():
    """As many draws as images, a rest dropped; the labelled share is 1/2 within five standard deviations; both kinds uniform."""
    drawn = weighted_batches(100, 900, 50, rng())
    assert len(drawn) == 20 and all(len(b) == 50 for b in drawn)
    flat = np.concatenate([weighted_batches(100, 900, 50, rng(i)) for i in range(30)]).ravel()
    assert abs((flat < 100).mean() - 0.5) < 5 * 0.5 / math.sqrt(len(flat))
    count = np.bincount(flat, minlength=1000)
    assert abs(count[:100].mean() / count[100:].mean() - 9) < 0.5
    assert weighted_batches(3, 4, 16, rng())[0] and len(weighted_batches(3, 4, 16, rng())) == 1
    assert len(weighted_batches(30, 100, 50, rng())) == 2


def test_views():
    """Rolled by at most `shift`, scaled by at most `gain`, noise of the stated size; two views differ; each image has its own draw."""
    torch.manual_seed(0)
    x = (torch.rand(40, 1, 8, 8) * 16).round().to(torch.uint8)
    rolled = two_views(x, 1, 0.0, 0.0, 16.0)
    options = {(i, j): torch.roll(x.float(), (i, j), (2, 3)) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    seen = set()
    for view in (rolled[:40], rolled[40:]):
        for i in range(40):
            match = [o for o, r in options.items() if torch.equal(view[i], r[i])]
            assert match
            seen.add(match[0])
    assert len(seen) == 9 and not torch.equal(rolled[:40], rolled[40:])
    factor = two_views(x, 0, 0.2, 0.0, 16.0).sum((1, 2, 3)) / torch.cat([x, x]).float().sum((1, 2, 3))
    assert 0.8 <= float(factor.min()) < 0.85 and 1.15 < float(factor.max()) <= 1.2
    noise = two_views(x, 0, 0.0, 0.1, 16.0) - torch.cat([x, x]).float()
    assert float(noise.std()) == pytest.approx(1.6, rel=0.05)
    assert two_views(torch.randn(6, 5), 1, 0.1, 0.1, 1.0).shape == (12, 5)


# --- data


def bundle_of(*words, tmp="/tmp/none"):
    return cells.load(plan.expand(["method=gcd", "scale=reduced", f"out={tmp}", *words])[0])


def test_digits_folds():
    """Half of each known class is labelled, everything else is D_u; no label of D_u is where training looks; folds differ."""
    b, other = bundle_of("fold=0"), bundle_of("fold=1")
    assert b.origin == "real" and len(b.train) + len(b.test) == 1797 and b.meta["known"] == [0, 1, 2, 3, 4]
    share = np.bincount(b.train.y) / (np.bincount(b.train.y, minlength=10) + np.bincount(b.test.y))[:5]
    assert len(share) == 5 and np.abs(share - 0.5).max() < 0.01
    assert set(b.meta["unlabelled"].y.tolist()) == {-1}
    pool = joined(b)
    assert len(pool) == 1797 and (pool.y[len(b.train) :] == -1).all() and b.fingerprint != other.fingerprint
    assert (np.sort(pool.x.reshape(1797, -1).sum(1)) == np.sort(joined(other).x.reshape(1797, -1).sum(1))).all()


def test_labelled_draw_is_that_of_gcd(tmp_path):
    """Uniform draw: numpy's global choice under seed 0 over the images of known classes, as in the code of GCD."""
    b = bundle_of("data=digits_categories", "data.by_class=false", "fold=0")
    from sklearn.datasets import load_digits

    digits = load_digits()
    mine = np.flatnonzero(digits.target < 5)
    np.random.seed(0)
    chosen = mine[np.random.choice(range(len(mine)), replace=False, size=int(0.5 * len(mine)))]
    assert np.array_equal(b.train.x[:, 0], digits.images[np.sort(chosen)].astype(np.uint8))


def test_known_classes_from_files(tmp_path):
    """Lines, JSON, and the benchmark's pickle, which is parsed and not executed; classes are renumbered, known ones first."""
    names = tuple(f"bird{i}" for i in range(6))
    (tmp_path / "a.txt").write_text("3\nbird1\n\n5\n")
    (tmp_path / "b.json").write_text(json.dumps([3, 1, "bird5"]))
    content = {"known_classes": [3, 1, 5], "unknown_classes": {"Hard": [0, 2], "Medium": [], "Easy": [4]}}
    (tmp_path / "c.pkl").write_bytes(pickle.dumps(content))
    for file in ("a.txt", "b.json", "c.pkl"):
        assert listed(tmp_path / file, names) == [1, 3, 5]
    (tmp_path / "d.txt").write_text("bird9")
    with pytest.raises(BenchError, match="none of the 6 classes"):
        listed(tmp_path / "d.txt", names)
    (tmp_path / "e.pkl").write_bytes(pickle.dumps({"other": [1]}))
    with pytest.raises(BenchError, match="holds no list"):
        listed(tmp_path / "e.pkl", names)
    (tmp_path / "seven.txt").write_text("\n".join("970"))
    b = bundle_of("fold=0", "data.known_file=seven.txt", f"root={tmp_path}")
    assert b.meta["class_names"][:3] == ["0", "7", "9"] and b.meta["known"] == [0, 1, 2]
    assert set(b.train.y.tolist()) == {0, 1, 2}


def birds(root, n=6):
    """CUB's layout: 4 classes, images of mixed size."""
    from PIL import Image

    home, lines = root / "CUB_200_2011", []
    g = np.random.default_rng(0)
    for i in range(4 * n):
        c = i % 4
        folder = home / "images" / f"{c}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(g.integers(0, 255, (40 + c, 50, 3), dtype=np.uint8)).save(folder / f"{i}.png")
        lines.append((f"{c}/{i}.png", c + 1, int(i < 3 * n)))
    home.joinpath("classes.txt").write_text("".join(f"{c + 1} {c}\n" for c in range(4)))
    for k, name in enumerate(("images", "image_class_labels", "train_test_split")):
        home.joinpath(f"{name}.txt").write_text("".join(f"{i + 1} {row[k]}\n" for i, row in enumerate(lines)))


def test_photographs(tmp_path):
    """CUB from files: only its training images, two random crops, central evaluation; its known classes must be named."""
    birds(tmp_path)
    words = ("data=cub_categories", "data.image_size=28", f"root={tmp_path}", f"cache={tmp_path / 'cache'}", "fold=0")
    with pytest.raises(BenchError, match="Semantic Shift Benchmark: name that file in"):
        bundle_of(*words)
    b = bundle_of(*words, "data.known=2")
    assert len(b.train) + len(b.test) == 18 and b.shape == (3, 28, 28) and b.origin == "real"
    (x, y), (x0, _) = b.train[0], b.test[0]
    assert x.shape == (2, 3, 28, 28) and x0.shape == (3, 28, 28) and y < 2 and not torch.equal(x[0], x[1])
    assert b.meta["unlabelled"][0][1] == -1 and b.meta["unlabelled"][0][0].shape == (2, 3, 28, 28)
    pool = joined(b)
    before = pool[0][0]
    pool.begin_epoch(3)
    assert len(pool) == 18 and not torch.equal(before, pool[0][0])


def test_bad_input(tmp_path):
    for words, match in (
        (["data.known=10"], "no novel class"),
        (["data.known=2", "data.known_file=x"], "exclude each other"),
        (["data.n_test=5"], "no use here"),
        (["method=hyp_gcd", "method.c=0"], "must be positive"),
        (["method=hyp_gcd", "method.c=-0.1"], "must be positive"),
        (["method=hyp_gcd", "method.prototypes=9"], "leave it null"),
        (["method=hyp_simgcd", "method.head=[8]"], "leave it null or empty"),
        (["method=gcd", "method.backbone=digits_cnn", "method.weights=x"], "for transformers"),
    ):
        with pytest.raises(BenchError, match=match):
            plan.expand(
                ["method=gcd", "data=digits_categories", *words] if not words[0].startswith("method=") else words
            )
    (tmp_path / "all.txt").write_text("\n".join("0123456789"))
    with pytest.raises(BenchError, match="no novel class"):
        bundle_of("data.known_file=all.txt", f"root={tmp_path}")
    b = bundle_of("fold=0")
    everything = Bundle(
        b.kind, b.train, None, b.test, 10, b.shape, "x", "real", "", meta=b.meta | {"known": list(range(10))}
    )
    with pytest.raises(BenchError, match="no novel class"):
        CategoryDiscoverer(cfg_of("gcd")).build(everything, cfg_of("gcd"))


# --- methods


def trained(method, tmp_path, *words):
    cell = plan.expand(
        [
            f"method={method}",
            "scale=smoke",
            "data.source=synthetic",
            "fold=0",
            "trainer.threads=1",
            f"out={tmp_path}",
            *words,
        ]
    )[0]
    outcome, record = cells.run(cell)
    assert outcome == "done", record.get("traceback")
    return cell, record


@pytest.mark.parametrize("method", ["gcd", "hyp_gcd", "simgcd", "hyp_simgcd"])
def test_cells(method, tmp_path):
    """A row says transductive, has All, Old and New, and they belong together; the stored clusters give them again."""
    cell, record = trained(method, tmp_path, "method.epochs=2")
    m = {r["metric"]: r["value"] for r in record["metrics"]}
    assert record["transductive"] and record["epochs"] == 2
    b = cells.load(cell)
    with np.load(cell.folder / "predictions.npz") as stored:
        cluster, y = stored["cluster"], stored["y_true"]
    old = np.isin(y, b.meta["known"])
    a = accuracy(y, cluster, old)
    assert (m["acc_all"], m["acc_old"], m["acc_new"]) == (a.all, a.old, a.new)
    assert ("acc_all_plain" in m) == (method.endswith("gcd") and "sim" not in method)
    assert {f.split("/")[1] for f in record["figures"]} == {"points.png", "clusters.png"}
    official = trained(method, tmp_path, "method.epochs=1", "method.official_parity=true", "data.n_train=200")[1]
    assert all(math.isfinite(r["value"]) for r in official["metrics"])


def test_training_never_sees_hidden_labels(tmp_path):
    """With other labels of D_u the clusters are the same ones: they reach the score alone."""
    cell = plan.expand(
        ["method=hyp_gcd", "scale=smoke", "data.source=synthetic", "fold=0", "method.epochs=1", f"out={tmp_path}"]
    )[0]
    b = cells.load(cell)
    from bench.context import Context

    out = []
    for y in (b.test.y, np.roll(b.test.y, 1)):
        cell.folder.mkdir(parents=True, exist_ok=True)
        ctx = Context(cell, [])
        cells.seed_everything(ctx)
        changed = Bundle(**{**vars(b), "test": Arrays(b.test.x, y)})
        out.append(CategoryDiscoverer(cell.method).run(changed, ctx).predictions["cluster"])
    assert np.array_equal(*out)


def test_module_follows_its_schedules():
    """alpha grows by alpha_max / epochs an epoch; the teacher cools over its warm-up; lr runs along half a cosine; biases undecayed."""
    b = bundle_of("fold=0")
    cfg = cfg_of("hyp_simgcd", epochs=20, teacher_epochs=5, alpha_max=0.5)
    module = CategoryDiscoverer(cfg).build(b, cfg)
    epoch = 0
    type(module).current_epoch = property(lambda self: epoch)
    try:
        seen = []
        for epoch in range(20):
            seen.append((module.alpha(), module.teacher_temperature(), module.cosine(epoch)))
    finally:
        del type(module).current_epoch
    alpha, teacher, lr = (np.array(v) for v in zip(*seen, strict=True))
    assert np.allclose(alpha, 0.5 * np.arange(1, 21) / 20)
    assert np.allclose(teacher[:5], np.linspace(0.07, 0.04, 5)) and (teacher[5:] == 0.04).all()
    assert np.allclose(lr, 1e-3 + 0.999 * (1 + np.cos(np.pi * np.arange(20) / 20)) / 2)
    (joint,), _ = module.configure_optimizers()
    decay = [(g.get("weight_decay"), {p.dim() > 1 for p in g["params"]}) for g in joint.param_groups]
    assert decay == [(5e-5, {True}), (0.0, {False}), (0, {True, False})] and joint.param_groups[2]["lr"] == 0.01


def test_digits_network():
    """Sizes of the card: 32 and 64 channels, 4 x 4 places, 128 features, head 256 and 64."""
    b, cfg = bundle_of("fold=0"), cfg_of("hyp_gcd")
    module = CategoryDiscoverer(cfg).build(b, cfg)
    n = sum(p.numel() for p in module.parameters())
    assert n == (9 * 32 + 32) + (288 * 64 + 64) + (1024 * 128 + 128) + (128 * 256 + 256) + (256 * 64 + 64)
    x = torch.as_tensor(b.test.x[:5])
    assert torch.allclose(module.features(x), module.backbone(x.float() / 16))
    assert DigitsCNN(3, 9, 9)(torch.zeros(2, 3, 9, 9)).shape == (2, 128)
    z = module.points(module.features(x))
    assert float(z.detach().norm(dim=1).max()) <= math.tanh(0.05**0.5 * 2.3) / 0.05**0.5 + 1e-6
    assert torch.allclose(normalize(z, dim=1), normalize(module.head(module.features(x)), dim=1), atol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize(
    "experiment, method, c",
    [
        ("fine_grained", "hyp_simgcd", 0.05),
        ("fine_grained", "simgcd", 0.05),
        ("generic", "gcd", 0.05),
        ("generic", "hyp_gcd", 0.01),
    ],
)
def test_paper_configs_start(experiment, method, c, tmp_path):
    """ViT-B/16 at 224 pixels: all four methods compose; one step on random images trains head and last block alone."""
    words = [
        f"experiment=hypcd/{experiment}",
        "scale=paper",
        "data.source=synthetic",
        "method.weights=null",
        f"out={tmp_path}",
    ]
    made = plan.expand(words)
    assert len(made) == (16 if experiment == "fine_grained" else 12)
    found = {cell.method.name: cell for cell in reversed(made)}
    assert set(found) == {"gcd", "hyp_gcd", "simgcd", "hyp_simgcd"}
    assert (found["hyp_gcd"].method.c, found["hyp_gcd"].method.alpha_max) == (
        (0.05, 1.0) if experiment == "fine_grained" else (0.01, 0.5)
    )
    cfg = found[method].method
    assert (cfg.epochs, cfg.batch, cfg.lr, cfg.backbone, cfg.c) == (200, 128, 0.1, "vit_b16", c)
    b = cells.load(found[method])
    assert b.shape == (3, 224, 224) and b.train[0][0].shape == (2, 3, 224, 224)
    plugin = CategoryDiscoverer(cfg)
    assert plugin.skip(b) is None
    module = plugin.build(b, cfg)
    (opt,), _ = module.configure_optimizers()
    before = {n: p.detach().clone() for n, p in module.named_parameters()}
    x = torch.randint(0, 256, (4, 3, 224, 224), dtype=torch.uint8, generator=rng())
    loss = module._loss(module.features(x), torch.tensor([0, -1, 0, -1]))
    loss.backward()
    opt.step()
    moved = {n for n, p in module.named_parameters() if not torch.equal(p, before[n])}
    assert bool(loss.isfinite()) and moved
    assert all(n.startswith(("backbone.net.blocks.11.", "head.", "classifier.")) for n in moved)
    assert any(n.startswith("backbone.net.blocks.11.") for n in moved)
