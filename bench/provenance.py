"""What a row says of where it came from: code, packages, machine."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench import ROOT
from bench.registry import FOLDER
from bench.schema import TrainConfig

PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "lightning",
    "hydra-core",
    "omegaconf",
    "pyriemann",
    "mne",
    "moabb",
    "torchvision",
    "geoopt",
    "e3nn",
    "torch-geometric",
    "gpytorch",
    "pot",
    "timm",
)


@functools.cache
def versions() -> dict[str, str]:
    """Installed versions of the packages that can change a number; absent ones are left out."""
    from importlib.metadata import PackageNotFoundError, version

    out = {}
    for name in PACKAGES:
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            continue
    return out


@functools.cache
def git() -> tuple[str | None, bool | None]:
    """(commit, dirty) of this checkout; (None, None) without git. Rows and reports under results/ do not make it dirty."""

    def ask(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    try:
        if Path(ask("rev-parse", "--show-toplevel")).resolve() != ROOT:
            return None, None  # a copy inside another repository: its commit says nothing about this code
        return ask("rev-parse", "HEAD"), bool(ask("status", "--porcelain", "--", ".", ":!results"))
    except (OSError, subprocess.SubprocessError):
        return None, None


@functools.cache
def machine() -> dict[str, Any]:
    return {"python": platform.python_version(), "cpu": _cpu_name()}


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()} x{os.cpu_count()}"
    except OSError:
        pass
    return f"{platform.processor() or platform.machine()} x{os.cpu_count()}"


@functools.cache
def folder_digest(folder: Path, deep: bool = True) -> str:
    """sha256 over the code and tables (.py, .json) of a folder, by name and content; with `deep`, of those below it."""
    digest = hashlib.sha256()
    for path in sorted(p for p in (folder.rglob("*") if deep else folder.glob("*")) if p.suffix in (".py", ".json")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def code_fp(method: Any, data: Any) -> str:
    """Fingerprint of the code behind a cell: the method's folder and parts, shared mathematics and layers, the adapter with
    the files that it shares with its neighbours, and the training loop where the frame trains."""
    models = [method.use or method.name, method.name, *method.parts(), "geometry", "nn"]
    folders = _folders(FOLDER["method"], models)
    steps = (data.use or data.name).split(".")
    adapter = _folders(FOLDER["data"], ["/".join(steps)])
    shared = [p for i in range(len(steps)) for p in _folders(FOLDER["data"], ["/".join(steps[:i])])]
    digests = [f"{f.name}{folder_digest(f)}" for f in [*folders, *adapter]] + [
        folder_digest(f, deep=False) for f in shared
    ]
    if isinstance(method, TrainConfig):
        digests.append(hashlib.sha256((ROOT / "bench" / "train.py").read_bytes()).hexdigest())
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


def _folders(root: str, names: Iterable[str]) -> list[Path]:
    from bench import registry

    parents = [ROOT / root] + [conf.parent / root for conf in registry.conf_dirs()[1:]]
    return [p / n for n in dict.fromkeys(names) for p in parents if (p / n).is_dir()]
