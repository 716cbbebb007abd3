"""Find plugins by name: `<root>.<use>.config:Config`, in this project and in the packages named by `plugins`.

Nothing is registered anywhere: a folder with a config.py and a YAML of the same name is a plugin.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.util
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench import CONF
from bench.schema import BenchError, DataConfig, MethodConfig

FOLDER = {"method": "models", "data": "datasets"}
_packages: list[str] = []


def use_plugins(names: Iterable[str]) -> None:
    """Add packages laid out as this project (models/, datasets/, conf/). Only the command line and BENCH_PLUGINS name them."""
    for name in names:
        if not name.isidentifier() or importlib.util.find_spec(name) is None:
            raise BenchError(
                f"plugins: there is no package {name!r} on the Python path; install it or add its folder to PYTHONPATH"
            )
        if name not in _packages:
            _packages.append(name)
    config_class.cache_clear()
    options.cache_clear()


def plugins_from(environment: str | None = None) -> list[str]:
    """The packages that BENCH_PLUGINS names, separated by commas."""
    text = os.environ.get("BENCH_PLUGINS", "") if environment is None else environment
    return [name.strip() for name in text.split(",") if name.strip()]


def conf_dirs() -> list[Path]:
    """conf/ of this project, then of each plugin package."""
    found = [CONF]
    for name in _packages:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        found += [Path(p) / "conf" for p in (spec.submodule_search_locations or [])]
    return [p for p in found if p.is_dir()]


@functools.cache
def options(group: str) -> dict[str, Path]:
    """Option name -> YAML file of a config group, e.g. options("method")["gbw_rbn"]; nested names have a slash."""
    found: dict[str, Path] = {}
    for conf in conf_dirs():
        for path in sorted((conf / group).rglob("*.yaml")):
            found.setdefault(path.relative_to(conf / group).with_suffix("").as_posix(), path)
    return found


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ " (did you mean X?)" or a list of what there is."""
    known = sorted(known)
    close = difflib.get_close_matches(str(word), known, n=2, cutoff=0.55)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; there is {', '.join(known)}" if len(known) <= 40 else f"; there are {len(known)}, see `bench list`"


def require_option(group: str, name: str) -> None:
    """Raise BenchError for an option that is missing, or whose YAML reaches beyond its own group."""
    if name not in options(group):
        raise BenchError(f"{group}={name} is unknown{did_you_mean(name, options(group))}")
    vet(group, options(group)[name])


TOP = {"experiment": {"title", "cells"}, "suite": {"experiments", "overrides"}}


@functools.cache
def vet(group: str, path: Path) -> None:
    """A YAML may only fill its own group: with another package header it could set Hydra's own nodes, which name code.

    Experiments and suites have fixed keys; a method's `defaults` may only choose its data, a trainer's its base.
    """
    import yaml

    text = path.read_text()
    try:
        content = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}
    except yaml.YAMLError as error:
        raise BenchError(f"{path}: not readable as YAML ({str(error).splitlines()[0]}); mend that line") from None
    if not isinstance(content, dict):
        raise BenchError(f"{path}: must be a mapping of keys to values")
    packages = [m.group(1).split() for m in re.finditer(r"(?im)^\s*#+\s*@\s*package\b(.*)$", text)]
    if packages != ([[group]] if group in TOP else []):
        need = f"its first line must be `# @package {group}`" if group in TOP else "remove its @package line"
        raise BenchError(f"{path}: a file of the group {group} fills only that group; {need}")
    if "hydra" in content:
        raise BenchError(f"{path}: a file of the group {group} may not set hydra; remove the key")
    unknown = sorted(set(content) - TOP[group]) if group in TOP else []
    if unknown:
        raise BenchError(f"{path}: {unknown[0]} is no key of a {group}{did_you_mean(unknown[0], TOP[group])}")
    for entry in content.get("defaults") or []:
        data = group == "method" and isinstance(entry, dict) and list(entry) == ["override /data@_global_.data"]
        if data:
            require_option("data", str(next(iter(entry.values()))))
        elif group in ("trainer", "logger", "data") and isinstance(entry, str) and entry.isidentifier():
            require_option(group, entry)
        else:
            allowed = (
                "override /data@_global_.data: <name>" if group == "method" else "the name of another file of the group"
            )
            raise BenchError(f"{path}: the defaults entry {entry!r} is not allowed; it may only be {allowed}")


@functools.cache
def config_class(group: str, use: str) -> type[Any]:
    """The dataclass behind the YAMLs that say `use: <use>` (or are called so)."""
    base: type = MethodConfig if group == "method" else DataConfig
    roots = [FOLDER[group]] + [f"{p}.{FOLDER[group]}" for p in _packages]
    for root in roots:
        module_name = f"{root}.{use}.config"
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name and module_name.startswith(error.name):
                continue
            raise
        config = getattr(module, "Config", None)
        if not (isinstance(config, type) and issubclass(config, base)):
            raise BenchError(f"{module_name} has no class Config derived from {base.__name__}; add one")
        return config
    raise BenchError(
        f"no folder {' or '.join(r.replace('.', '/') + '/' + use.replace('.', '/') for r in roots)} with a config.py; "
        f"`use` in the YAML of {group} names one"
    )
