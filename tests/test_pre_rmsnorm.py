"""Pre-RMSNorm and Pre-CRMSNorm: the identities of arXiv 2305.14858 and a lossless conversion of every architecture named."""

from __future__ import annotations

import copy
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, layer_norm

from bench.schema import BenchError
from models.nn.torchvision_ops import cure
from models.nn.transformer import GPT, Block, ViT
from models.pre_rmsnorm import (
    CRMSNorm,
    RMSNorm,
    norms,
    pre_crmsnorm_block,
    pre_ln_block,
    pre_rmsnorm_block,
    to_pre_crmsnorm,
    to_pre_rmsnorm,
)
from models.pre_rmsnorm.config import Config
from models.pre_rmsnorm.convert import Converter
from models.pre_rmsnorm.encoder import Encoder
from models.pre_rmsnorm.equivalence import compare, main_branch_mean, paired, relative_gap, train_beside
from models.pre_rmsnorm.linear import Reader, TableWriter, Writer
from models.pre_rmsnorm.norms import Expand, rms_norm
from models.pre_rmsnorm.zoo import Case, EncoderClassifier, case

F64 = torch.float64
CONVERTERS = {"rms": to_pre_rmsnorm, "crms": to_pre_crmsnorm}
SIZES = {"width": 32, "depth": 2, "heads": 4}
TIMM = {"img_size": 8, "patch_size": 2, "in_chans": 1, "num_classes": 5, "embed_dim": 32, "depth": 2, "num_heads": 4}


def timm_vit(**options) -> nn.Module:
    cure()
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(**(TIMM | options))


def torchvision_vit(**options) -> nn.Module:
    cure()
    from torchvision.models.vision_transformer import VisionTransformer

    return VisionTransformer(8, 2, 2, 4, 32, 64, num_classes=5, **options)


def torch_encoder(dropout: float = 0.0, **options) -> nn.Module:
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout, norm_first=True, **options)
    last = nn.LayerNorm(32, bias=options.get("bias", True))
    return nn.TransformerEncoder(layer, 2, last, enable_nested_tensor=False)


def images(n: int = 3, channels: int = 1) -> torch.Tensor:
    return torch.randn(n, channels, 8, 8, dtype=F64, generator=torch.Generator().manual_seed(3))


def sequence(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(3))


ARCHITECTURES = {
    "vit": (lambda: ViT(8, 2, 1, 5, **SIZES), images),
    "vit, mean pool, layer scale": (lambda: ViT(8, 2, 1, 5, pool="mean", layer_scale=0.2, **SIZES), images),
    "vit, dropout": (lambda: ViT(8, 2, 1, 5, dropout=0.2, layer_scale=0.2, **SIZES), images),
    "gpt": (lambda: GPT(17, 12, **SIZES), lambda: torch.arange(24).view(2, 12) % 17),
    "gpt, no bias, dropout": (
        lambda: GPT(17, 12, bias=False, dropout=0.1, **SIZES),
        lambda: torch.arange(24).view(2, 12) % 17,
    ),
    "torch": (lambda: torch_encoder(batch_first=True), lambda: sequence(3, 7, 32)),
    "torch, time first, dropout": (lambda: torch_encoder(0.2), lambda: sequence(7, 3, 32)),
    "torch, batch first, dropout": (lambda: torch_encoder(0.2, batch_first=True), lambda: sequence(3, 7, 32)),
    "torch, no bias": (lambda: torch_encoder(batch_first=True, bias=False), lambda: sequence(3, 7, 32)),
    "torch, inside a model": (lambda: EncoderClassifier((1, 8, 8), 5, 2, 32, 2, 4), images),
    "timm": (timm_vit, images),
    "timm, layer scale, stochastic depth": (lambda: timm_vit(init_values=0.2, drop_path_rate=0.3), images),
    "timm, average pool": (lambda: timm_vit(global_pool="avg", class_token=False), images),
    "timm, registers, dropout": (lambda: timm_vit(reg_tokens=2, proj_drop_rate=0.2, pos_drop_rate=0.1), images),
    "timm, norm before blocks": (lambda: timm_vit(pre_norm=True, final_norm=True, drop_rate=0.1), images),
    "timm, features": (lambda: timm_vit(num_classes=0, qk_norm=True, no_embed_class=True), images),
    "torchvision": (lambda: torchvision_vit(dropout=0.1, attention_dropout=0.1), lambda: images(3, 3)),
}


