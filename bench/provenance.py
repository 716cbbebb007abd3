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
def folder_digest(folder: Path) -> str:
    """sha256 over the Python files below a folder, by name and content."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def code_fp(method: Any, data: Any) -> str:
    """Fingerprint of the code behind a cell: the method's folder and parts, shared mathematics and layers, the adapter."""
    models = [method.use or method.name, method.name, *method.parts(), "geometry", "nn"]
    folders = [
        *_folders(FOLDER["method"], models),
        *_folders(FOLDER["data"], [(data.use or data.name).replace(".", "/")]),
    ]
    return hashlib.sha256("".join(f"{f.name}{folder_digest(f)}" for f in folders).encode()).hexdigest()[:16]


def _folders(root: str, names: Iterable[str]) -> list[Path]:
    from bench import registry

    parents = [ROOT / root] + [conf.parent / root for conf in registry.conf_dirs()[1:]]
    return [p / n for n in dict.fromkeys(names) for p in parents if (p / n).is_dir()]
