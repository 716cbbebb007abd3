"""Choices of the equivalence study; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option

ARCHITECTURES = ("vit", "gpt", "torch_encoder", "timm_vit", "torchvision_vit")


@dataclass
class Config(MethodConfig):
    """Train a Pre-LN vision transformer, convert it, and measure how far output, gradients and further training depart."""

    form: str = option("rms", "what the Pre-LN transformer becomes: rms or crms (compressed)", choices=("rms", "crms"))
    architectures: list[str] | None = option(
        None,
        "whose equivalence is measured, beside the trained ViT; any of vit, gpt, torch_encoder, timm_vit, torchvision_vit",
    )
    width: int | None = option(None, "entries of the main branch", low=2)
    depth: int | None = option(None, "blocks", low=1)
    heads: int = option(4, "attention heads", low=1)
    patch: int | None = option(None, "side of a patch in pixels", low=1)
    batch: int = option(64, "images per step", low=1)
    lr: float = option(1e-3, "step size of AdamW", low=0.0)
    weight_decay: float = option(0.05, "of AdamW", low=0.0)
    epochs: int | None = option(None, "passes of the Pre-LN network before conversion", low=1)
    steps: int | None = option(None, "training steps of each architecture, original beside converted, float64", low=1)
    more_epochs: int | None = option(
        None, "passes of the trained network after conversion, original beside converted", low=1
    )

    plugin: ClassVar[str] = "models.pre_rmsnorm.plugin:PreRMSNorm"
    accepts: ClassVar[tuple[str, ...]] = ("image",)
    margin: ClassVar[float] = 0.3

    def check(self) -> None:
        for name in self.architectures or []:
            if name not in ARCHITECTURES:
                raise BenchError(f"method.architectures has {name!r}; choose from {', '.join(ARCHITECTURES)}")
        if self.width is not None and self.width % self.heads:
            raise BenchError(
                f"method.width={self.width} is no multiple of method.heads={self.heads}; choose heads that divide it"
            )
