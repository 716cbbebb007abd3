"""Images, through a network, to a Bundle of kind "embedding"."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from bench.schema import ORIGIN, Arrays, BenchError, Bundle, fingerprint
from datasets import files
from datasets.image_embeddings.config import Config
from datasets.images.adapter import Pool, fetch, gather, normalisation, split

__all__ = ["fetch", "load"]

VERSION = 1  # of the computation: raise it when the same request gives other vectors


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`x` (n, d) float32 and labels `y`, split as `datasets.images` splits the images."""
    number = config.fold_number(fold)
    pool = gather(config, source, Path(root), Path(cache))
    weights = config.weights if source == "real" else None
    x = embeddings(pool, config, weights, Path(cache))
    parts = split(pool, config, number)
    train, val, test = (Arrays(x[rows], pool.y[rows]) for rows in parts)
    made = f"{config.backbone}, weights {'random' if weights is None else Path(weights).name}"
    return Bundle(
        kind=config.kind,
        train=train,
        val=val if len(val) else None,
        test=test,
        n_out=len(pool.names),
        shape=(x.shape[1],),
        group=fold,
        origin=ORIGIN[source],
        fingerprint=fingerprint(x, pool.y, *parts),
        card=pool.card(config) | {"embedding": made},
        meta={"class_names": list(pool.names)},
    )


def embeddings(pool: Pool, config: Config, weights: str | None, cache: Path) -> np.ndarray:
    """(n, d) float32 for all images of a pool. The file in the cache is named by a digest of images, network, weights and recipe, and
    holds a digest of its vectors: one that is cut off or altered is made anew."""
    request = json.dumps(
        [VERSION, pool.digest, config.backbone, _identity(weights), config.image_size, config.normalise]
    )
    path = cache / "embeddings" / f"{hashlib.sha256(request.encode()).hexdigest()[:24]}.npz"
    if (found := _read(path, request)) is not None:
        return found
    x = _compute(pool, config, weights)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        with part.open("wb") as handle:
            np.savez(handle, x=x, request=np.array(request), digest=np.array(fingerprint(x)))
        os.replace(part, path)
    except OSError:
        pass  # a read-only cache costs time, not the run
    return x


def _identity(weights: str | None) -> str:
    """What weights are: the digest of a local file, the library's version for a download."""
    if weights is None:
        return "random"
    if weights == "download":
        from importlib.metadata import version

        return f"download timm {version('timm')} torchvision {version('torchvision')}"
    path = Path(weights).expanduser()
    if not path.is_file():
        raise BenchError(f"data.weights={weights} is no file; name a state dict written by torch.save, or `download`")
    return files.sha256(path)


def _read(path: Path, request: str) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as content:
            x = content["x"]
            if str(content["request"]) == request and str(content["digest"]) == fingerprint(x):
                return x
    except Exception:  # whatever is wrong with the file, the remedy is the same
        pass
    return None


def _compute(pool: Pool, config: Config, weights: str | None) -> np.ndarray:
    import torch
    from torch.utils.data import DataLoader

    from datasets.images.transforms import Pictures, fixed
    from models.nn.pretrained import Backbone

    memory = isinstance(pool.x, np.ndarray)
    c, h, w = pool.x.shape[1:] if isinstance(pool.x, np.ndarray) else config.shape()
    if h != w:
        raise BenchError(f"images are {h} x {w}; a backbone takes squares, set data.image_size")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of a network without weights
        net = Backbone(config.backbone, h, c, weights, "data.weights").eval()
    meta = normalisation(pool, config, np.arange(len(pool.y)), (c, h, w))
    centre, scale = (
        pool.white * torch.tensor(v, dtype=torch.float32).view(1, -1, 1, 1) for v in (meta["mean"], meta["std"])
    )
    items: Any = pool.x
    images = Pictures(items, pool.y, None if memory else fixed(h, lazy=True), random=False, channels=c)
    with torch.no_grad():
        parts = [net((x.float() - centre) / scale).flatten(1) for x, _ in DataLoader(images, config.embed_batch)]
    x = torch.cat(parts).numpy()
    if not np.isfinite(x).all():
        raise BenchError(
            f"{config.backbone} gives vectors that are not finite for these images; other weights are needed"
        )
    return np.ascontiguousarray(x)
