"""Pulsar timing: the likelihood against dense covariances, evidences against closed forms and quadrature, samplers, flows, bad input."""

from __future__ import annotations

import math
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from scipy.linalg import null_space, solve_triangular
from scipy.stats import chisquare, multivariate_normal

from bench import cell as cells
from bench import plan
from bench.schema import BenchError
from datasets.free_spectra.config import Config as Published
from datasets.pulsars.config import Config as Array
from datasets.pulsars.simulate import simulate
from models.pta_flow.chains import Chains, rhat, run
from models.pta_flow.config import SOURCES as NAMES
from models.pta_flow.config import Config
from models.pta_flow.correlations import CORRELATIONS, hellings_downs, overlap
from models.pta_flow.evidence import cut_target, harmonic_mean, importance, laplace, quadrature, savage_dickey
from models.pta_flow.flow import PosteriorFlow
from models.pta_flow.free_spectrum import FreeSpectrum
from models.pta_flow.hellinger import gaussian_hellinger, hellinger
from models.pta_flow.likelihood import ArrayLikelihood
from models.pta_flow.plugin import WIDEN
from models.pta_flow.posterior import Posterior, build
from models.pta_flow.priors import Joint, Normal, Uniform, log_normal
from models.pta_flow.projection import fourier, reduce
from models.pta_flow.spectra import F_YEAR, SOURCES, YEAR, log10_phi, strain

F64 = torch.float64
SPAN = 15 * YEAR
F6 = torch.arange(1, 7, dtype=F64) / SPAN
needs = pytest.mark.skipif(
    not all(find_spec(p) for p in ("zuko", "emcee", "dynesty")),
    reason="needs zuko, emcee and dynesty: pip install '.[pulsars]'",
)
COLUMNS = ("residuals", "sigma", "design", "times")


def array(seed: int = 0, **options) -> dict:
    return simulate(Array(name="pulsars", **options), np.random.default_rng(seed))


def fast(meta: dict, correlation: str) -> ArrayLikelihood:
    f = torch.from_numpy(meta["frequencies"])
    reduced = [reduce(*(torch.from_numpy(p[c]) for c in COLUMNS), f, p["name"]) for p in meta["pulsars"]]
    return ArrayLikelihood(
        reduced, overlap(correlation, torch.from_numpy(np.stack([p["position"] for p in meta["pulsars"]])))
    )


def dense(meta: dict, correlation: str, common: np.ndarray, red: np.ndarray) -> float:
    """ln N(G^T r; 0, G^T C G), G an orthonormal complement of the timing models of all pulsars."""
    pulsars, f = meta["pulsars"], torch.from_numpy(meta["frequencies"])
    gamma = overlap(correlation, torch.from_numpy(np.stack([p["position"] for p in pulsars]))).numpy()
    basis = [fourier(torch.from_numpy(p["times"]), f).numpy() for p in pulsars]
    complement = [null_space(p["design"].T) for p in pulsars]
    blocks = []
    for a, pa in enumerate(pulsars):
        row = []
        for b in range(len(pulsars)):
            phi = gamma[a, b] * common + (red[a] if a == b else 0)
            c = (basis[a] * np.repeat(phi, 2)) @ basis[b].T + (np.diag(pa["sigma"] ** 2) if a == b else 0)
            row.append(complement[a].T @ c @ complement[b])
        blocks.append(row)
    r = np.concatenate([g.T @ p["residuals"] for g, p in zip(complement, pulsars, strict=True)])
    scale = 1e-6  # microseconds
    cov, r = np.block(blocks) / scale**2, r / scale
    root = np.linalg.cholesky(cov)
    white = solve_triangular(root, r, lower=True)
    value = -0.5 * white @ white - np.log(np.diag(root)).sum() - 0.5 * len(r) * math.log(2 * math.pi)
    assert abs(value - multivariate_normal(cov=cov).logpdf(r)) < 1e-6  # which goes by eigenvalues and loses more digits
    return float(value - len(r) * math.log(scale))


def cell_metrics(*words: str, out) -> dict[str, float]:
    outcome, record = cells.run(plan.expand(["scale=smoke", "fold=0", "trainer.threads=1", f"out={out}", *words])[0])
    assert outcome == "done", record["error"]
    return {m["metric"]: m["value"] for m in record["metrics"]}


