"""Backbones of timm and torchvision as feature extractors, and embeddings kept by content."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench import cell as cells
from bench import plan
from bench.schema import BenchError, MissingData
from models.nn.pretrained import Backbone, read_state


def bundle(tmp_path, *words):
    base = ["method=softmax", "data=digits_embeddings", "scale=smoke", "fold=0", f"out={tmp_path}", f"cache={tmp_path}"]
    return cells.load(plan.expand([*base, *words])[0])


@pytest.mark.parametrize(
    "name, width",
    [("torchvision/resnet18", 512), ("torchvision/mobilenet_v3_small", 1024), ("timm/vit_tiny_patch16_224", 192)],
)
def test_features_are_what_the_classifier_sees(name, width, tmp_path):
    """The library's own network gives the same features; its state dict, classifier included, is a file of weights."""
    net = Backbone(name, 32).eval()
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert net.features == width and net(x).shape == (2, width)
    torch.save({"state_dict": {f"module.{k}": v for k, v in net.net.state_dict().items()}}, tmp_path / "w.pt")
    again = Backbone(name, 32, weights=str(tmp_path / "w.pt")).eval()
    assert torch.equal(net(x), again(x))


def test_position_embeddings_of_another_size(tmp_path):
    """A transformer of 64 pixels takes the weights of one of 32."""
    torch.save(Backbone("timm/vit_tiny_patch16_224", 32).net.state_dict(), tmp_path / "w.pt")
    net = Backbone("timm/vit_tiny_patch16_224", 64, weights=str(tmp_path / "w.pt")).eval()
    assert net(torch.randn(1, 3, 64, 64)).shape == (1, 192)


def test_frozen_blocks():
    """The last block alone is trained, as in GCD."""
    net = Backbone("timm/vit_tiny_patch16_224", 32)
    net.freeze(1)
    trained = {n for n, p in net.named_parameters() if p.requires_grad}
    assert trained and all(n.startswith("net.blocks.11.") for n in trained)
    with pytest.raises(BenchError, match="has 12 blocks"):
        net.freeze(13)
    with pytest.raises(BenchError, match="has 0 blocks"):
        Backbone("torchvision/resnet18", 32).freeze(1)


def test_bad_weights(tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(
        ValueError, match=r"does not fit the network: .* missing .* unknown .*; choose the backbone it was made with"
    ):
        Backbone("torchvision/resnet18", 32, weights=str(tmp_path / "other.pt"))
    torch.save(Backbone("torchvision/resnet18", 32).net.state_dict(), tmp_path / "r18.pt")
    with pytest.raises(ValueError, match="does not fit the network"):
        Backbone("torchvision/resnet34", 32, weights=str(tmp_path / "r18.pt"))
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(BenchError, match="cannot be read as tensors"):
        read_state(str(tmp_path / "text.pt"))
    with pytest.raises(BenchError, match="is no file"):
        read_state(str(tmp_path / "none.pt"))
    for name in ("resnet18", "torchvision/none", "timm/none_at_all"):
        with pytest.raises(BenchError, match="backbone"):
            Backbone(name, 32)
    with pytest.raises(BenchError, match="3 channels"):
        Backbone("torchvision/resnet18", 32, 1)


def test_kept_by_content(tmp_path, monkeypatch):
    """Read from the cache the second time; made anew when damaged, and for other weights; folds share one file."""
    from datasets.image_embeddings import adapter

    made = []
    compute = adapter._compute
    monkeypatch.setattr(adapter, "_compute", lambda *a: made.append(1) or compute(*a))
    first = bundle(tmp_path, "data.source=synthetic")
    cells._bundles.clear()
    again = bundle(tmp_path, "data.source=synthetic", "fold=1")
    assert len(made) == 1 and first.shape == (512,) and first.fingerprint != again.fingerprint
    (kept,) = (tmp_path / "embeddings").glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:-100])
    cells._bundles.clear()
    assert np.array_equal(bundle(tmp_path, "data.source=synthetic").train.x, first.train.x) and len(made) == 2
    state = Backbone("torchvision/resnet18", 32).net.state_dict()
    torch.save(state, tmp_path / "w.pt")
    real = bundle(
        tmp_path, "data.source=real", f"data.weights={tmp_path / 'w.pt'}", "data.n_train=20", "data.n_test=10"
    )
    assert len(made) == 3 and real.origin == "real" and real.train.x.dtype == np.float32


def test_bad_words(tmp_path):
    for words, match in (
        (["data.backbone=resnet18"], "must be torchvision/<model>"),
        (["data.augment=shift"], "has no use for embeddings"),
    ):
        with pytest.raises(BenchError, match=match):
            bundle(tmp_path, *words)
    with pytest.raises(BenchError, match="is no file"):
        bundle(tmp_path, "data.source=real", "data.weights=none.pt")


def test_download_offline(monkeypatch):
    """Without a network the sentence names the remedy."""
    from torchvision import models

    def fails(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(models, "get_model", fails)
    with pytest.raises(MissingData, match=r"could not be downloaded .* give a local file instead"):
        Backbone("torchvision/resnet18", 32, weights="download")
