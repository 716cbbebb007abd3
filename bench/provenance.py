"""What a row says of where it came from: code, packages, machine."""

from __future__ import annotations

import ast
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

SHARED = ("models.geometry.", "models.nn.", "datasets.")  # where plugins meet; of datasets the files of its own level
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
    """Fingerprint of the code behind a cell: the method's folder and parts, the adapter with the files that it shares with its
    neighbours, whatever these import of the shared mathematics, layers and tasks, and the training loop where the frame trains."""
    steps = (data.use or data.name).split(".")
    own = _folders(FOLDER["method"], [method.use or method.name, method.name, *method.parts()])
    own += _folders(FOLDER["data"], ["/".join(steps)])
    beside = [p for i in range(1, len(steps)) for p in _folders(FOLDER["data"], ["/".join(steps[:i])])]
    files = [p for f in own for p in f.rglob("*.py")] + [p for f in beside for p in f.glob("*.py")]
    digests = [f"{f.name}{folder_digest(f)}" for f in own] + [folder_digest(f, deep=False) for f in beside]
    digests += [f"{p.name}{_digest(p)}" for p in imported(files)]
    if isinstance(method, TrainConfig):
        digests.append(_digest(ROOT / "bench" / "train.py"))
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


def imported(files: Iterable[Path]) -> list[Path]:
    """The shared files that `files` import, and those that these import, sorted: a new module of mathematics leaves the cells that do
    not use it as they are."""
    found: set[Path] = set()
    ahead = list(files)
    while ahead:
        new = {p for p in _shared_imports(ahead.pop()) if p not in found}
        found |= new
        ahead += new
    return sorted(found)


@functools.cache
def _shared_imports(file: Path) -> tuple[Path, ...]:
    """Shared files that one file names in an import, at its top or inside a function, or in a string such as "models.nn.heads"."""
    tree, names = ast.parse(file.read_text(encoding="utf-8")), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(SHARED):
            names.add(node.value)
    paths = (ROOT / f"{name.partition(':')[0].replace('.', '/')}.py" for name in names if name.startswith(SHARED))
    return tuple(p for p in paths if p.is_file())


@functools.cache
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _folders(root: str, names: Iterable[str]) -> list[Path]:
    from bench import registry

    parents = [ROOT / root] + [conf.parent / root for conf in registry.conf_dirs()[1:]]
    return [p / n for n in dict.fromkeys(names) for p in parents if (p / n).is_dir()]