def gaussian_posterior(d: int = 10, seed: int = 0) -> Posterior:
    """L = N(y; A theta, I) under theta ~ N(0, I), and its evidence N(y; 0, I + A A^T)."""
    rng = np.random.default_rng(seed)
    a, y = torch.from_numpy(rng.standard_normal((d, d)) / 2), torch.from_numpy(rng.standard_normal(d))
    exact = multivariate_normal(cov=np.eye(d) + a.numpy() @ a.numpy().T).logpdf(y.numpy())

    def log_l(theta: torch.Tensor) -> torch.Tensor:
        return log_normal(y - theta @ a.T)

    return Posterior(Normal(torch.zeros(d), torch.eye(d)), log_l, exact=float(exact))


def rosenbrock() -> Posterior:
    def log_l(theta: torch.Tensor) -> torch.Tensor:
        x, y = theta.T
        return -((1 - x) ** 2) / 2 - 5 * (y - x**2) ** 2

    return Posterior(Uniform([-3.0, -2.0], [3.0, 8.0]), log_l)


# --- likelihood
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_fast_likelihood_is_the_dense_one(correlation):
    """Card's oracle 1: to 1e-8, absolutely, with correlations, with and without red noise, in a batch as alone."""
    meta = array(pulsars=4, toas=60)
    likelihood, rng = fast(meta, correlation), np.random.default_rng(1)
    log10_a = torch.from_numpy(rng.uniform(-15.5, -13.5, (5, 5, 1)))
    theta = torch.cat([log10_a, torch.from_numpy(rng.uniform(1, 5, (5, 5, 1)))], -1)
    phi = 10 ** log10_phi("power_law", F6, SPAN, theta)
    batch = likelihood(phi[:, 0], phi[:, 1:])
    for b in range(5):
        expected = dense(meta, correlation, phi[b, 0].numpy(), phi[b, 1:].numpy())
        assert abs(float(batch[b]) - expected) < 1e-8
        assert abs(float(likelihood(phi[b : b + 1, 0], phi[b : b + 1, 1:])) - expected) < 1e-8
    alone = likelihood(phi[:1, 0])
    assert abs(float(alone) - dense(meta, correlation, phi[0, 0].numpy(), np.zeros((4, 6)))) < 1e-8


def test_independent_pulsars_multiply_and_no_process_is_white():
    meta = array(pulsars=3, toas=40)
    phi = 10 ** log10_phi("power_law", F6, SPAN, torch.tensor([[-14.0, 3.0]], dtype=F64))
    whole = float(fast(meta, "uncorrelated")(phi))
    assert abs(whole - sum(float(fast({**meta, "pulsars": [p]}, "hd")(phi)) for p in meta["pulsars"])) < 1e-9
    zero, chi2 = torch.zeros(1, 6, dtype=F64), 0.0
    for p in meta["pulsars"]:
        g = null_space(p["design"].T)
        chi2 += multivariate_normal(cov=np.eye(g.shape[1])).logpdf(g.T @ p["residuals"] / 3e-7) - g.shape[1] * math.log(
            3e-7
        )
    for kind in CORRELATIONS:  # also where Gamma is singular
        assert abs(float(fast(meta, kind)(zero)) - chi2) < 1e-8


@pytest.mark.parametrize("correlation", ["hd", "uncorrelated"])
def test_the_timing_model_is_not_seen(correlation):
    """Oracle 2: adding M times anything to the residuals changes nothing."""
    meta, rng = array(pulsars=3, toas=50), np.random.default_rng(2)
    phi = 10 ** log10_phi("power_law", F6, SPAN, torch.tensor([[-14.0, 4.0]], dtype=F64))
    before = float(fast(meta, correlation)(phi))
    for p in meta["pulsars"]:
        p["residuals"] = p["residuals"] + p["design"] @ (1e-5 * rng.standard_normal(3))
    assert abs(float(fast(meta, correlation)(phi)) - before) < 1e-7


