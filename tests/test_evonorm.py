"""EvoNorm-B0 and S0: the equations of arXiv 2004.02967, their limits, symmetries and gradients, float64."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import group_norm, relu

from models.evonorm import EvoNormB0, EvoNormS0, ScaleShift
from models.evonorm.layers import largest_divisor

F64 = torch.float64


def images(n=5, c=12, h=6, w=7, seed=0, shift=0.7):
    return torch.randn(n, c, h, w, dtype=F64, generator=torch.Generator().manual_seed(seed)) + shift


def generic(layer, seed=1):
    """A layer with gamma, beta and v that are nothing special."""
    g = torch.Generator().manual_seed(seed)
    layer = layer.double()
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.rand(p.shape, dtype=F64, generator=g) + 0.5)
    return layer


def set_v(layer, value):
    with torch.no_grad():
        layer.v.fill_(value)
    return layer


def channel(p):
    return p.detach().view(1, -1, 1, 1)


# --- S0


def test_s0_without_gate_and_with_a_hard_gate():
    """v = 0: gamma (x / 2) / s + beta. v -> infinity: gamma relu(x) / s + beta. s from the definition, group by group."""
    x, layer = images(), generic(EvoNormS0(12, groups=4))
    groups = [x[:, i : i + 3] for i in range(0, 12, 3)]
    s = torch.cat(
        [((g - g.mean((1, 2, 3), keepdim=True)) ** 2).mean((1, 2, 3), keepdim=True).expand_as(g) for g in groups], 1
    )
    s = (s + layer.eps).sqrt()
    gamma, beta = channel(layer.weight), channel(layer.bias)
    torch.testing.assert_close(set_v(layer, 0.0)(x), gamma * (x / 2) / s + beta, rtol=0, atol=1e-14)
    torch.testing.assert_close(set_v(layer, 1e6)(x), gamma * relu(x) / s + beta, rtol=0, atol=1e-12)


def test_s0_uses_the_deviation_of_group_norm():
    """(x - mean) / group_norm(x) is the deviation of the group (without eps): S0 = gamma x sigmoid(v x) / it + beta."""
    x, layer = images(), generic(EvoNormS0(12, groups=1, eps=0.0))
    mean = x.mean((1, 2, 3), keepdim=True)
    s = (x - mean) / group_norm(x, 1, eps=0.0)
    expected = channel(layer.weight) * x * torch.sigmoid(channel(layer.v) * x) / s + channel(layer.bias)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-6)


def test_s0_knows_nothing_of_other_samples_nor_of_the_mode():
    x, layer = images(), generic(EvoNormS0(12, groups=4))
    full = layer.train()(x)
    torch.testing.assert_close(layer(x[:1]), full[:1], rtol=0, atol=1e-6)
    assert torch.equal(layer.eval()(x), full)
    assert not list(layer.buffers())


def test_s0_scaling_law():
    """Without eps, x -> a x with v -> v / a changes nothing (and with v kept it does: S0 is not scale-invariant)."""
    x, layer = images(), generic(EvoNormS0(12, groups=3, eps=0.0))
    y = layer(x)
    assert (layer(2.5 * x) - y).abs().max() > 0.1
    with torch.no_grad():
        layer.v /= 2.5
    torch.testing.assert_close(layer(2.5 * x), y, rtol=0, atol=1e-13)


def test_groups_fall_back_to_the_largest_divisor():
    assert [largest_divisor(c, 32) for c in (64, 48, 40, 7, 37, 1)] == [32, 24, 20, 7, 1, 1]
    x = images()
    assert EvoNormS0(12, groups=5).groups == 4
    torch.testing.assert_close(EvoNormS0(12, groups=5).double()(x), EvoNormS0(12, groups=4).double()(x), rtol=0, atol=0)


# --- B0


def test_b0_without_gate_is_batch_norm_without_centring():
    """v = 0 and s2_batch >= s2_instance: y = gamma x / s + beta = BN(x) + gamma mean / s (with beta)."""
    x = images(shift=0.3) + torch.linspace(-3, 3, 5, dtype=F64).view(
        5, 1, 1, 1
    )  # means of samples differ: batch variance is larger
    layer = set_v(generic(EvoNormB0(12)), 0.0)
    mean, s2 = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    assert bool((s2 >= x.var((2, 3), correction=0, keepdim=True)).all())
    bn = torch.nn.BatchNorm2d(12).double()
    with torch.no_grad():
        bn.weight.copy_(layer.weight)
        bn.bias.copy_(layer.bias)
    s = (s2 + layer.eps).sqrt()
    torch.testing.assert_close(layer(x), channel(layer.weight) * x / s + channel(layer.bias), rtol=0, atol=1e-13)
    torch.testing.assert_close(layer(x), bn(x) + channel(layer.weight) * mean / s, rtol=0, atol=1e-12)


def test_b0_saturates_above_and_is_linear_below():
    """For v, gamma > 0: y - beta <= gamma / v, reached as x -> inf; slope gamma / s_batch as x -> -inf (evaluation mode)."""
    layer = generic(EvoNormB0(1)).eval()
    x = torch.linspace(-1e4, 1e4, 4001, dtype=F64)
    plane = torch.randn(1, 1, 30, 30, dtype=F64, generator=torch.Generator().manual_seed(0))
    gamma, beta, v = (p.item() for p in (layer.weight, layer.bias, layer.v))
    y = (
        layer((x.view(-1, 1, 1, 1) + plane).contiguous())[:, 0, 0, 0] - beta
    )  # instance deviations stay near 1, whatever x
    assert y.max().item() <= gamma / v
    assert y[-1].item() == pytest.approx(gamma / v, rel=1e-3)
    slope = (y[1] - y[0]) / (x[1] - x[0])
    s = (1 + layer.eps) ** 0.5
    assert slope.item() == pytest.approx(gamma / s, rel=1e-9)


def test_b0_moving_variance_is_the_biased_average():
    """After k passes over one batch it is 0.9^k + (1 - 0.9^k) s2 with the biased s2; evaluation uses it and keeps it."""
    x, layer = images(), generic(EvoNormB0(12))
    for _ in range(7):
        layer(x)
    s2 = x.var((0, 2, 3), correction=0)
    expected = 0.9**7 + (1 - 0.9**7) * s2
    torch.testing.assert_close(layer.running_var, expected, rtol=0, atol=1e-12)
    layer.eval()(x)
    torch.testing.assert_close(layer.running_var, expected, rtol=0, atol=1e-12)
    left = (expected + layer.eps).sqrt().view(1, -1, 1, 1)
    right = channel(layer.v) * x + (x.var((2, 3), correction=0, keepdim=True) + layer.eps).sqrt()
    y = channel(layer.weight) * x / torch.maximum(left, right) + channel(layer.bias)
    torch.testing.assert_close(layer(x), y, rtol=0, atol=1e-13)


# --- both


def test_affine_only():
    """Without activation: gamma x + beta, no v and no buffer; `zero` starts it at beta."""
    x, layer = images(), generic(ScaleShift(12))
    torch.testing.assert_close(layer(x), channel(layer.weight) * x + channel(layer.bias), rtol=0, atol=0)
    assert {n for n, _ in layer.named_parameters()} == {"weight", "bias"} and not list(layer.buffers())
    assert not ScaleShift(12, zero=True).double()(x).any()


@pytest.mark.parametrize("layer", [EvoNormB0(4), EvoNormS0(4, groups=2)], ids=["b0", "s0"])
def test_gradients(layer):
    """By x, gamma, beta and v against finite differences; the maximum of B0 is away from ties for these values."""
    x, layer = images(3, 4, 3, 3).requires_grad_(), generic(copy.deepcopy(layer))
    if isinstance(layer, EvoNormB0):
        left = (x.var((0, 2, 3), correction=0, keepdim=True) + layer.eps).sqrt()
        right = channel(layer.v) * x + (x.var((2, 3), correction=0, keepdim=True) + layer.eps).sqrt()
        assert float((left - right).abs().min()) > 1e-4
    names = [n for n, _ in layer.named_parameters()]

    def f(x, *params):
        return torch.func.functional_call(layer, dict(zip(names, params, strict=True)), (x,))

    assert torch.autograd.gradcheck(f, (x, *layer.parameters()), eps=1e-6, atol=1e-7)


def test_against_timm():
    """timm's S0 is the same function; its B0 in training, too, up to its float32 statistics."""
    from models.nn.torchvision_ops import cure

    cure()
    from timm.layers import EvoNorm2dB0, EvoNorm2dS0

    x = images().float()
    s0, other = EvoNormS0(12, groups=4), EvoNorm2dS0(12, groups=4)
    torch.testing.assert_close(s0(x), other(x), rtol=1e-5, atol=1e-5)
    b0, other = EvoNormB0(12, eps=1e-3), EvoNorm2dB0(12, eps=1e-3)
    torch.testing.assert_close(b0(x), other(x), rtol=1e-5, atol=1e-5)
    n = x.numel() / 12  # timm keeps the unbiased variance, the released code and we the biased one
    torch.testing.assert_close(b0.running_var - 0.9, (other.running_var - 0.9) * (n - 1) / n, rtol=1e-4, atol=1e-6)


