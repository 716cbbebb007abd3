"""`bench doctor`: is this machine ready? Imports nothing heavy; makes the folders it checks."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import ROOT, provenance, registry, store
from bench.choices import owner, raw
from bench.schema import BenchError
from bench.settings import folders
from bench.words import parse, values_of

Check = tuple[str, bool | None, str]  # name, ok (None: worth knowing, not wrong), detail


def checks(words: Sequence[str] = ()) -> list[Check]:
    """Python, packages against constraints.txt, folders, data, GPU, launchers."""
    given = {o.key_or_group: values_of(o)[0] for o in parse(words)}
    folder = dict(zip(("out", "root", "cache"), folders(given), strict=True))
    out: list[Check] = [("python", sys.version_info >= (3, 11), f"{sys.version.split()[0]} (3.11 or newer is needed)")]
    out += _packages()
    for name in ("out", "cache"):
        try:
            store.check_writable(folder[name])
            out.append(
                (
                    name,
                    True,
                    f"{folder[name]} is writable, {shutil.disk_usage(folder[name]).free / 1e9:.0f} GB free",
                )
            )
        except BenchError as error:
            out.append((name, False, str(error)))
    out += _data(folder["root"], folder["cache"])
    smi = shutil.which("nvidia-smi")
    out.append(("gpu", None, f"nvidia-smi in {smi}" if smi else "none seen; trainer=cpu runs everything"))
    sha, dirty = provenance.git()
    out.append(
        (
            "git",
            None if sha is None else True,
            "no git: rows carry no commit"
            if sha is None
            else f"{sha[:10]}{', with uncommitted changes' if dirty else ''}",
        )
    )
    out.append(
        (
            "cores",
            None,
            f"{os.cpu_count()}; one process per core: --multirun shard=[0,{os.cpu_count()}],... hydra/launcher=joblib",
        )
    )
    return out


def _packages() -> list[Check]:
    from importlib.metadata import PackageNotFoundError, version

    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, eq, pin = line.partition("==")
        if eq and not line.startswith("#"):
            pins[name.strip()] = pin.split(";")[0].strip()
    absent, other = [], []
    for name, pin in pins.items():
        try:
            have = version(name).partition("+")[0]
        except PackageNotFoundError:
            absent.append(name)
            continue
        if have != pin:
            other.append(f"{name} {have} (tested {pin})")
    core = [n for n in ("torch", "hydra-core", "lightning", "numpy", "scipy") if n in absent]
    found: list[Check] = [
        (
            "packages",
            not core,
            f"missing: {', '.join(core)}; run make setup"
            if core
            else f"{len(pins) - len(absent)} of the tested set installed",
        )
    ]
    if absent and not core:
        found.append(("extras", None, f"not installed: {', '.join(absent)} (needed only by the parts that use them)"))
    if other:
        found.append(("versions", None, f"differ from the tested set: {', '.join(other)}"))
    return found


def _data(root: Path, cache: Path) -> list[Check]:
    found: list[Check] = [
        ("data root", None, f"{root}{'' if root.is_dir() else ' (absent)'}; set BENCH_DATA or root= to change it")
    ]
    for name in registry.options("data"):
        from bench.listing import _instance

        section = raw("data", name)
        config = _instance(
            registry.config_class("data", owner("data", name)), {**section, "name": section.get("name", name)}
        )
        if "real" in config.sources:
            here = config.present(root, cache)
            found.append(
                (
                    f"data {name}",
                    True if here else None,
                    "real files present"
                    if here
                    else f"real files absent in {config.where(root, cache)}: bench prepare data={name}",
                )
            )
    return found