def test_gradient():
    meta = array(pulsars=3, toas=40)
    likelihood = fast(meta, "hd")

    def value(theta: torch.Tensor) -> torch.Tensor:
        phi = 10 ** log10_phi("power_law", F6, SPAN, theta.reshape(1, 4, 2))
        return likelihood(phi[:, 0], phi[:, 1:])

    theta = torch.tensor([-14.0, 4.0, -13.8, 3.0, -14.5, 2.0, -15.0, 5.0], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(value, (theta,), eps=1e-5, rtol=1e-5, atol=1e-5)


def test_fewer_observations_than_coefficients():
    meta = array(pulsars=2, toas=30)
    meta["pulsars"] = [{**p, **{c: p[c][:10] for c in COLUMNS}} for p in meta["pulsars"]]
    phi = 10 ** log10_phi("power_law", F6, SPAN, torch.tensor([[-14.0, 4.0]], dtype=F64))
    assert abs(float(fast(meta, "hd")(phi)) - dense(meta, "hd", phi[0].numpy(), np.zeros((2, 6)))) < 1e-8


def test_calibration():
    """Oracle 6: over 100 simulated data sets, the ranks of amplitude and slope in their posteriors are uniform."""
    rng, ranks = np.random.default_rng(3), []
    prior = Uniform([-14.5, 1.0], [-13.0, 6.0])
    for i in range(100):
        truth = prior.theta(torch.from_numpy(rng.standard_normal(2))).numpy()
        meta = array(
            100 + i, pulsars=2, toas=40, frequencies=4, red=[], parameters=truth.tolist(), correlation="uncorrelated"
        )
        likelihood, f = fast(meta, "uncorrelated"), torch.from_numpy(meta["frequencies"])
        red = 10 ** log10_phi("power_law", f, SPAN, torch.from_numpy(meta["red"]))

        def log_l(theta, likelihood=likelihood, f=f, red=red):
            return likelihood(10 ** log10_phi("power_law", f, SPAN, theta), red.expand(len(theta), -1, -1))

        grid = quadrature(Posterior(prior, log_l), points=24)
        u = grid.u[rng.choice(len(grid.u), 99, p=grid.probability)] + grid.width * (rng.random((99, 2)) - 0.5)
        ranks.append((prior.theta(torch.special.ndtri(torch.from_numpy(u))).numpy() < truth).sum(0))
    for j in range(2):
        counts = np.histogram(np.array(ranks)[:, j], 10, (0, 100))[0]
        assert chisquare(counts).pvalue > 1e-3


# --- correlations and spectra
# ------------------------------------------------------------------------------------------------------


def test_hellings_downs():
    """Oracle 3."""
    angle = torch.deg2rad(torch.linspace(0.001, 180, 180_000, dtype=F64))
    curve = hellings_downs(angle.cos())
    assert abs(float(curve[0]) - 0.5) < 1e-4 and abs(float(curve[-1]) - 0.25) < 1e-9
    assert abs(float(curve.min()) + 0.1519) < 5e-5 and abs(float(torch.rad2deg(angle[curve.argmin()])) - 82.5) < 0.1
    x = torch.randn(40, 3, dtype=F64, generator=torch.Generator().manual_seed(0))
    x = x / x.norm(dim=1, keepdim=True)
    for kind in CORRELATIONS:
        gamma = overlap(kind, x)
        assert torch.equal(gamma, gamma.T) and bool((gamma.diagonal() == 1).all())
        assert float(torch.linalg.eigvalsh(gamma)[0]) > -1e-10
    assert torch.equal(overlap("uncorrelated", x), torch.eye(40, dtype=F64))
    assert int(torch.linalg.matrix_rank(overlap("monopole", x))) == 1


def test_power_law():
    """Oracle 4: slope, and variance and strain consistent."""
    theta = torch.tensor([[-14.5, 13 / 3]], dtype=F64)
    log10 = log10_phi("power_law", F6, SPAN, theta)[0]
    assert torch.allclose(log10 - log10[0], -13 / 3 * (F6 / F6[0]).log10(), atol=1e-12)
    a = 10**-14.5
    expected = a * (F6 / F_YEAR) ** (-2 / 3)
    assert torch.allclose(strain(log10, F6, SPAN), expected, rtol=1e-12)
    assert torch.allclose(10**log10, expected**2 / (12 * math.pi**2 * F6**3 * SPAN), rtol=1e-12)


def omega(source: str, f: torch.Tensor, *theta: float) -> torch.Tensor:
    """ln Omega by h_c: 2 pi^2 / (3 H_0^2) f^2 h_c^2."""
    h0 = 67.4e3 / 3.0856775814913673e22
    h = strain(log10_phi(source, f, SPAN, torch.tensor([theta], dtype=F64))[0], f, SPAN)
    return (2 * math.pi**2 / (3 * h0**2) * f**2 * h**2).log()


def slope(source: str, at: float, *theta: float) -> float:
    f = at * torch.tensor([0.999, 1.001], dtype=F64)
    return float(omega(source, f, *theta).diff() / f.log().diff())


def test_spectra_are_the_stated_ones():
    """Peak value and place, and slopes of Omega far from the peak; the bounce's tilt and its duality; strings' plateau and decay."""
    assert set(SOURCES) == set(NAMES) and len(NAMES) == 10
    assert abs(slope("smbhb", 1e-8, -15.0, 13 / 3) - 2 / 3) < 1e-6
    for source, below, above in (("fopt", 3, -4), ("domain_wall", 3, -1)):
        assert (
            abs(slope(source, 1e-12, -8.0, -9.0) - below) < 1e-4 and abs(slope(source, 1e-4, -8.0, -9.0) - above) < 1e-4
        )
    for source in ("fopt", "domain_wall", "sigw"):
        f = torch.tensor([1e-8], dtype=F64)
        assert (
            abs(slope(source, 1e-8, -8.0, -9.0)) < 1e-5
            and abs(float(omega(source, f, -8.0, -9.0)) - math.log(1e-9)) < 1e-9
        )
    assert abs(slope("sigw", 1e-7, -8.0, -9.0) + math.log(10)) < 1e-4  # -ln(f / f_peak) / Delta^2
    assert abs(slope("igw", 1e-8, 1.7, -5.0) - 1.7) < 1e-6
    for w, tilt in ((0.0, 0.0), (1 / 3, 2.0), (1.0, 3.0), (1e4, 2.0)):
        assert abs(slope("dual_w_r", 1e-8, w, -5.0) - tilt) < 1e-3
    for w in (0.1, 0.5, 3.0):
        nu = 2 / (1 + 3 * w)
        branch = "dual_dynamic" if nu > 0.5 else "dual_stable"
        assert abs(slope("dual_w_r", 1e-8, w, -5.0) - slope(branch, 1e-8, nu, -5.0)) < 1e-9
    assert abs(slope("strings", 1e-8, -7.0, 9.5)) < 1e-2 and abs(slope("strings", 1e-15, -7.0, 7.5) - 2) < 1e-2
    high = float(omega("strings", torch.tensor([1e3], dtype=F64), -7.0, 9.0))
    assert abs(high - math.log(8.04 * 9.2e-5 * math.sqrt(1e-7 / 50))) < 1e-6


# --- evidences
# ------------------------------------------------------------------------------------------------------


@needs
def test_harmonic_mean_of_a_gaussian():
    """Oracle 5: ten dimensions, exact samples, a flow with nothing to learn beyond mean and covariance: within 0.05 nat."""
    posterior = gaussian_posterior()
    mode = laplace(posterior, 0)
    assert abs(mode.ln_evidence - posterior.exact) < 1e-6
    torch.manual_seed(0)
    flow = PosteriorFlow(mode.z, mode.cov, 1, [16])
    g = torch.Generator().manual_seed(1)
    root = torch.linalg.cholesky(mode.cov)
    train, test = (mode.z + torch.randn(20_000, 10, dtype=F64, generator=g) @ root.T for _ in range(2))
    flow.fit(train, 60, 256, 3e-3, g)
    with torch.no_grad():
        joint = posterior.log_density(test).numpy()
        found = harmonic_mean(flow.log_prob(test, 0.8).numpy(), joint)
        assert abs(found.value - posterior.exact) < 0.05 and found.sd < 0.05
        z = flow.sample(5000, g)
        value, share = importance((posterior.log_density(z) - flow.log_prob(z)).numpy())
        assert abs(value.value - posterior.exact) < 0.05 and share > 0.8
        # the plain harmonic mean, phi = prior: misses by more than its own error says it may
        plain = harmonic_mean(log_normal(test).numpy(), joint)
    assert abs(plain.value - posterior.exact) > 3 * abs(found.value - posterior.exact)


@needs
def test_harmonic_mean_of_rosenbrock_and_truncation():
    """Oracle 5 in a curved ridge, against quadrature; the truncated mean agrees, the dropped one is off by the ratio of masses."""
    posterior = rosenbrock()
    grid = quadrature(posterior, 400)
    rng = np.random.default_rng(0)
    u = grid.u[rng.choice(len(grid.u), 20_000, p=grid.probability)] + grid.width * (rng.random((20_000, 2)) - 0.5)
    z = torch.special.ndtri(torch.from_numpy(u))
    torch.manual_seed(0)
    flow, g = PosteriorFlow(z.mean(0), torch.cov(z.T), 2, [32, 32]), torch.Generator().manual_seed(0)
    flow.fit(z[:10_000], 250, 256, 5e-3, g)
    with torch.no_grad():
        test = z[10_000:]
        log_l, joint, target = (
            posterior.log_likelihood(test).numpy(),
            posterior.log_density(test).numpy(),
            flow.log_prob(test, 0.8).numpy(),
        )
        assert abs(harmonic_mean(target, joint).value - grid.ln_evidence) < 0.05
        limit = float(np.quantile(posterior.log_likelihood(z[:10_000]).numpy(), 0.1))
        of_target = posterior.log_likelihood(flow.sample(20_000, g, 0.8)).numpy()
        assert abs(harmonic_mean(cut_target(target, log_l, limit, of_target), joint).value - grid.ln_evidence) < 0.05
        remain = log_l >= limit
        off = harmonic_mean(target[remain], joint[remain]).value - grid.ln_evidence
        assert abs(off - math.log(remain.mean() / (of_target >= limit).mean())) < 0.05 and off < -0.01


def test_quadrature_refines_until_a_ridge_is_seen():
    """Normal densities, 2 and `narrow` wide along the diagonals of a square: evidence 1 / area; a far narrower one is refused."""

    def ridge(narrow: float) -> Posterior:
        def log_l(theta: torch.Tensor) -> torch.Tensor:
            along, across = (theta[:, 0] + theta[:, 1]) / math.sqrt(2), (theta[:, 0] - theta[:, 1]) / math.sqrt(2)
            return -0.5 * ((along / 2) ** 2 + (across / narrow) ** 2) - math.log(2 * math.pi * 2 * narrow)

        return Posterior(Uniform([-12.0] * 2, [12.0] * 2), log_l)

    assert abs(quadrature(ridge(0.15), points=32).ln_evidence + math.log(24**2)) < 1e-3
    with pytest.raises(ValueError, match="narrow ridge"):
        quadrature(ridge(0.002), points=20)


def test_quadrature_is_exact():
    """A product of a normal density and the uniform prior: the evidence is 1 over the prior's area."""
    for width in (1.0, 0.01):

        def log_l(theta, width=width):
            return log_normal(theta / width) - 2 * math.log(width)

        assert abs(quadrature(Posterior(Uniform([-12.0] * 2, [12.0] * 2), log_l)).ln_evidence + math.log(24**2)) < 1e-8
    with pytest.raises(ValueError, match="pta_nested"):
        quadrature(gaussian_posterior(3))


def test_linear_gaussian_evidence_is_the_likelihood_of_the_spectra():
    """The coefficients' posterior integrates to the marginal likelihood, in agreement with the dense covariance."""
    meta = array(pulsars=2, toas=40, frequencies=3, correlation="hd")
    posterior = build(_bundle(meta), Config(name="pta_flow", parameters="coefficients"), "power_law")
    f = torch.from_numpy(meta["frequencies"])
    red = 10 ** log10_phi("power_law", f, SPAN, torch.from_numpy(meta["red"]))
    assert abs(posterior.exact - dense(meta, "hd", meta["common"], red.numpy())) < 1e-8
    assert abs(laplace(posterior, 0).ln_evidence - posterior.exact) < 1e-4


def test_savage_dickey():
    """Oracle 9: the density ratio at log10 A -> -18 is the Bayes factor of a common process over none."""
    meta = array(5, parameters=[-16.0, 13 / 3], red=[])
    cfg = Config(name="pta_flow", red_noise="known")
    posterior, none = build(_bundle(meta), cfg, "power_law"), build(_bundle(meta), cfg, "none")
    grid, rng = quadrature(posterior), np.random.default_rng(0)
    index = rng.choice(len(grid.u), 50_000, p=grid.probability)
    u = np.clip(grid.u[index] + grid.width * (rng.random((len(index), 2)) - 0.5), 1e-16, 1 - 1e-16)
    log10_a = posterior.prior.theta(torch.special.ndtri(torch.from_numpy(u)))[:, 0].numpy()
    assert abs(savage_dickey(log10_a, -18, -12) - (grid.ln_evidence - none.exact)) < 0.1
    with pytest.raises(ValueError, match="certain"):
        savage_dickey(np.full(100, -13.0), -18, -12)


def _bundle(meta: dict):
    class B:
        kind = "pulsar_array"

    bundle = B()
    bundle.meta = meta
    return bundle


# --- flow, chains, distances
# ------------------------------------------------------------------------------------------------------


@needs
def test_flow_is_normalised_at_any_temperature():
    torch.manual_seed(0)
    flow = PosteriorFlow(torch.tensor([0.3, -0.2]), torch.tensor([[1.0, 0.4], [0.4, 0.5]]), 2, [16])
    axis = torch.linspace(-7, 7, 300, dtype=F64)
    z = torch.cartesian_prod(axis, axis)
    g = torch.Generator().manual_seed(0)
    for temperature in (1.0, 0.7):
        with torch.no_grad():
            assert abs(float(flow.log_prob(z, temperature).exp().sum()) * float(axis[1] - axis[0]) ** 2 - 1) < 1e-3
            x = flow.sample(20_000, g, temperature)
            box = (z[:, 0] < 0.3) & (z[:, 1] < 0)
            mass = float(flow.log_prob(z, temperature).exp()[box].sum()) * float(axis[1] - axis[0]) ** 2
            assert abs(mass - float(((x[:, 0] < 0.3) & (x[:, 1] < 0)).double().mean())) < 0.02


@needs
def test_reverse_kl_needs_no_chain():
    posterior = rosenbrock()
    torch.manual_seed(0)
    mode, g = laplace(posterior, 0), torch.Generator().manual_seed(0)
    flow = PosteriorFlow(mode.z, WIDEN * mode.cov, 2, [32, 32])

    def weights() -> tuple[float, float]:
        with torch.no_grad():
            z = flow.sample(5000, g)
            value, share = importance((posterior.log_density(z) - flow.log_prob(z)).numpy())
        return value.value, share

    before = weights()[1]
    flow.fit_density(posterior, 200, 256, 1e-2, g)
    value, after = weights()
    assert after > max(0.5, before) and abs(value - quadrature(posterior).ln_evidence) < 0.1


def test_reweighting_brings_a_proposal_nearer():
    """Oracle 8: draws of a shifted, wide proposal, ESS above 10 %: weighted they are nearer to the posterior, in KL and in H."""
    rng, closer = np.random.default_rng(0), 0
    edges = np.linspace(-4, 4, 25)
    truth = np.histogram(rng.standard_normal(400_000), edges)[0] + 1.0
    truth /= truth.sum()
    for shift, wide in ((0.3, 1.0), (0.8, 1.3), (0.0, 1.6), (1.0, 1.0)):
        x = shift + wide * rng.standard_normal(8000)
        log_w = -(x**2) / 2 + ((x - shift) / wide) ** 2 / 2
        assert importance(log_w)[1] > 0.1
        w = np.exp(log_w)
        kl = []
        for weights in (None, w):
            p = np.histogram(x, edges, weights=weights)[0].astype(float) + 1e-9
            p /= p.sum()
            kl.append(float((p * np.log(p / truth)).sum()))
        sample = rng.standard_normal(8000)
        closer += kl[1] <= kl[0] and hellinger(x, sample, 50, w) <= hellinger(x, sample)
    assert closer == 4


def test_hellinger():
    """Oracle 7."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal(200_000)
    for m, s in ((0.5, 1.0), (2.0, 1.5), (0.0, 0.4)):
        b = m + s * rng.standard_normal(200_000)
        assert abs(hellinger(a, b) - gaussian_hellinger(0, 1, m, s)) < 0.02
        assert hellinger(a, b) == hellinger(b, a) <= 1
    assert hellinger(a, a) < 1e-7 and hellinger(a, a + 100) > 0.999 and gaussian_hellinger(1, 2, 1, 2) == 0
    half = hellinger(a, 2 * a, 50, np.exp(-np.abs(a)))
    assert abs(half - hellinger(a, 2 * a, 50, 7 * np.exp(-np.abs(a)))) < 1e-12
    with pytest.raises(ValueError, match="10 finite"):
        hellinger(a[:5], a)


@needs
def test_chains_and_their_gate():
    """Moments of a Gaussian posterior; R-hat near 1 there, and large where ensembles disagree."""
    posterior = gaussian_posterior(8)
    mode = laplace(posterior, 0)
    chain = run(posterior, 40, 1500, 0)
    chain.require(1.05, 300)
    z = np.linalg.solve(np.linalg.cholesky(mode.cov.numpy()), (chain.z.reshape(-1, 8) - mode.z.numpy()).T)
    assert np.abs(z.mean(1)).max() < 0.15 and abs(z.var(1).mean() - 1) < 0.05  # snooker moves of emcee fail here
    apart = np.random.default_rng(0).standard_normal((2, 50, 10, 2))
    assert rhat(apart) < 1.02
    apart[1] += 2.0
    assert rhat(apart) > 1.2
    with pytest.raises(ValueError, match=r"R-hat 1\.3.* effective sample size 40"):
        Chains(chain.z, chain.log_density, 1.3, 40.0, 2.0).require(1.05, 100)
    lost = chain.log_density.copy()
    lost[1, :, 3] -= 60
    with pytest.raises(ValueError, match="a walker is"):
        Chains(chain.z, lost, chain.rhat, chain.ess, chain.tau).require(1.05, 100)


def test_priors_are_maps_of_standard_normals():
    z = torch.randn(200_000, 3, dtype=F64, generator=torch.Generator().manual_seed(0))
    prior = Joint([Uniform([2.0], [4.0]), Normal([1.0, -1.0], [[2.0, 0.5], [0.5, 1.0]])])
    theta = prior.theta(z).numpy()
    assert prior.d == 3 and theta[:, 0].min() >= 2 and theta[:, 0].max() <= 4
    assert np.abs(np.histogram(theta[:, 0], 4)[0] / 50_000 - 1).max() < 0.02
    assert np.abs(np.cov(theta[:, 1:].T) - [[2, 0.5], [0.5, 1]]).max() < 0.03


# --- free spectra
# ------------------------------------------------------------------------------------------------------


def test_free_spectrum_is_the_sum_of_interpolated_densities():
    grid = torch.linspace(-10, -4, 601, dtype=F64)
    log_density = -((grid + torch.tensor([[6.0], [7.0]], dtype=F64)) ** 2)
    density = FreeSpectrum(log_density, grid)
    x = torch.tensor([[-6.003, -7.5], [-12.0, -3.0]], dtype=F64)
    assert abs(float(density(x)[0]) + 0.003**2 + 0.25) < 1e-4
    assert abs(float(density(x)[1]) - float(log_density[0, 0] + log_density[1, -1])) < 1e-12
    assert density.best == 0
    x.requires_grad_()
    density(x).sum().backward()
    assert abs(float(x.grad[0, 1]) - 1.0) < 0.02 and float(x.grad[1].abs().sum()) == 0


def test_twin_recovers_its_power_law(tmp_path):
    cell = plan.expand(
        [
            "method=pta_quadrature",
            "data=nanograv15",
            "data.source=synthetic",
            "fold=0",
            "scale=smoke",
            f"out={tmp_path}",
        ]
    )[0]
    bundle = cells.load(cell)
    assert bundle.origin == "synthetic_twin"
    grid = quadrature(build(bundle, cell.method, "power_law"))
    theta = Uniform([-18.0, 0.0], [-12.0, 7.0]).theta(torch.special.ndtri(torch.from_numpy(grid.u))).numpy()
    mean = grid.probability @ theta
    sd = np.sqrt(grid.probability @ (theta - mean) ** 2)
    assert (np.abs(mean - [-14.2, 3.2]) < 4 * sd).all() and (sd < 0.3).all()


@pytest.mark.real
def test_published_power_law_of_nanograv(tmp_path):
    """gamma = 3.2 +- 0.6 (90 %) and A = 6.4e-15 (+4.2, -2.7) of the 15-year analysis with 14 frequencies, from its own densities."""
    import os
    from pathlib import Path

    root = Path(os.environ.get("BENCH_DATA", tmp_path))
    if not Published(name="nanograv15").present(root, tmp_path):
        pytest.skip("the NANOGrav densities are not under BENCH_DATA")
    cell = plan.expand(
        ["method=pta_quadrature", "data=nanograv15", "data.source=real", "fold=hd", "scale=smoke", f"root={root}"]
    )[0]
    grid = quadrature(build(cells.load(cell), cell.method, "power_law"))
    theta = Uniform([-18.0, 0.0], [-12.0, 7.0]).theta(torch.special.ndtri(torch.from_numpy(grid.u))).numpy()
    log10_a, gamma = grid.probability @ theta
    assert abs(gamma - 3.2) < 0.3 and abs(log10_a - math.log10(6.4e-15)) < 0.2


# --- cells
# ------------------------------------------------------------------------------------------------------


@needs
def test_all_ways_agree_on_one_evidence(tmp_path):
    """Flow on samples, flow on the density, Laplace, nested sampling: each with its own error of the quadrature's value."""
    words = ["data=pulsars", "data.correlation=uncorrelated", "method.correlation=uncorrelated", "method.reference=0"]
    exact = cell_metrics("method=pta_quadrature", *words, out=tmp_path)
    for method, most in (
        ("pta_flow", 0.1),
        ("pta_flow method.train=reverse_kl", 0.1),
        ("pta_laplace", 0.3),
        ("pta_nested", 1.5),
    ):
        found = cell_metrics(*f"method={method}".split(), *words, out=tmp_path)
        assert found["ln_evidence_error"] < most, method
        assert abs(found["ln_evidence_error"] - abs(found["ln_evidence"] - exact["ln_evidence"])) < 1e-9
        assert found["coverage"] > 0.4


@needs
def test_bayes_factor_against_no_process(tmp_path):
    words = ["method=pta_quadrature", "data=pulsars", "data.red=[]", "method.reference=0"]
    for log10_a, low, high in ((-14.0, 10, 1e4), (-17.0, -3, 1)):
        found = cell_metrics(*words, f"data.parameters=[{log10_a},4.333]", "method.versus=none", out=tmp_path)
        assert low < found["ln_bayes_factor"] < high


def test_bad_input(tmp_path, bench):
    meta = array(pulsars=2, toas=20, frequencies=2)
    one, f = meta["pulsars"][0], torch.from_numpy(meta["frequencies"])
    ok = {c: torch.from_numpy(one[c]) for c in COLUMNS}
    short = {c: v[:4] for c, v in ok.items()}
    for call, said in (
        (lambda: reduce(**short, frequencies=f, name="J0"), "J0 has 4 observations and 3 timing parameters"),
        (lambda: reduce(**{**ok, "residuals": ok["residuals"] * math.nan}, frequencies=f), "NaN"),
        (lambda: reduce(**{**ok, "sigma": ok["sigma"] * 0}, frequencies=f), "not positive"),
        (lambda: reduce(**{**ok, "design": ok["design"][:, [0, 1, 1]]}, frequencies=f), "dependent"),
        (lambda: overlap("quadrupole", torch.eye(3)), "monopole"),
        (lambda: overlap("hd", 2 * torch.eye(3)), "unit vectors"),
        (lambda: log10_phi("inflation", f, SPAN, torch.zeros(1, 2)), "unknown"),
        (lambda: log10_phi("igw", f, SPAN, torch.zeros(1, 3)), "two parameters"),
        (lambda: Uniform([1.0], [1.0]), "do not rise"),
        (lambda: Normal([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]]), "positive definite"),
        (lambda: ArrayLikelihood([], torch.eye(1)), "no pulsar"),
        (lambda: FreeSpectrum(torch.zeros(2, 3), torch.zeros(4)), "a row a frequency"),
        (lambda: FreeSpectrum(torch.zeros(2, 3), torch.tensor([0.0, 1.0, 5.0])), "even"),
        (lambda: rhat(np.zeros((2, 3, 4, 1))), "four steps"),
    ):
        with pytest.raises(ValueError, match=said) as info:
            call()
        assert "\n" not in str(info.value)
    for words, said in (
        (["method.versus=power_law"], "the source itself"),
        (["method.prior_low=[-18]"], "two numbers"),
        (["method.prior_low=[-12,0]", "method.prior_high=[-18,7]"], "exchange"),
        (["method.signal=smbhb", "method.prior_low=[-18,0]"], "uniform priors"),
        (["method.signal=cosmic"], "method.signal"),
        (["method.walkers=41"], "odd"),
        (["data.parameters=[1]"], "two numbers"),
        (["data.frequencies=90"], "observations"),
    ):
        code, _, err = bench("plan", "method=pta_flow", *words)
        assert code == 2 and said in err


@needs
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "method=pta_laplace data.parameters=[-12.5,4.0] method.red_noise=none method.prior_high=[-17,7]",
            "no point of the prior explains",
        ),
        ("method=pta_mcmc method.steps=20 method.ess_min=1e6", "did not converge: R-hat"),
        ("method=pta_flow method.reference=20 method.rhat_max=1.0", "did not converge"),
        ("method=pta_mcmc method.signal=none", "nothing to infer"),
        ("method=pta_laplace data=nanograv15 data.source=synthetic method.parameters=coefficients", "needs residuals"),
    ],
)
def test_runs_that_cannot_be_trusted_fail(words, said, tmp_path):
    outcome, record = cells.run(plan.expand([*words.split(), "scale=smoke", "fold=0", f"out={tmp_path}"])[0])
    assert outcome == "failed" and said in record["error"]


def test_data(tmp_path):
    with pytest.raises(BenchError, match="draw9"):
        Array(name="pulsars").fold_number("S01")
    a, b = array(0), array(0)
    assert all(np.array_equal(p["residuals"], q["residuals"]) for p, q in zip(a["pulsars"], b["pulsars"], strict=True))
    assert not np.array_equal(array(1)["pulsars"][0]["residuals"], a["pulsars"][0]["residuals"])