def random_model(name: str) -> tuple[nn.Module, torch.Tensor]:
    """Every parameter moved at random, so that scales, offsets and writers' means are generic; float64."""
    make, data = ARCHITECTURES[name]
    torch.manual_seed(0)
    model = make().double()
    with torch.no_grad():
        for p in model.parameters():
            p += 0.2 * torch.randn_like(p)
    return model, data()


# --- the identities
# ------------------------------------------------------------------------------------------------------


def test_rms_equals_ln_exactly_where_the_mean_is_zero():
    x = sequence(50, 9) + 3
    ln = layer_norm(x, (9,), eps=1e-5)
    centred = x - x.mean(-1, keepdim=True)
    assert float((RMSNorm(9)(centred) - ln).abs().max()) < 1e-12
    assert float((RMSNorm(9)(x) - ln).abs().max()) > 0.1
    assert float((RMSNorm(9)(x) - nn.functional.rms_norm(x, (9,), None, 1e-5)).abs().max()) < 1e-12


def test_crms_is_rms_without_the_last_entry():
    x = sequence(50, 9)
    x = x - x.mean(-1, keepdim=True)
    assert float((CRMSNorm(8)(x[:, :-1]) - RMSNorm(9)(x)[:, :-1]).abs().max()) < 1e-12
    assert float((Expand()(x[:, :-1]) - x).abs().max()) < 1e-12


@pytest.mark.parametrize("norm", [RMSNorm, CRMSNorm])
def test_norm_gradient_and_half_precision(norm):
    x = sequence(4, 6).requires_grad_()
    assert torch.autograd.gradcheck(norm(6), x)
    big = (300 * torch.ones(1, 6)).to(torch.float16)  # squares overflow float16
    assert torch.isfinite(norm(6)(big)).all() and norm(6)(big).dtype == torch.float16
    zero = torch.zeros(1, 6, dtype=F64, requires_grad=True)
    norm(6)(zero).sum().backward()
    assert torch.isfinite(zero.grad).all()
    with pytest.raises(ValueError, match="5 entries"):
        norm(6)(torch.zeros(2, 5))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_fused_kernel_is_the_same_norm(dtype, monkeypatch):
    """What a GPU takes: value and gradient within rounding of the plain computation, the dtype kept."""
    x = torch.randn(5, 7, generator=torch.Generator().manual_seed(0), dtype=F64).to(dtype).requires_grad_()
    results = []
    for choice in (False, True):
        monkeypatch.setattr(norms, "fused", lambda x, choice=choice: choice)
        y = RMSNorm(7, 1e-3)(x)
        assert y.dtype == dtype
        results.append((y.detach(), torch.autograd.grad(y.square().sum() + y[0].sum(), x)[0]))
    for a, b in zip(*results, strict=True):
        assert float((a - b).abs().max()) < (1e-12 if dtype == F64 else 4e-3)


# --- conversion
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", CONVERTERS)
@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_output_and_gradient_are_the_originals(name, form, training):
    """Outputs within 1e-10 and gradients in every original parameter within 1e-8, dropout of one random stream included."""
    model, x = random_model(name)
    model.train(training)
    converted = CONVERTERS[form](model)
    assert converted.training == training
    results = []
    for m in (model, converted):
        torch.manual_seed(5)
        results.append(m(x))
    a, b = results
    assert float((a - b).detach().abs().max()) < 1e-10
    weight = torch.linspace(-1, 1, a.numel(), dtype=F64).view(a.shape)
    pairs = paired(model, converted)
    assert len(pairs) == len(list(model.parameters()))
    ga = torch.autograd.grad((a * weight).sum(), [p for p, _ in pairs], allow_unused=True)
    gb = torch.autograd.grad((b * weight).sum(), [q for _, q in pairs], allow_unused=True)
    for u, v in zip(ga, gb, strict=True):
        assert (u is None) == (v is None)
        assert u is None or float((u - v).abs().max()) < 1e-8
    if not training:
        deployed = CONVERTERS[form](model, deploy=True)
        assert not any(isinstance(m, (Writer, TableWriter, Reader)) for m in deployed.modules())
        assert float((deployed(x) - a).detach().abs().max()) < 1e-10


