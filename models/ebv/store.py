"""Bases kept between runs: one file for each request, checked when it is read."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import torch

from models.ebv.basis import Basis, generate

VERSION = 1  # of the generators: raise it when their result changes


def cached(
    n: int, d: int, max_cos: float | None, kind: str, seed: int, steps: int, folder: Path | None = None
) -> Basis:
    """`generate`, from the cache where it lies there.

    The file name is a digest of the request and the file carries one of its content (sha256 over shape and bytes): one that is cut
    off or altered is made anew. Only tensors and plain values are read. `folder` null: $BENCH_CACHE, else ~/.cache/holonomy.
    """
    if folder is None:
        folder = Path(os.environ.get("BENCH_CACHE") or "~/.cache/holonomy").expanduser() / "ebv"
    request = json.dumps([VERSION, n, d, max_cos, kind, seed, steps])
    path = folder / f"{hashlib.sha256(request.encode()).hexdigest()[:24]}.pt"
    if (found := _read(path, request)) is not None:
        return found
    basis = generate(n, d, max_cos, kind=kind, seed=seed, steps=steps)
    if basis.steps:  # what a formula gives needs no file
        try:
            _write(path, request, basis)
        except OSError:
            pass  # a read-only cache costs time, not the run
    return basis


def _digest(v: torch.Tensor) -> str:
    return hashlib.sha256(f"{tuple(v.shape)}".encode() + v.contiguous().numpy().tobytes()).hexdigest()


def _write(path: Path, request: str, basis: Basis) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.part")
    content = {"request": request, "vectors": basis.vectors, "steps": basis.steps, "reached": basis.reached}
    torch.save({**content, "sha256": _digest(basis.vectors)}, temporary)
    os.replace(temporary, path)


def _read(path: Path, request: str) -> Basis | None:
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["request"] == request and content["sha256"] == _digest(content["vectors"]):
            return Basis(content["vectors"], content["steps"], content["reached"])
    except Exception:  # whatever is wrong with the file, the remedy is the same
        pass
    return None
