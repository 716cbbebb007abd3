"""Backbones of timm and torchvision without their classifiers, with weights from a local file or a download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.schema import BenchError, MissingData
from models.nn.convnets import load_weights
from models.nn.torchvision_ops import cure


class Backbone(nn.Module):
    """Images (N, C, H, W), normalised -> features (N, `features`); `net` is the library's network, its classifier taken off.

    Parameters
    ----------
    name : `timm/<model>` or `torchvision/<model>`, e.g. timm/vit_base_patch16_224.dino, torchvision/resnet50
    size, channels : of the images; transformers of timm are built for this size
    weights : None (random), "download" (what the library offers), or a file with a state dict (tensors only, nothing is executed)
    label : the option that weights come from, for error messages
    """

    def __init__(
        self, name: str, size: int, channels: int = 3, weights: str | None = None, label: str = "weights"
    ) -> None:
        super().__init__()
        library, _, model = name.partition("/")
        if library not in ("timm", "torchvision") or not model:
            raise BenchError(f"backbone={name} must be timm/<model> or torchvision/<model>, e.g. torchvision/resnet50")
        cure()
        make = _timm if library == "timm" else _torchvision
        self.net, self.features, dropped = make(model, size, channels, weights == "download")
        if weights not in (None, "download"):
            state = read_state(str(weights), label)
            load_weights(self.net, _fitted(state, self.net), f"{label}={weights}", dropped)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def freeze(self, last: int | None) -> None:
        """Train the last blocks of a transformer alone, as GCD does; None: everything."""
        if last is None:
            return
        blocks: Any = getattr(self.net, "blocks", None)
        if blocks is None or last > len(blocks):
            raise BenchError(
                f"tuned_blocks={last}: this backbone has {0 if blocks is None else len(blocks)} blocks; lower it or set null"
            )
        self.requires_grad_(False)
        blocks[len(blocks) - last :].requires_grad_(True)


def _timm(model: str, size: int, channels: int, download: bool) -> tuple[nn.Module, int, tuple[str, ...]]:
    import timm

    if not timm.is_model(model.partition(".")[0]):
        near = ", ".join(timm.list_models(f"*{model.partition('.')[0][:8]}*")[:3])
        raise BenchError(f"backbone: timm has no model {model}" + (f"; near it are {near}" if near else ""))
    options: dict[str, Any] = {"num_classes": 0, "in_chans": channels}
    if "img_size" in _arguments(timm, model):
        options["img_size"] = size
    try:
        net = timm.create_model(model, pretrained=download, **options)
    except Exception as error:
        if not download:
            raise
        raise _offline(model, error) from None
    return net, net.num_features, ("head.", "head_dist.", "fc.", "classifier.", "mask_token")


def _arguments(timm: Any, model: str) -> tuple[str, ...]:
    """Whether a transformer takes the size of the image: its family's modules do."""
    module = timm.models.model_entrypoint(model.partition(".")[0]).__module__.rpartition(".")[2]
    sized = ("vision_transformer", "deit", "swin_transformer", "swin_transformer_v2", "eva", "beit", "cait", "xcit")
    return ("img_size",) if module in sized else ()


def _torchvision(model: str, size: int, channels: int, download: bool) -> tuple[nn.Module, int, tuple[str, ...]]:
    from torchvision import models

    if model not in models.list_models():
        raise BenchError(f"backbone: torchvision has no model {model}; see torchvision.models.list_models()")
    if channels != 3:
        raise BenchError(
            f"torchvision/{model} takes images of 3 channels and these have {channels}; set data.channels=3"
        )
    try:
        net = models.get_model(model, weights="DEFAULT" if download else None)
    except Exception as error:
        if not download:
            raise
        raise _offline(model, error) from None
    last = [n for n, m in net.named_modules() if isinstance(m, nn.Linear)][-1]  # the classifier
    parent, _, leaf = last.rpartition(".")
    owner: Any = net.get_submodule(parent)
    width = net.get_submodule(last).in_features
    setattr(owner, leaf, nn.Identity())
    return net, int(width), (f"{last}.",)  # type: ignore[arg-type]


def _offline(model: str, error: Exception) -> MissingData:
    return MissingData(
        f"the weights of {model} could not be downloaded ({type(error).__name__}); give a local file instead"
    )


def read_state(path: str, label: str = "weights") -> dict[str, Tensor]:
    """A state dict of a local file: tensors only, nothing in the file is executed. Wrappers such as {"model": ...} are opened."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise BenchError(f"{label}={path} is no file; name a state dict written by torch.save")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise BenchError(
            f"{label}={path} cannot be read as tensors ({type(error).__name__}); it is damaged, or it holds objects, which are "
            "not loaded: save the state dict alone"
        ) from None
    for wrapper in ("state_dict", "model", "teacher"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise BenchError(f"{label}={path} holds no state dict of tensors; save the one of the backbone")
    return {k.removeprefix("module.").removeprefix("backbone."): v for k, v in state.items()}


def _fitted(state: dict[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """Position embeddings of another image size are resampled to that of the network."""
    own = getattr(net, "pos_embed", None)
    found = state.get("pos_embed")
    if own is None or found is None or found.dim() != 3 or found.shape[2] != own.shape[2] or found.shape == own.shape:
        return state
    from timm.layers import resample_abs_pos_embed

    grid = list(net.patch_embed.grid_size)  # type: ignore[union-attr,arg-type]
    return state | {"pos_embed": resample_abs_pos_embed(found, new_size=grid, num_prefix_tokens=net.num_prefix_tokens)}  # type: ignore[arg-type]