@pytest.mark.parametrize("form", CONVERTERS)
def test_masks_of_the_encoder(form):
    """Causal, boolean, per-head and padding masks, one unbatched sequence."""
    model, x = random_model("torch")
    converted = CONVERTERS[form](model)
    causal = nn.Transformer.generate_square_subsequent_mask(7, dtype=F64)
    padding = torch.zeros(3, 7, dtype=torch.bool)
    padding[1, 5:] = True
    heads = torch.rand(12, 7, 7, generator=torch.Generator().manual_seed(0)) < 0.2
    heads &= ~torch.eye(7, dtype=torch.bool)
    model.train()  # without dropout the same, and never torch's fused path
    for options in (
        {"mask": causal, "is_causal": True},
        {"mask": causal < 0},
        {"mask": heads},
        {"src_key_padding_mask": padding},
        {"mask": causal < 0, "src_key_padding_mask": padding},
    ):
        assert float((model(x, **options) - converted(x, **options)).detach().abs().max()) < 1e-10
    assert float((model(x[0]) - converted(x[0])).detach().abs().max()) < 1e-10
    assert isinstance(converted, Encoder)


@pytest.mark.parametrize("form", CONVERTERS)
def test_single_precision(form):
    model, x = random_model("timm")
    a, b = model(x), CONVERTERS[form](model.float(), deploy=True)(x.float())
    assert float((a - b).detach().abs().max() / a.detach().abs().max()) < 1e-4


def test_original_is_not_changed():
    model, x = random_model("vit")
    before, out = copy.deepcopy(model.state_dict()), model(x)
    to_pre_crmsnorm(model)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items()) and torch.equal(model(x), out)


def test_main_branch_has_mean_zero_after_every_block():
    model, x = random_model("vit, mean pool, layer scale")
    converted = to_pre_rmsnorm(model)
    assert main_branch_mean(converted, converted.blocks, x) < 1e-12 < main_branch_mean(model, model.blocks, x)


def test_forgetting_a_writer_shows():
    """Negative control: RMS without recentring, or with the position embedding forgotten, departs by more than 1e-2."""
    model, x = random_model("vit")
    expected = model(x)
    none, position = copy.deepcopy(model), copy.deepcopy(model)
    kept = Converter._parameter, Converter._branch
    try:
        Converter._parameter = lambda self, owner, name: None
        wrong = to_pre_rmsnorm(position)
        assert float((wrong(x) - expected).detach().abs().max()) > 1e-2
        Converter._branch = lambda self, *places: None
        assert float((to_pre_rmsnorm(none)(x) - expected).detach().abs().max()) > 1e-2
    finally:
        Converter._parameter, Converter._branch = kept
    assert float((to_pre_rmsnorm(model)(x) - expected).detach().abs().max()) < 1e-10


def test_parameter_count_of_the_compressed_form():
    """d - 1 on the main branch: writers lose a row (and bias entry), readers a column, the norms' parameters are folded."""
    d, tokens, depth = 32, 17, 2
    model = ViT(8, 2, 1, 5, width=d, depth=depth, heads=4)
    count = [sum(p.numel() for p in m.parameters()) for m in (model, to_pre_crmsnorm(model, deploy=True))]
    norms = (2 * depth + 1) * 2 * d
    embedding = (4 + 1) + 1 + tokens  # a row of the patch map with its bias, class token, positions
    block = (d + 1) + (4 * d + 1) + 3 * d + 4 * d  # rows of proj and fc2, columns of qkv and fc1
    assert count[0] - count[1] == norms + embedding + depth * block + 5
    rms = sum(p.numel() for p in to_pre_rmsnorm(model, deploy=True).parameters())
    assert count[0] - rms == norms


