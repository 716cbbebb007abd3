"""The words of a command line: read with Hydra's grammar, checked with a did-you-mean, handed on as Hydra needs them."""

from __future__ import annotations

import copy
import functools
import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench import CONF, ROOT, registry
from bench.choices import closest_field, default_data, field_exists, raw
from bench.registry import conf_dirs, did_you_mean, require_option
from bench.schema import BenchError

GROUPS = ("method", "data", "trainer", "logger", "experiment", "suite")
PLAIN = ("scale", "seed", "fold", "shard", "only", "out", "root", "cache", "reuse", "deadline", "plugins")
PATHS = ("out", "root", "cache", "only")
IDENTITY = ("name", "use", "at")  # what a row is called and whose code it runs: only a YAML says


def parse(overrides: Iterable[str]) -> list[Any]:
    """Hydra's own parser; a word that it cannot read becomes one sentence."""
    return [copy.deepcopy(_parsed(word)) for word in overrides]


@functools.lru_cache(maxsize=8192)
def _parsed(word: str) -> Any:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        o = OverridesParser.create().parse_override(word)
    except HydraException:
        o = None
    if o is None or not o.key_or_group or o.is_delete():
        raise BenchError(f"cannot read {word!r}; write key=value, e.g. method=gbw_rbn or seed=0,1")
    return o


def key(word: str) -> str:
    return word.lstrip("+").partition("=")[0]


def value(word: str) -> str:
    """The text after =, without quotes."""
    text = word.partition("=")[2]
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def quoted(name: str, text: str) -> str:
    """name="text" in Hydra's grammar: commas, brackets and blanks in a path stay part of it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'


def values_of(override: Any) -> list[str]:
    """The values of an override as text: several for a sweep (a,b or range(...)), else one."""
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_string()]


def products(words: Sequence[str]) -> list[list[str]]:
    """Every combination of the swept values."""
    axes = []
    for word, o in zip(words, parse(words), strict=True):
        head = word.partition("=")[0]
        axes.append([f"{head}={v}" for v in values_of(o)] if o.is_sweep_override() else [word])
    return [list(combination) for combination in itertools.product(*axes)]


def adopt_plugins(words: Sequence[str]) -> None:
    """Take `plugins=[...]` of the command line, else BENCH_PLUGINS; child processes get them through the environment."""
    for o in parse(w for w in words if key(w) == "plugins"):
        found = o.value()
        os.environ["BENCH_PLUGINS"] = ",".join(map(str, found)) if isinstance(found, list) else str(found)
    registry.use_plugins(registry.plugins_from())


# ------------------------------------------------------------------------------------------ checks


def check_overrides(overrides: Sequence[str]) -> list[str]:
    """Refuse unknown groups, options and fields with a did-you-mean; return the overrides as Hydra needs them.

    Fields of a method or data set live in its dataclass, not in its YAML, so `method.theta=0.5` is handed to Hydra as
    `++method.theta=0.5`; that the field exists and takes the value is checked here and by `choices.typed`.
    """
    parsed = parse(overrides)
    picked: dict[str, list[str]] = {}
    for o in parsed:
        if o.key_or_group in GROUPS:
            picked[o.key_or_group] = values_of(o)
            for name in picked[o.key_or_group]:
                if name != "null" or o.key_or_group in ("method", "data", "trainer", "logger"):
                    require_option(o.key_or_group, name)
    many = bool({"experiment", "suite"} & picked.keys())
    out = []
    for word, o in zip(overrides, parsed, strict=True):
        head, _, rest = o.key_or_group.partition(".")
        if head in ("method", "data") and rest:
            _check_field(head, rest, picked.get(head) or ([] if many else _default_names(head, picked)))
            word = "++" + word.lstrip("+")
        elif head in ("trainer", "logger") and rest:
            known = section_keys(head, picked.get(head, ["cpu" if head == "trainer" else "csv"])[0])
            if rest not in known:
                raise BenchError(f"{head}.{rest} is unknown{did_you_mean(rest, known)}")
            word = word.lstrip("+")
        elif head not in (*GROUPS, *PLAIN, "hydra") and not o.key_or_group.startswith("hydra/"):
            raise BenchError(f"{o.key_or_group} is unknown{did_you_mean(o.key_or_group, (*GROUPS, *PLAIN))}")
        out.append(word)
    return out


def _check_field(head: str, rest: str, names: list[str]) -> None:
    if rest.split(".")[0] in IDENTITY:
        raise BenchError(f"{head}.{rest} is part of a row's identity; write a YAML of another name under conf/{head}/")
    if names and not any(field_exists(head, n, rest.split(".")) for n in names):
        raise BenchError(f"{head}.{rest} is no field of {' or '.join(names)}{closest_field(head, names, rest)}")


def _default_names(head: str, picked: dict[str, list[str]]) -> list[str]:
    methods = picked.get("method", ["gbw_rbn"])
    return methods if head == "method" else [d for d in map(default_data, methods) if d]


def section_keys(group: str, option: str) -> set[str]:
    """Keys of a trainer or logger option, those of its defaults included."""
    section = raw(group, option)
    keys = {k for k in section if k != "defaults"}
    for base in section.get("defaults") or []:
        keys |= section_keys(group, base)
    return keys


# ------------------------------------------------------------------------------------------ folders


def absolute(words: Sequence[str]) -> list[str]:
    """Folders and files given relative to the working directory, made absolute: a launcher may start jobs elsewhere."""
    return [
        quoted(key(w), str(Path(value(w)).expanduser().absolute()))
        if key(w) in PATHS and value(w) not in ("", "null")
        else w
        for w in words
    ]


def results_folder(words: Sequence[str]) -> Path:
    """The folder that `out=` names, else results/ of this project."""
    given = [value(w) for w in absolute(words) if key(w) == "out" and value(w) not in ("", "null")]
    return Path(given[-1]) if given else ROOT / "results"


def sweep_folder(words: Sequence[str]) -> str:
    """Where a sweep keeps its own files (Hydra's record, launcher logs): below the results, so that no other folder fills."""
    from datetime import datetime

    return str(results_folder(words) / ".sweeps" / f"{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}")


def search_path() -> str:
    """The Hydra override that adds the conf/ folders of plugin packages."""
    extra = [f'"file://{p}"' for p in conf_dirs() if p != CONF]
    return f"hydra.searchpath=[{','.join(extra)}]"
