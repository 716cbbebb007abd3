"""Manifold linearizing and clustering (arXiv 2301.01805): coding rates, membership, losses, clusterings; float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck
from torch.nn.functional import normalize

from bench import cell as cells
from bench import plan, store
from bench.schema import Arrays, BenchError
from datasets.clustering import accuracy
from models.clustering import components, ensc, self_affinity, spectral_labels, ssc_omp
from models.clustering.spectral import spectral_embedding
from models.geometry.coding_rate import logdet, membership_rate, rate
from models.mlc import gamma_of, mlc_loss, tcr_loss
from models.mlc.config import Config
from models.mlc.measures import class_ranks, cosines, numerical_rank
from models.mlc.net import network
from models.mlc.objective import mean_views
from models.mlc.plugin import prepared
from models.mlc.views import affine, simclr, view

F64 = torch.float64
E2 = 0.1


def randn(*shape, seed=0):
    return torch.randn(shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def unit(n=40, d=6, seed=0):
    return normalize(randn(n, d, seed=seed), dim=1)


def close(a, b, tol):
    assert float((torch.as_tensor(a, dtype=F64) - torch.as_tensor(b, dtype=F64)).detach().abs().max()) < tol


def union_of_subspaces(k=3, d=12, copies=5):
    """Points that fill k orthogonal subspaces of dimension d / k evenly: `copies` of +- each basis vector; with labels."""
    basis = torch.linalg.qr(randn(d, d))[0]
    z = torch.cat([basis, -basis]).repeat(copies, 1)
    y = (torch.arange(d) // (d // k)).repeat(2 * copies)
    return z, y


def blocks(y):
    same = (y[:, None] == y).to(F64)
    return same / same.sum(1, keepdim=True)


# --- coding rates


def test_uniform_membership_gives_no_reduction():
    """Gamma = 1 1^T / n, the limit of large eta: R_c = R, so the objective is 0 for every Z (oracle 2)."""
    z = unit()
    n = len(z)
    close(membership_rate(z, torch.full((n, n), 1 / n, dtype=F64), E2), rate(z, E2), 1e-10)
    gamma = gamma_of(unit(seed=1), 1e9)
    close(gamma, torch.full((n, n), 1 / n, dtype=F64), 1e-8)
    close(mlc_loss(z, gamma, E2), torch.zeros((), dtype=F64), 1e-6)


def test_identity_membership():
    """Gamma = I: R_c = log(1 + d / e^2) (oracle 3)."""
    z = unit(d=7)
    close(membership_rate(z, torch.eye(len(z), dtype=F64), E2), math.log(1 + 7 / E2), 1e-12)


def test_block_membership_is_mcr2():
    """Gamma constant on clusters: the sum over clusters of MCR^2, from the n x n membership and from the n x k one (oracle 4)."""
    z, y = unit(), torch.arange(40) % 3
    n, d = z.shape
    expected = sum(
        (float(m.sum()) / n) * torch.logdet(torch.eye(d, dtype=F64) + d / (float(m.sum()) * E2) * z[m].T @ z[m])
        for m in (y == c for c in range(3))
    )
    close(membership_rate(z, blocks(y), E2), expected, 1e-10)
    close(membership_rate(z, torch.nn.functional.one_hot(y).to(F64), E2), expected, 1e-10)
    close(membership_rate(z, blocks(y), E2, chunk=7), expected, 1e-10)


def test_orthogonal_clusters():
    """k orthogonal subspaces of dimension d / k, filled evenly: R = d log(1 + 1 / e^2), R_c = (d / k) log(1 + k / e^2) (oracle 5)."""
    z, y = union_of_subspaces(3, 12)
    r, rc = rate(z, E2), membership_rate(z, blocks(y), E2)
    close(r, 12 * math.log(1 + 1 / E2), 1e-10)
    close(rc, 4 * math.log(1 + 3 / E2), 1e-10)
    assert r > rc


def test_invariances_and_bounds():
    """R(Q Z) = R(Z), R of permuted points = R, and 0 <= R_c <= R for every doubly stochastic membership (oracle 6)."""
    z = unit()
    q, order = torch.linalg.qr(randn(6, 6, seed=2))[0], torch.randperm(40, generator=torch.Generator().manual_seed(3))
    close(rate(z @ q, E2), rate(z, E2), 1e-11)
    close(rate(z[order], E2), rate(z, E2), 1e-11)
    for seed, eta in enumerate((0.05, 0.2, 1.0)):
        gamma = gamma_of(unit(seed=seed + 5), eta)
        rc = float(membership_rate(z, gamma.mT, E2))
        assert 0 <= rc <= float(rate(z, E2)) + 1e-9


def test_either_gram_matrix():
    """log det(I_d + a Z^T Z) = log det(I_n + a Z Z^T): the rate of more dimensions than points (oracle 7), also batched."""
    z = randn(2, 5, 9)
    direct = torch.logdet(torch.eye(9, dtype=F64) + 9 / (5 * E2) * z.mT @ z)
    close(rate(z, E2), direct, 1e-11)
    close(rate(z[0], E2), direct[0], 1e-11)


@pytest.mark.parametrize("n", [4, 12])
def test_gradient_of_the_rate(n):
    """2 a Z (I + a Z^T Z)^-1 with a = d / (n e^2), on both sides of n = d (oracle 8)."""
    z = unit(n, 7).requires_grad_()
    rate(z, E2).backward()
    a = 7 / (n * E2)
    with torch.no_grad():
        close(z.grad, 2 * a * z @ torch.linalg.inv(torch.eye(7, dtype=F64) + a * z.T @ z), 1e-10)
    assert gradcheck(lambda x: rate(x, E2), [unit(n, 7).requires_grad_()])


def test_gradients_of_the_objective():
    """Gradcheck of R_c in points and memberships, and of the whole loss through Sinkhorn by both roads."""
    z, c = unit(6, 3).requires_grad_(), unit(6, 3, seed=1).requires_grad_()
    w = (torch.rand(6, 4, dtype=F64, generator=torch.Generator().manual_seed(0)) + 0.1).requires_grad_()
    assert gradcheck(lambda x, p: membership_rate(x, p, E2), [z, w])
    assert gradcheck(lambda x, h: mlc_loss(x, gamma_of(h, 0.3, half_steps=21), E2), [z, c])
    both = []
    for steps in (None, 201):
        c.grad = None
        mlc_loss(z.detach(), gamma_of(c, 0.3, "abs", half_steps=steps), E2).backward()
        both.append(c.grad.clone())
    close(both[0], both[1], 1e-4)  # the converged one stops at 1e-5 in the columns


def test_bad_input_of_rates_is_told():
    z = unit()
    for call, word in (
        (lambda: rate(z, 0.0), "eps2"),
        (lambda: rate(z.long(), E2), "real points"),
        (lambda: rate(z * float("nan"), E2), "not finite"),
        (lambda: membership_rate(z, torch.ones(3, 3, dtype=F64), E2), "one row for each point"),
        (lambda: membership_rate(z, -torch.ones(40, 2, dtype=F64), E2), "negative entry or an empty group"),
        (lambda: logdet(-torch.eye(3, dtype=F64)), "positive definite"),
        (lambda: gamma_of(z, 0.1, "cosine"), "kernel"),
        (lambda: gamma_of(z, -1.0), "epsilon"),
    ):
        with pytest.raises(ValueError, match=word):
            call()


# --- membership, network, views


def test_membership_is_doubly_stochastic():
    """Gamma >= 0, rows and columns 1 to 1e-6, symmetric; the mean over views keeps the sums (oracle 1)."""
    gammas = [gamma_of(unit(seed=s), 0.15, "abs", half_steps=2001) for s in (0, 1)]
    _, mean = mean_views([unit(), unit(seed=1)], gammas)
    for gamma in (*gammas, mean):
        assert bool((gamma >= 0).all())
        close(gamma.sum(0), torch.ones(40, dtype=F64), 1e-6)
        close(gamma.sum(1), torch.ones(40, dtype=F64), 1e-12)
        close(gamma, gamma.T, 1e-6)


def test_less_entropy_is_nearer_to_a_permutation():
    """The largest entries of Gamma grow as eta falls: without entropy the optimum is a permutation matrix."""
    c = unit()
    top = [float(gamma_of(c, eta).amax(1).mean()) for eta in (1.0, 0.3, 0.1)]
    assert top[0] < top[1] < top[2]


@pytest.mark.parametrize("shape,backbone", [((2,), None), ((1, 8, 8), "small_cnn"), ((3, 32, 32), "resnet18")])
def test_head_copy(shape, backbone):
    """After the copy C = Z, so Gamma is the projection of Z^T Z, on any batch in evaluation mode (oracle 9)."""
    torch.manual_seed(0)
    net = network(Config(name="mlc", backbone=backbone, width=8, hidden=16, dim=5), shape).eval()
    x = torch.randn(12, *shape)
    with torch.no_grad():
        net.cluster_head.weight.add_(1.0)
        z, c = net(x)
        assert float((z - c).abs().max()) > 1e-2
        net.copy_head()
        z, c = net(x)
    close(gamma_of(c, 0.15, half_steps=21), gamma_of(z, 0.15, half_steps=21), 1e-6)
    close(z.norm(dim=1), torch.ones(12), 1e-5)
    assert net.feature_head.weight.data_ptr() != net.cluster_head.weight.data_ptr()


def test_tcr_loss():
    """- R of the mean of two views - lambda mean |cosine|; equal views give - R(Z) - lambda."""
    z, z2 = unit(), unit(seed=1)
    close(tcr_loss(z, z, E2, 3.0), -rate(z, E2) - 3.0, 1e-12)
    expected = -rate((z + z2) / 2, E2) - 3.0 * (z * z2).sum(1).abs().mean()
    close(tcr_loss(z, z2, E2, 3.0), expected, 1e-12)
    close(tcr_loss(z, z2, E2, 0.0, 0.5), -rate((z + z2) / 2, E2) / 2, 1e-12)


def test_views_change_every_image_in_its_own_way():
    x = torch.rand(2, 3, 8, 8).repeat_interleave(4, 0)
    for made in (affine(x, torch.Generator().manual_seed(0), 0.0), simclr(x, torch.Generator().manual_seed(0))):
        assert made.shape == x.shape and bool(made.isfinite().all())
        assert all(float((made[0] - made[i]).abs().max()) > 1e-3 for i in (1, 2, 3))
    still = affine(x, torch.Generator().manual_seed(0), 0.0, degrees=0.0, scale=0.0, shift=0.0)
    close(still, x, 1e-5)
    with pytest.raises(ValueError, match="use noise"):
        view(torch.rand(4, 2), "affine", torch.Generator(), 0.1)


# --- clusterings and measures


def test_accuracy_matches_names_once():
    """Renaming clusters changes nothing; one assignment for the whole set; superfluous clusters count as wrong."""
    y = np.array([0, 0, 0, 1, 1, 2])
    assert accuracy(np.array([2, 2, 2, 0, 0, 1]), y) == 1.0
    assert accuracy(np.array([5, 5, 7, 7, 7, 9]), y) == pytest.approx(5 / 6)
    assert accuracy(np.arange(6), y) == pytest.approx(0.5)
    assert accuracy(np.zeros(6, int), y) == pytest.approx(0.5)


def test_spectral_clustering_of_blocks():
    """A block-constant doubly stochastic matrix has one eigenvalue 1 for each block, and its labels are the blocks."""
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(3), (10, 15, 20)))
    w = blocks(torch.from_numpy(y)).numpy()
    embedding, _, values = spectral_embedding(w, 4)
    assert np.allclose(values, [1, 1, 1, 0], atol=1e-10)
    assert np.allclose(np.linalg.norm(embedding, axis=1), 1)
    assert accuracy(spectral_labels(w, 3, 0), y) == 1.0
    assert components(w) == 3 and components(w + 0.001) == 3 and components(w + np.eye(45), 30.0) == 45


def lines(k=3, d=20, dim=3, n=40, seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(k), n)
    bases = np.linalg.qr(rng.standard_normal((k, d, dim)))[0]
    x = np.einsum("ndk,nk->nd", bases[y], rng.standard_normal((k * n, dim)))
    return x / np.linalg.norm(x, axis=1, keepdims=True), y


def test_omp_is_that_of_scikit_learn():
    """Every point's coefficients equal scikit-learn's orthogonal_mp with that point left out; 0 on the diagonal."""
    from sklearn.linear_model import orthogonal_mp

    x, _ = lines()
    x = x + 0.05 * np.random.default_rng(1).standard_normal(x.shape)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    c = ssc_omp(x, atoms=4, residual=0.0)
    assert np.abs(np.diag(c)).max() == 0
    for j in range(0, len(x), 7):
        others = np.delete(np.arange(len(x)), j)
        assert np.allclose(c[j, others], orthogonal_mp(x[others].T, x[j], n_nonzero_coefs=4), atol=1e-8)
    assert ((ssc_omp(x, 8, residual=0.05) != 0).sum(1) < 8).any()  # the residual stops some points earlier


def test_elastic_net_satisfies_its_optimality_conditions():
    """g x_i^T (x_j - X^T c) - (1 - tau) c_i = tau sign c_i where c_i != 0, and at most tau in size elsewhere; c_j = 0; 1e-3."""
    x, _ = lines()
    gamma, tau = 8.0, 0.9
    c = ensc(x, gamma, tau, tol=1e-9)
    assert np.abs(np.diag(c)).max() == 0
    gram = np.abs(x @ x.T) - np.eye(len(x))
    weight = gamma * tau / gram.max(1)
    slope = weight[:, None] * ((x - c @ x) @ x.T) - (1 - tau) * c
    np.fill_diagonal(slope, 0)
    used = c != 0
    assert np.abs(slope[used] - tau * np.sign(c[used])).max() < 1e-3
    assert np.abs(slope[~used]).max() < tau + 1e-3
    assert not ensc(x, 1.0, tau).any()  # gamma = 1 is where the solution leaves 0


@pytest.mark.parametrize("solve", [ensc, ssc_omp])
def test_subspace_clustering_finds_subspaces(solve):
    """Independent subspaces: only points of the same subspace express a point, and the clusters are the subspaces."""
    x, y = lines()
    c = solve(x)
    assert np.abs(c[y[:, None] != y]).max() < (1e-8 if solve is ssc_omp else 0.2)
    assert accuracy(spectral_labels(self_affinity(c), 3, 0), y) == 1.0


def test_measures():
    """Numerical ranks of subspaces are their dimensions, cosines between orthogonal classes vanish."""
    z, y = union_of_subspaces(3, 12)
    assert numerical_rank(z) == 12 and class_ranks(z, y) == [4, 4, 4]
    between, within = cosines(z, y)
    assert between < 1e-12
    assert within == pytest.approx(9 / 39)  # of 39 partners in a class of 40, 9 are +- the same vector


def test_bad_input_of_clusterings_is_told():
    x, _ = lines()
    for call, word in (
        (lambda: ensc(x, 0.5), "gamma"),
        (lambda: ssc_omp(x, 0), "atoms"),
        (lambda: ssc_omp(x * np.nan), "not finite"),
        (lambda: ensc(x[:1]), "two or more"),
        (lambda: spectral_labels(x, 2, 0), "square"),
        (lambda: spectral_labels(np.ones((3, 3)), 4, 0), "k=4"),
        (lambda: spectral_labels(-np.ones((3, 3)), 2, 0), "nonnegative"),
    ):
        with pytest.raises(ValueError, match=word):
            call()


# --- the method


def ran(out, *words):
    (cell,) = plan.expand([*words, "scale=smoke", f"out={out}", "data.source=synthetic", "fold=0"])
    outcome, record = cells.run(cell)
    assert outcome == "done", record["traceback"]
    return cell, {m["metric"]: m["value"] for m in store.read_cell(cell.folder)["metrics"]}, record


def test_circles_are_separated_and_the_row_says_transductive(tmp_path):
    """The features separate what no line does (k-means stays below .65), and the whole set was looked at."""
    cell, mine, record = ran(tmp_path, "method=mlc")
    _, theirs, other = ran(tmp_path, "method=kmeans")
    assert mine["acc"] > 0.95 and theirs["acc"] < 0.65
    assert record["transductive"] and other["transductive"]
    assert mine["marginal_error"] < 1e-5 and mine["rate_reduction"] > 0
    assert (cell.folder / "figures" / "membership.png").is_file()


def test_stages_share_the_first(tmp_path):
    """tcr is mlc without its second stage: the same start and the same first loss."""
    (a, b) = (ran(tmp_path, f"method={m}", "method.tcr_steps=3")[0] for m in ("tcr", "mlc"))
    curves = [np.load(c.folder / "curves.npz")["tcr_loss.value"] for c in (a, b)]
    assert np.array_equal(*curves)


@pytest.mark.parametrize("choice", ["method.official_parity=true", "method.gradient=implicit", "method.labels=ensc",
                                    "method.labels=ssc_omp", "method.labels=kmeans", "method.optimiser=sgd"])  # fmt: skip
def test_variants_run(tmp_path, choice):
    _, got, _ = ran(tmp_path, "method=mlc", "method.tcr_steps=2", "method.mlc_steps=2", "data.n=20", choice)
    assert got["marginal_error"] < 1e-5


def test_labels_of_samples_outside_the_membership(tmp_path):
    """With a membership of 100 of 300 points the others follow by its eigenvectors, and the circles stay whole."""
    _, got, _ = ran(tmp_path, "method=tcr", "method.most=150", "method.tcr_steps=150")
    assert got["acc"] > 0.95


def test_interrupted_training_goes_on(tmp_path, monkeypatch):
    """A run that is saved at every step and restarted gives the numbers of an uninterrupted one."""
    from bench.context import Context

    words = ("method=mlc", "method.tcr_steps=6", "method.mlc_steps=4", "data.n=20")
    _, whole, _ = ran(tmp_path / "a", *words)
    (cell,) = plan.expand([*words, "scale=smoke", f"out={tmp_path / 'b'}", "data.source=synthetic", "fold=0"])
    for stop_at in (3, 6):  # once in each stage
        calls = iter(range(1000))
        with monkeypatch.context() as patch:
            patch.setattr(Context, "late", lambda self, calls=calls, stop_at=stop_at: next(calls) >= stop_at - 1)
            assert cells.run(cell)[0] == "stopped"
    assert cells.run(cell)[0] == "done"
    again = {m["metric"]: m["value"] for m in store.read_cell(cell.folder)["metrics"]}
    assert {k: whole[k] for k in ("acc", "rate_reduction", "between_cosine")} == {
        k: again[k] for k in ("acc", "rate_reduction", "between_cosine")
    }


@pytest.mark.parametrize("method", ["tcr_images", "mlc_images"])
def test_paper_scale_starts_on_random_images(method, tmp_path):
    """ResNet-18, d = 128, views as in SimCLR: one step of each stage on noise in the shape of CIFAR-10."""
    words = [
        f"method={method}",
        "data=random_clusters",
        "scale=paper",
        "fold=0",
        f"out={tmp_path}",
        "data.source=synthetic",
    ]
    words.append("data.twin.n_train=12")
    (cell,) = plan.expand([*words, "method.tcr_steps=1", "method.mlc_steps=1"])
    assert (cell.method.backbone, cell.method.dim) == ("resnet18", 128)
    outcome, record = cells.run(cell)
    assert outcome == "done", record["traceback"]
    assert record["params"] > 11e6


def test_bad_input_of_the_method_is_told(tmp_path):
    with pytest.raises(BenchError, match="odd number"):
        plan.expand(["method=mlc", "method.sinkhorn_steps=4"])
    with pytest.raises(BenchError, match="5 half-iterations"):
        plan.expand(["method=mlc", "method.official_parity=true", "method.gradient=implicit"])
    with pytest.raises(BenchError, match="radii"):
        plan.expand(["method=mlc", "data.radii=[1.0]"])
    with pytest.raises(BenchError, match="whole set"):
        plan.expand(["method=mlc_images", "data=digit_clusters", "data.val_share=0.2"])
    with pytest.raises(BenchError, match="lower it"):
        cells.load(plan.expand(["method=mlc_images", "data.source=real", "data.n_train=2000", "fold=0"])[0])
    (cell,) = plan.expand(["method=mlc", "scale=smoke", "fold=0"])
    bundle = cells.load(cell)
    x = np.array(bundle.test.x)
    x[0, 0] = np.nan
    from dataclasses import replace

    with pytest.raises(BenchError, match="leave those out"):
        prepared(replace(bundle, test=Arrays(x, bundle.test.y)))
    with pytest.raises(BenchError, match="use mlp"):
        network(Config(name="mlc", backbone="resnet18"), (2,))
