"""The Gaunt tensor product: oracles of its paper, agreement of the back ends and with e3nn, equivariance."""

import math

import pytest
import torch
from e3nn import o3

from models.gaunt_tp import GauntConvolution, GauntPowers, GauntProduct, choose
from models.gaunt_tp.backends import BACKENDS
from models.gaunt_tp.tables import LEBEDEV, half_grid
from models.geometry.frames import random_orthogonal
from models.geometry.spherical import gaunt, gaunt_factor, spherical_harmonics, wigner_d

F64 = torch.float64
TOL = {"rtol": 0, "atol": 1e-10}
ROUTES = [name for name in BACKENDS if name != "dense"]


@pytest.fixture(autouse=True)
def float64():
    torch.set_default_dtype(F64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def coefficients(top, *shape):
    return torch.randn(*shape, (top + 1) ** 2)


def e3nn_even_paths(top):
    """e3nn's product over the paths of even l1 + l2 + l3, with the weights that make it the Gaunt product."""
    degrees = range(top + 1)
    paths = [(a, b, c) for a in degrees for b in degrees for c in range(abs(a - b), a + b + 1) if (a + b + c) % 2 == 0]
    irreps = [o3.Irreps([(1, (d, (-1) ** d)) for d in range(t + 1)]) for t in (top, top, 2 * top)]
    steps = [(*p, "uuu", False, gaunt_factor(*p) ** 2) for p in paths]
    return o3.TensorProduct(*irreps, steps, irrep_normalization="none", path_normalization="none")


@pytest.mark.parametrize("top", range(7))
def test_all_back_ends_and_e3nn_agree(top):
    x, y = coefficients(top, 4), coefficients(top, 4)
    expected = GauntProduct(top, backend="dense")(x, y)
    if top <= 4:
        torch.testing.assert_close(e3nn_even_paths(top)(x, y), expected, **TOL)
    for name in [*ROUTES, "auto"]:
        torch.testing.assert_close(GauntProduct(top, backend=name)(x, y), expected, **TOL)


@pytest.mark.parametrize("tops", [(1, 3, 2), (4, 2, 6), (3, 3, 8), (0, 2, 2), (2, 0, 0)])
@pytest.mark.parametrize("backend", ROUTES)
def test_unequal_and_cut_degrees(backend, tops):
    x, y = coefficients(tops[0], 3, 1), coefficients(tops[1], 2)
    z = GauntProduct(*tops, backend=backend)(x, y)
    torch.testing.assert_close(z, torch.einsum("abi,bj,ijk->abk", x.expand(3, 2, -1), y, gaunt(*tops)), **TOL)


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_the_pointwise_product(backend):
    x, y = coefficients(4), coefficients(4)
    r = torch.randn(50, 3)
    values = [spherical_harmonics(t, r) @ c for t, c in ((4, x), (4, y), (8, GauntProduct(4, backend=backend)(x, y)))]
    torch.testing.assert_close(values[2], values[0] * values[1], **TOL)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_constant_function_is_the_identity(backend):
    one = torch.zeros(16)
    one[0] = math.sqrt(4 * math.pi)
    y = coefficients(3)
    torch.testing.assert_close(GauntProduct(3, backend=backend)(one, y), torch.nn.functional.pad(y, (0, 33)), **TOL)


def test_mean_of_a_squared_delta():
    """x = y = Y(r): z_00 = sum_l (2 l + 1) / 4 pi / sqrt(4 pi)."""
    y = spherical_harmonics(5, torch.randn(3))
    z = GauntProduct(5, backend="grid")(y, y)
    assert z[0].item() == pytest.approx(36 / (4 * math.pi) ** 1.5, abs=1e-12)


@pytest.mark.parametrize("proper", [True, False])
@pytest.mark.parametrize("backend", BACKENDS)
def test_equivariance_with_inversion(backend, proper):
    d = wigner_d(8, random_orthogonal(3, 3, proper=proper, dtype=F64))
    x, y = coefficients(4, 3), coefficients(4, 3)
    product = GauntProduct(4, backend=backend)

    def turn(c):
        n = c.shape[-1]
        return torch.einsum("bij,bj->bi", d[:, :n, :n], c)

    torch.testing.assert_close(product(turn(x), turn(y)), turn(product(x, y)), **TOL)


def test_cross_product_cannot_be_produced():
    """Two vectors give a scalar and a symmetric traceless tensor; nothing of degree 1, whatever they are."""
    x, y = coefficients(1, 10), coefficients(1, 10)
    x[:, 0] = y[:, 0] = 0
    z = GauntProduct(1, backend="grid")(x, y)
    torch.testing.assert_close(z[:, 1:4], torch.zeros(10, 3), **TOL)
    assert (gaunt(1, 1, 2)[1:4, 1:4, 1:4] == 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_commutative_and_associative(backend):
    x, y, w = coefficients(2, 5), coefficients(2, 5), coefficients(2, 5)
    pair = GauntProduct(2, backend=backend)
    torch.testing.assert_close(pair(x, y), pair(y, x), **TOL)
    left = GauntProduct(4, 2, backend=backend)(pair(x, y), w)
    torch.testing.assert_close(left, GauntProduct(2, 4, backend=backend)(x, pair(y, w)), **TOL)


@pytest.mark.parametrize("backend", [*BACKENDS, "auto"])
def test_gradients(backend):
    """First and second derivatives."""
    product = GauntProduct(1, 2, 2, backend=backend, weights=True, channels=1)
    x, y = coefficients(1, 1).requires_grad_(), coefficients(2, 1).requires_grad_()
    assert torch.autograd.gradcheck(product, (x, y))
    assert torch.autograd.gradgradcheck(product, (x, y))


def test_path_weights_factorise():
    """Weights per degree of x, y and z are the contraction with G w_l1 w_l2 w_l3, by every back end."""
    x, y = coefficients(2, 3, 2), coefficients(2, 3, 2)
    results = []
    for backend in BACKENDS:
        product = GauntProduct(2, backend=backend, weights=True, channels=2)
        torch.manual_seed(5)
        for p in product.parameters():
            torch.nn.init.normal_(p)
        results.append(product(x, y))
    w1, w2, w3 = (m.weight[:, m.degree] for m in product.weights)
    expected = torch.einsum("bci,bcj,ijk,ci,cj,ck->bck", x, y, gaunt(2, 2, 4), w1, w2, w3)
    for z in results:
        torch.testing.assert_close(z, expected, **TOL)


@pytest.mark.parametrize("dtype, bound", [(torch.bfloat16, 2**-6), (torch.float16, 2**-9), (torch.float32, 1e-5)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_low_precision_error_is_as_stated(backend, dtype, bound):
    for top in (1, 3, 6):
        x, y = coefficients(top, 64).to(dtype), coefficients(top, 64).to(dtype)
        exact = GauntProduct(top, backend="dense")(x.double(), y.double())
        z = GauntProduct(top, backend=backend).to(dtype)(x, y)
        assert z.dtype == dtype
        assert ((z.double() - exact).norm(dim=-1) / exact.norm(dim=-1)).max() < bound


def test_a_cast_module_has_tables_of_full_accuracy():
    torch.set_default_dtype(torch.float32)
    product = GauntProduct(4, backend="fourier")
    x, y = coefficients(4, 3).double(), coefficients(4, 3).double()
    exact = torch.einsum("bi,bj,ijk->bk", x, y, gaunt(4, 4, 8))
    torch.testing.assert_close(product.double()(x, y), exact, **TOL)
    assert not product.state_dict()


@pytest.mark.parametrize("name", [*BACKENDS, "auto"])
def test_it_compiles_to_one_graph(name):
    product = GauntProduct(2, backend=name)
    x, y = coefficients(2, 5), coefficients(2, 5)
    compiled = torch.compile(product, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, y), product(x, y), **TOL)


def test_lebedev_rules_are_exact_to_rounding():
    for degree in [d for d in LEBEDEV if d <= 47]:
        node, weight = half_grid(degree)
        y = spherical_harmonics(min(degree // 2, 24), node)
        even = [i for d in range(0, min(degree // 2, 24) + 1, 2) for i in range(d * d, (d + 1) ** 2)]
        gram = (y[:, even] * weight[:, None]).mT @ y[:, even]
        torch.testing.assert_close(gram, torch.eye(len(even)), rtol=0, atol=1e-11)


@pytest.mark.parametrize("tops", [(2, 2, 2), (3, 1, 3), (1, 3, 4), (4, 2, 1), (2, 4, 0)])
def test_convolution_by_the_polar_axis_is_the_product_with_harmonics(tops):
    top_in, top_filter, _ = tops
    r = torch.cat([torch.randn(5, 3), torch.tensor([[0.0, 2, 0], [0, -1, 0], [1, 0, 0]])])
    x, h = coefficients(top_in, 8, 2), torch.randn(8, 2, top_filter + 1)
    y = (
        torch.stack([h[..., d] for d in range(top_filter + 1) for _ in range(2 * d + 1)], -1)
        * spherical_harmonics(top_filter, r)[:, None]
    )
    expected = torch.einsum("eci,ecj,ijk->eck", x, y, gaunt(*tops))
    for route in ("pole", "direct"):
        torch.testing.assert_close(GauntConvolution(*tops, route=route)(x, r, h), expected, **TOL)


def test_convolution_has_the_gradient_of_the_product_also_on_the_axis():
    r = torch.tensor([[0.0, 2, 0], [0, -1, 0], [0.3, 0.1, 0.7]])
    x = coefficients(2, 3, 1)
    grads = []
    for route in ("pole", "direct"):
        at = r.clone().requires_grad_()
        (GauntConvolution(2, 3, 2, route=route)(x, at) ** 3).sum().backward()
        grads.append(at.grad)
    torch.testing.assert_close(*grads, **TOL)


@pytest.mark.parametrize("route", ["grid", "fourier", "dense"])
@pytest.mark.parametrize("order, top_out", [(1, 2), (3, 1), (4, 2), (5, 3)])
def test_many_body_products_are_powers_of_functions(route, order, top_out):
    powers = GauntPowers(2, order, top_out, channels=2, species=3, route=route)
    x, species = coefficients(2, 4, 2), torch.tensor([0, 2, 1, 2])
    kept = x.clone()
    z = powers(x, species)
    chain, expected = x, torch.zeros_like(z)
    n = (top_out + 1) ** 2
    for nu in range(1, order + 1):
        if nu > 1:
            chain = GauntProduct(2 * (nu - 1), 2, backend="dense")(chain, x)
        low = torch.nn.functional.pad(chain, (0, max(0, n - chain.shape[-1])))[..., :n]
        expected = expected + powers.weight[nu - 1, species][..., powers.degree] * low
    torch.testing.assert_close(z, expected, rtol=0, atol=1e-9)
    assert torch.equal(x, kept)  # the released notebook accumulates into its input


def test_cost_grows_as_counted():
    """Counted products between L = 4 and 8: the dense table 37.5 times, its entries other than zero about 19 times."""
    small, large = gaunt(4, 4, 8), gaunt(8, 8, 16)
    assert large.numel() / small.numel() == pytest.approx((9 / 5) ** 4 * (17 / 9) ** 2)
    assert 17 < (large != 0).sum() / (small != 0).sum() < 21


def test_auto_takes_the_symmetric_grid_where_there_is_enough_to_compute():
    assert set(GauntProduct(6).routes) == {"grid", "sphere"}
    assert choose((6, 6, 12), 1) == "sphere" and choose((6, 6, 12), 1000) == "grid" == choose(
        (6, 6, 12), 1000, backward=True
    )
    assert choose((2, 2, 4), 100_000) == "sphere" == choose((6, 6, 12), 100_000, "cuda")
    x, y = coefficients(6, 300), coefficients(6, 300)
    torch.testing.assert_close(GauntProduct(6)(x, y), GauntProduct(6, backend="grid")(x, y), rtol=0, atol=0)


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: GauntProduct(3)(torch.zeros(2, 9), torch.zeros(2, 16)),
            "x has 9 coefficients .* degrees 0..3 have 16",
        ),
        (lambda: GauntProduct(3)(torch.zeros(2, 16), torch.zeros(2, 15)), "y has 15 coefficients"),
        (lambda: GauntProduct(3)(torch.zeros(2, 16, dtype=torch.int64), torch.zeros(2, 16)), "floating"),
        (lambda: GauntProduct(50), "above the bound 40"),
        (lambda: GauntProduct(30), "top is 60, above the bound"),
        (lambda: GauntProduct(2, backend="fft"), "choose one of auto, dense"),
        (lambda: GauntConvolution(2, 2, route="axis"), "choose one of pole"),
        (lambda: GauntConvolution(2, 2)(torch.zeros(9), torch.zeros(3)), "channels"),
        (lambda: GauntConvolution(2, 2)(torch.zeros(1, 9), torch.zeros(3), torch.zeros(1, 2)), "filter has 3"),
        (lambda: GauntPowers(2, 0), "order is 0"),
        (lambda: GauntPowers(2, 3, channels=4)(torch.zeros(1, 2, 9)), "give"),
    ],
)
def test_bad_input_is_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