# --- training
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", CONVERTERS)
@pytest.mark.parametrize(("optimiser", "lr"), [("sgd", 0.1), ("adam", 1e-3), ("adamw", 1e-3)])
def test_training_follows_the_original(form, optimiser, lr):
    """20 steps: losses within 1e-10 relative, recentred weights within 1e-8; the model with plain RMS does not follow."""
    torch.manual_seed(0)
    made = case("vit", (1, 8, 8), 5, patch=4, **SIZES)
    made.model.double()
    x, y = images(16), torch.arange(16) % 5
    start = copy.deepcopy(made.model)
    converted = CONVERTERS[form](made.model)
    losses = train_beside(made, converted, [(x, y)] * 20, lr=lr, weight_decay=0.05, optimiser=optimiser)
    assert relative_gap(losses) < 1e-10 and float(losses[-1, 0]) < float(losses[0, 0])
    for p, q in paired(made.model, converted):
        gap = (p - q).detach()
        assert float((gap - gap.mean(0, keepdim=True)).abs().max()) < 1e-8
    plain = copy.deepcopy(start)
    for b in plain.blocks:
        b.norm1, b.norm2 = RMSNorm(32), RMSNorm(32)
    plain.norm = RMSNorm(32)
    other = Case(start, made.inputs, made.loss)
    plain.original_names = {n: n for n, _ in plain.named_parameters()}
    assert relative_gap(train_beside(other, plain, [(x, y)] * 20, lr=lr, weight_decay=0.05, optimiser=optimiser)) > 1e-4


@pytest.mark.parametrize("form", CONVERTERS)
@pytest.mark.long
def test_timm_vit_small(form):
    """The real ViT-S/16 at 224 x 224, float64, output and gradient of one image."""
    cure()
    import timm

    torch.manual_seed(0)
    model = timm.create_model("vit_small_patch16_224").double().eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p += 0.1 * torch.randn_like(p)
    x = torch.randn(1, 3, 224, 224, dtype=F64)
    made = Case(model, lambda x: x, lambda scores, x, y: cross_entropy(scores, y))
    output, gradient = compare(made, CONVERTERS[form](model), x, torch.tensor([3]))
    assert output < 1e-10 and gradient < 1e-8


# --- modules
# ------------------------------------------------------------------------------------------------------


def test_blocks_by_name():
    """The three blocks: equal widths inside the branches, d or d - 1 outside."""
    x = sequence(2, 5, 32)
    a, b, c = pre_ln_block(32, 4).double(), pre_rmsnorm_block(32, 4).double(), pre_crmsnorm_block(32, 4).double()
    assert a(x).shape == b(x).shape == (2, 5, 32) and c(x[..., :-1]).shape == (2, 5, 31)
    assert c.attn.qkv.out_features == 96 and c.mlp.fc1.out_features == 128
    assert isinstance(a, Block) and rms_norm(x, 1e-5).shape == x.shape
    with pytest.raises(ValueError, match="heads"):
        pre_crmsnorm_block(33, 4)


def test_own_block_is_the_block_of_torch():
    """The same weights in torch's TransformerEncoderLayer give the same output."""
    torch.manual_seed(0)
    theirs = nn.TransformerEncoderLayer(32, 4, 64, 0.0, "gelu", batch_first=True, norm_first=True).double()
    own = Block(32, 4, hidden=64).double()
    state = theirs.state_dict()
    names = {
        "norm1": "norm1",
        "norm2": "norm2",
        "attn.proj": "self_attn.out_proj",
        "mlp.fc1": "linear1",
        "mlp.fc2": "linear2",
    }
    mapped = {f"{o}.{k}": state[f"{t}.{k}"] for o, t in names.items() for k in ("weight", "bias")}
    mapped |= {f"attn.qkv.{k}": state[f"self_attn.in_proj_{k}"] for k in ("weight", "bias")}
    own.load_state_dict(mapped)
    x = sequence(2, 5, 32)
    assert float((own(x) - theirs(x)).detach().abs().max()) < 1e-12
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    assert float((own(x, mask) - theirs(x, src_mask=~mask)).detach().abs().max()) < 1e-12


def test_gpt_is_causal():
    model = GPT(17, 12, **SIZES).eval()
    x = torch.arange(12)[None] % 17
    changed = x.clone()
    changed[0, 8] = 3
    assert torch.equal(model(x)[:, :8], model(changed)[:, :8]) and not torch.equal(
        model(x)[:, 8:], model(changed)[:, 8:]
    )
    with pytest.raises(ValueError, match="context"):
        model(torch.zeros(1, 13, dtype=torch.long))