def test_half_precision_keeps_its_type_and_single_statistics():
    x = images(shift=30.0).float()
    for layer in (EvoNormS0(12, groups=4), EvoNormB0(12)):
        y = layer(x.bfloat16())
        assert y.dtype == torch.bfloat16
        torch.testing.assert_close(y.float(), layer(x.bfloat16().float()), rtol=1e-2, atol=1e-2)


def test_bad_input():
    with pytest.raises(ValueError, match=r"takes \(N, 12, H, W\)"):
        EvoNormS0(12)(torch.zeros(2, 11, 3, 3))
    with pytest.raises(ValueError, match=r"takes \(N, 12, H, W\)"):
        EvoNormB0(12)(torch.zeros(2, 12, 3))
    with pytest.raises(ValueError, match="use fewer groups"):
        EvoNormS0(12, groups=12)(torch.zeros(2, 12, 1, 1))
    with pytest.raises(ValueError, match="at least 1"):
        EvoNormS0(12, groups=0)


SHARED = """
import sys, torch, torch.distributed as dist
from models.evonorm import EvoNormB0
rank, place = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=2)
x = torch.randn(7, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
cut = slice(0, 4) if rank == 0 else slice(4, 7)
layer = EvoNormB0(3).double()
y = layer(x[cut])
y.square().sum().backward()
grad = x.grad.clone(); dist.all_reduce(grad)
whole, z = EvoNormB0(3).double(), x.detach().requires_grad_()
out = whole(z); out.square().sum().backward()
assert float((y - out[cut]).detach().abs().max()) < 1e-12
assert float((layer.running_var - whole.running_var).abs().max()) < 1e-12
assert float((grad - z.grad).abs().max()) < 1e-10
dist.barrier(); dist.destroy_process_group()
"""


@pytest.mark.long
def test_b0_in_two_processes_is_b0_of_the_whole_batch(tmp_path):
    """Unequal shares of one batch: outputs, moving variance and gradients are those of one process."""
    root = Path(__file__).resolve().parents[1]
    words = [sys.executable, "-c", SHARED]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    runs = [
        subprocess.Popen([*words, str(r), str(tmp_path / "meet")], cwd=root, env=env, stderr=subprocess.PIPE, text=True)
        for r in range(2)
    ]
    for run in runs:
        assert run.wait(120) == 0, run.stderr.read()


def test_import_without_torch():
    root = Path(__file__).resolve().parents[1]
    code = "import sys, models.evonorm, models.adamp; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
