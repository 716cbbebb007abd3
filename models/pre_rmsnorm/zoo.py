"""Small Pre-LN transformers of several libraries on images, each with the loss that it is trained by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy

from models.nn.transformer import GPT, ViT

LEVELS, SIDE = 17, 8  # grey levels and side of the images that the language model reads


@dataclass
class Case:
    """`inputs(x)` makes the model's input from images (N, C, H, W) in [0, 1]; `loss(scores, x, y)` is its training loss."""

    model: nn.Module
    inputs: Callable[[Tensor], Tensor]
    loss: Callable[[Tensor, Tensor, Tensor], Tensor]


class EncoderClassifier(nn.Module):
    """Rows of patches through torch's own TransformerEncoder(norm_first=True): images -> scores, mean over tokens."""

    def __init__(self, shape: tuple[int, ...], n_out: int, patch: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.patch = patch
        self.embed = nn.Linear(shape[0] * patch * patch, width)
        self.position = nn.Parameter(0.02 * torch.randn(1, (shape[1] // patch) * (shape[2] // patch), width))
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, n_out)

    def forward(self, x: Tensor) -> Tensor:
        patches = nn.functional.unfold(x, self.patch, stride=self.patch).transpose(1, 2)
        return self.head(self.encoder(self.embed(patches) + self.position).mean(1))


def tokens(x: Tensor) -> Tensor:
    """Images (N, C, H, W) -> grey levels 0..16 of an 8 x 8 version (N, 64), row by row."""
    return (adaptive_avg_pool2d(x.mean(1, keepdim=True), SIDE).clamp(0, 1) * (LEVELS - 1)).round().long().flatten(1)


def case(name: str, shape: tuple[int, ...], n_out: int, *, patch: int, width: int, depth: int, heads: int) -> Case:
    """A freshly initialised model. Raises ValueError where patch does not divide the image."""
    if shape[1] != shape[2] or shape[1] % patch:
        raise ValueError(
            f"images of {shape[1]} x {shape[2]} cannot be cut into patches of {patch}; change method.patch"
        )
    sizes = {"width": width, "depth": depth, "heads": heads}

    def classify(scores: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(scores, y)

    if name == "vit":
        return Case(ViT(shape[1], patch, shape[0], n_out, **sizes), _same, classify)
    if name == "gpt":
        gpt = GPT(LEVELS, SIDE * SIDE, **sizes)
        return Case(
            gpt,
            lambda x: tokens(x)[:, :-1],
            lambda scores, x, y: cross_entropy(scores.flatten(0, 1), tokens(x)[:, 1:].flatten()),
        )
    if name == "torch_encoder":
        return Case(EncoderClassifier(shape, n_out, patch, **sizes), _same, classify)
    from models.nn.torchvision_ops import cure

    cure()  # timm imports torchvision
    if name == "timm_vit":
        from timm.models.vision_transformer import VisionTransformer

        vit = VisionTransformer(
            img_size=shape[1],
            patch_size=patch,
            in_chans=shape[0],
            num_classes=n_out,
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            init_values=0.1,  # with LayerScale, whose factors would move the mean
        )
        return Case(vit, _same, classify)
    from torchvision.models.vision_transformer import VisionTransformer as TorchvisionViT

    return Case(
        TorchvisionViT(shape[1], patch, depth, heads, width, 4 * width, num_classes=n_out),
        lambda x: x.mean(1, keepdim=True).expand(-1, 3, -1, -1),
        classify,
    )


def _same(x: Tensor) -> Tensor:
    return x