# --- mistakes
# ------------------------------------------------------------------------------------------------------


def tied() -> nn.Module:
    model = GPT(17, 12, **SIZES)
    model.head.weight = model.token.weight
    return model


def frozen() -> nn.Module:
    model = ViT(8, 2, 1, 5, **SIZES)
    model.position.requires_grad_(False)
    return model


def broken() -> nn.Module:
    model = ViT(8, 2, 1, 5, **SIZES)
    nn.init.constant_(model.head.weight, float("nan"))
    return model


def stack(norm_first: bool, last: nn.Module | None) -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 8, norm_first=norm_first)
    return nn.TransformerEncoder(layer, 1, last, enable_nested_tensor=False)


def shared_block() -> nn.Module:
    model = ViT(8, 2, 1, 5, **SIZES)
    model.blocks[1] = model.blocks[0]
    return model


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: nn.Linear(3, 3), "no Pre-LN"),
        (lambda: nn.TransformerEncoderLayer(8, 2, 8), "post-LN"),
        (lambda: nn.TransformerEncoderLayer(8, 2, 8, norm_first=True), "recentred_output"),
        (lambda: stack(False, nn.LayerNorm(8)), "post-LN"),
        (lambda: stack(True, None), "no last norm"),
        (lambda: timm_vit(block_fn=_post_block()), "Pre-LN Block"),
        (lambda: timm_vit(norm_layer=nn.RMSNorm), "LayerNorm"),
        (lambda: ViT(8, 2, 1, 5, norm=RMSNorm, **SIZES), "LayerNorm"),
        (tied, "untie"),
        (shared_block, "untie"),
        (frozen, "position is frozen"),
        (broken, r"head\.weight"),
    ],
)
def test_models_without_an_equivalent_are_refused(make, word):
    for convert in CONVERTERS.values():
        with pytest.raises(ValueError, match=word):
            convert(make())


def _post_block() -> type[nn.Module]:
    cure()
    from timm.models.vision_transformer import ResPostBlock

    return ResPostBlock


@pytest.mark.parametrize("form", CONVERTERS)
def test_encoder_layer_without_a_last_norm_on_request(form):
    """A lone TransformerEncoderLayer(norm_first=True): the converted output is the original's minus its mean."""
    layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, norm_first=True).double()
    x = sequence(2, 5, 32)
    expected = layer(x)
    out = CONVERTERS[form](layer, recentred_output=True)(x)
    assert float((out - (expected - expected.mean(-1, keepdim=True))).detach().abs().max()) < 1e-10


def test_choices_and_sizes_are_named():
    with pytest.raises(BenchError, match="timm_vit"):
        Config(architectures=["vitt"]).check()
    with pytest.raises(BenchError, match="heads"):
        Config(width=30).check()
    for call in (lambda: ViT(9, 2, 1, 5), lambda: case("vit", (1, 9, 9), 5, patch=2, **SIZES)):
        with pytest.raises(ValueError, match="patch"):
            call()
    with pytest.raises(ValueError, match="token or mean"):
        ViT(8, 2, 1, 5, pool="max")


def test_timm_beside_our_package_of_data_sets():
    """timm would import Hugging Face `datasets`, a name that this project has too: it must do without, from our root."""
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    root = Path(__file__).resolve().parent.parent
    program = """
import datasets, datasets.files
from models.nn.torchvision_ops import cure
cure()
import timm, timm.data.readers.reader_factory
assert timm.create_model("vit_tiny_patch16_224").num_features == 192
import datasets as ours, sys
assert ours.__file__.startswith(sys.argv[1]), ours.__file__
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(root)], cwd=root, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_package_imports_nothing_heavy():
    program = "import sys, models.pre_rmsnorm, models.mip, models.pre_rmsnorm.config, models.mip.config; sys.exit('torch' in sys.modules)"
    root = Path(__file__).resolve().parent.parent
    assert subprocess.run([sys.executable, "-c", program], cwd=root).returncode == 0
