"""The cells of an invocation: overrides are checked, composed, expanded and keyed, before anything heavy is imported."""

from __future__ import annotations

import functools
import hashlib
import importlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import CONF, ROOT, registry
from bench.choices import chosen, closest_field, default_data, field_exists, owner, raw, typed
from bench.registry import conf_dirs, did_you_mean, options, require_option
from bench.schema import SCHEMA, BenchError, DataConfig, MethodConfig, MissingData

GROUPS = ("method", "data", "trainer", "logger", "experiment", "suite")
PLAIN = ("scale", "seed", "fold", "shard", "out", "root", "cache", "reuse", "deadline", "plugins")
AXES = ("scale", "seed", "fold")  # expanded after composition, so that 25 cells cost one composition


@dataclass
class Cell:
    """One run: a method on one fold of a data set, at a scale, with a seed."""

    method: MethodConfig
    data: DataConfig
    scale: str
    seed: int
    fold: str
    source: str  # resolved: real, synthetic or simulated
    note: str  # how the source was resolved, for a person
    settings: dict[str, Any]  # trainer, logger, out, root, cache, reuse, deadline: no part of the key
    overrides: list[str] = field(default_factory=list)
    skip: str | None = None  # a reason, known without data, why this cell cannot run

    def identity(self) -> dict[str, Any]:
        """What the key is made of; see `key`."""
        declared, choices = "", chosen(self.data)
        if self.source == "real":
            declared = self.data.declared()
            choices = {k: v for k, v in choices.items() if k not in self.data.stand_in}
        return {
            "schema": SCHEMA,
            "method": [self.method.name, self.method.version, chosen(self.method)],
            "data": [self.data.name, self.data.version, choices, self.source, declared],
            "scale": self.scale,
            "seed": self.seed,
            "fold": self.fold,
        }

    @functools.cached_property
    def key(self) -> str:
        """First 16 hex digits of sha256 of the canonical JSON of `identity` (sorted keys, no spaces, no NaN)."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def folder(self) -> Path:
        return Path(self.settings["out"]) / "cells" / self.method.name / self.data.name / self.key

    @property
    def command(self) -> str:
        """The command that runs exactly this cell again; folders and placement are left to whoever runs it."""
        own = [o for o in self.overrides if _key(o).partition(".")[0] in ("method", "data") and "." in _key(o)]
        words = [
            f"method={self.method.name}",
            f"data={self.data.name}",
            f"scale={self.scale}",
            f"seed={self.seed}",
            f"fold={self.fold}",
            *(o.lstrip("+") for o in own),
        ]
        return "python bench/run.py " + " ".join(_quote(w) for w in words)


def _quote(word: str) -> str:
    import shlex

    return shlex.quote(word)


# ------------------------------------------------------------------------------------------ the command line


def parse(overrides: Iterable[str]) -> list[Any]:
    """Hydra's own parser; a word that it cannot read becomes one sentence."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser, out = OverridesParser.create(), []
    for word in overrides:
        try:
            out.append(parser.parse_override(word))
        except HydraException:
            raise BenchError(f"cannot read {word!r}; write key=value, e.g. method=gbw_rbn or seed=0,1") from None
    return out


def values_of(override: Any) -> list[str]:
    """The values of an override as text: several for a sweep (a,b or range(...)), else one."""
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_string()]


def check_overrides(overrides: Sequence[str]) -> list[str]:
    """Refuse unknown groups, options and fields with a did-you-mean; return the overrides as Hydra needs them.

    Fields of a method or data set live in its dataclass, not in its YAML, so `method.theta=0.5` is handed to Hydra as
    `++method.theta=0.5`; that the field exists and takes the value is checked here and on `typed`.
    """
    parsed = parse(overrides)
    picked: dict[str, list[str]] = {}
    for o in parsed:
        if o.key_or_group in GROUPS:
            picked[o.key_or_group] = values_of(o)
            for name in picked[o.key_or_group]:
                if name != "null":
                    require_option(o.key_or_group, name)
    many = bool({"experiment", "suite"} & picked.keys())
    out = []
    for word, o in zip(overrides, parsed, strict=True):
        head, _, rest = o.key_or_group.partition(".")
        if head in ("method", "data") and rest:
            names = picked.get(head) or ([] if many else _default_names(head, picked))
            if names and not any(field_exists(head, n, rest.split(".")) for n in names):
                raise BenchError(f"{head}.{rest} is no field of {' or '.join(names)}{closest_field(head, names, rest)}")
            word = "++" + word.lstrip("+")
        elif head in ("trainer", "logger") and rest and not word.startswith("+"):
            known = _section_keys(head, picked.get(head, ["cpu" if head == "trainer" else "csv"])[0])
            if rest not in known:
                raise BenchError(f"{head}.{rest} is unknown{did_you_mean(rest, known)}")
        elif head not in (*GROUPS, *PLAIN, "hydra") and not o.key_or_group.startswith("hydra/"):
            raise BenchError(f"{o.key_or_group} is unknown{did_you_mean(o.key_or_group, (*GROUPS, *PLAIN))}")
        out.append(word)
    return out


def _default_names(head: str, picked: dict[str, list[str]]) -> list[str]:
    methods = picked.get("method", ["gbw_rbn"])
    return methods if head == "method" else [d for d in map(default_data, methods) if d]


def _section_keys(group: str, option: str) -> set[str]:
    section = raw(group, option)
    keys = {k for k in section if k != "defaults"}
    for base in section.get("defaults") or []:
        keys |= _section_keys(group, base)
    return keys


def search_path() -> str:
    """The Hydra override that adds the conf/ folders of plugin packages."""
    extra = [f"file://{p}" for p in conf_dirs() if p != CONF]
    return f"hydra.searchpath=[{','.join(extra)}]"


# ------------------------------------------------------------------------------------------ expansion


def expand(overrides: Sequence[str], *, strict: bool = True, download: bool = False) -> list[Cell]:
    """All cells of an invocation, in order, without doubles (by key), after `shard`.

    Parameters
    ----------
    overrides : words as on the command line; sweeps (`seed=0,1`), `experiment=` and `suite=` are expanded.
    strict : a pair that does not fit raises BenchError when nothing else is asked for; else it becomes a skipped cell.
    download : whether `data.source=auto` may fetch absent files (a run does, `bench plan` does not).
    """
    words = check_overrides(overrides)
    with composing():
        jobs = [job for product in _products(words) for job in _jobs(product)]
        cells = [cell for job in jobs for cell in _cells(job, download)]
    unused = [
        w
        for w in words
        if w.lstrip("+").startswith(("method.", "data.")) and not any(w in j or _hits(w, j) for j in jobs)
    ]
    if unused:
        raise BenchError(f"{unused[0].lstrip('+')}: no cell of this experiment has that field; see `bench plan`")
    unique = list({c.key: c for c in cells}.values())
    if strict and unique and all(c.skip for c in unique):
        fitting = [n for n in options("data") if n and fits_name(unique[0].method, n)]
        raise BenchError(f"{unique[0].skip}; what fits: {', '.join(fitting) or 'no data set here'}")
    shard = unique[0].settings["shard"] if unique else None
    return unique if shard is None else unique[_shard(shard)]


def keys_of(cells: Iterable[Cell]) -> set[str]:
    """Keys of cells for every source of their data: rows made on real data count also where these data are absent."""
    return {replace(c, source=s).key for c in cells for s in {c.source, *c.data.available()}}


def fits_name(method: MethodConfig, data: str) -> bool:
    section = raw("data", data)
    config = registry.config_class("data", owner("data", data))(name=section.get("name", data))
    return method.fits(config) is None


def _hits(word: str, job: list[str]) -> bool:
    """A sweep override reaches a job as one of its values."""
    key = word.lstrip("+").partition("=")[0]
    return any(w.lstrip("+").partition("=")[0] == key for w in job)


def _shard(shard: Any) -> slice:
    ok = (
        isinstance(shard, list)
        and len(shard) == 2
        and all(isinstance(i, int) for i in shard)
        and 0 <= shard[0] < shard[1]
    )
    if not ok:
        raise BenchError(f"shard={shard} must be [i,n] with 0 <= i < n, e.g. shard=[0,4]")
    return slice(shard[0], None, shard[1])


def _products(words: Sequence[str]) -> list[list[str]]:
    """Every combination of the swept values."""
    axes = []
    for word, o in zip(words, parse(words), strict=True):
        key = word.partition("=")[0]
        axes.append([f"{key}={v}" for v in values_of(o)] if o.is_sweep_override() else [word])
    return [list(combination) for combination in itertools.product(*axes)]


def _key(word: str) -> str:
    return word.lstrip("+").partition("=")[0]


def _jobs(words: list[str]) -> list[list[str]]:
    """One list of overrides per job: the words themselves, or each combination of each grid of an experiment."""
    picks = {_key(w): w.partition("=")[2] for w in words if _key(w) in ("experiment", "suite")}
    picks = {k: v for k, v in picks.items() if v != "null"}
    own = [w for w in words if _key(w) not in ("experiment", "suite")]
    if not picks:
        return [own]
    if len(picks) == 2:
        raise BenchError("experiment and suite exclude each other: a suite is a list of experiments; give one of them")
    jobs = []
    for name, extra in _experiments(picks):
        given = [*extra, *own]
        keys = {_key(w) for w in given}
        for grid in _section("experiment", name).get("cells") or []:
            if "plugins" in grid:
                raise BenchError(
                    f"experiment {name}: plugins come from the command line or BENCH_PLUGINS only; remove the line"
                )
            axes = [
                [f"{k}={_text(v)}" for v in (vs if isinstance(vs, list) else [vs])]
                for k, vs in grid.items()
                if k not in keys
            ]
            for combination in itertools.product(*axes):
                jobs.append(_applicable([*check_overrides(combination), *given]))
    return jobs


def _experiments(picks: dict[str, str]) -> list[tuple[str, list[str]]]:
    """(experiment, overrides) of an experiment or of a suite, whose entries are names or {name: ..., key: value}."""
    if "experiment" in picks:
        return [(picks["experiment"], [])]
    suite, out = _section("suite", picks["suite"]), []
    for entry in suite.get("experiments") or []:
        own = dict(entry) if isinstance(entry, dict) else {"name": entry}
        name = own.pop("name", "")
        extra = [f"{k}={_text(v)}" for k, v in ((suite.get("overrides") or {}) | own).items()]
        out.append((name, check_overrides(extra)))
        if name not in options("experiment"):
            raise BenchError(
                f"suite {picks['suite']} names the experiment {name}, which is missing{did_you_mean(name, options('experiment'))}"
            )
    return out


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, (list, dict)):
        return json.dumps(value, separators=(",", ":")).replace('"', "")
    return str(value)


def _applicable(words: list[str]) -> list[str]:
    """Drop fields that this job's method or data set does not have: an override reaches every cell that has the field."""
    pick = {_key(w): w.partition("=")[2] for w in words if _key(w) in ("method", "data")}
    pick.setdefault("method", "gbw_rbn")
    pick.setdefault("data", default_data(pick["method"]) or "")
    out = []
    for w in words:
        head, _, rest = _key(w).partition(".")
        if head in ("method", "data") and rest and pick[head] and not field_exists(head, pick[head], rest.split(".")):
            continue
        out.append(w)
    return out


@contextmanager
def composing() -> Iterator[None]:
    """Hydra's compose() in here, also inside a running Hydra job (whose own state is put back afterwards)."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    instance = GlobalHydra.instance()
    outer = instance.hydra
    instance.clear()
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            yield
    finally:
        instance.clear()
        instance.hydra = outer


@functools.lru_cache(maxsize=4096)
def _compose(words: tuple[str, ...]) -> dict[str, Any]:
    from hydra import compose
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    try:
        cfg = compose("run", overrides=[*words, search_path()])
    except HydraException as error:
        raise BenchError(str(error).splitlines()[0]) from None
    out = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(out, dict)
    return {str(k): v for k, v in out.items()}


def _section(group: str, name: str) -> dict[str, Any]:
    require_option(group, name)
    return _compose((f"{group}={name}",))[group] or {}


def _cells(words: list[str], download: bool) -> list[Cell]:
    plain = [w for w in words if _key(w) in AXES]
    cfg = dict(_compose(tuple(w for w in words if _key(w) not in AXES and not _key(w).startswith("hydra"))))
    for o in parse(plain):
        cfg[o.key_or_group] = o.value()
    if not cfg.get("data"):
        raise BenchError(
            f"data is not chosen and method={cfg['method']['name']} names no default; add data=<name>, see `bench list`"
        )
    settings = _settings(cfg)
    scale = str(cfg["scale"])
    method, data = typed("method", cfg["method"], scale), typed("data", cfg["data"], scale)
    skip = method.fits(data)
    if skip:  # nothing of the data is touched for a pair that cannot run
        source, note = data.sources[0], ""
    else:
        source, note = resolve(data, Path(settings["root"]), Path(settings["cache"]), download)
    seeds = cfg["seed"] if isinstance(cfg["seed"], list) else [cfg["seed"]]
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise BenchError(f"seed={seed} must be a whole number from 0 on, or a list of them, e.g. seed=[0,1]")
    own = [w for w in words if _key(w) not in (*AXES, "shard") and not _key(w).startswith("hydra")]
    return [
        Cell(method, data, scale, seed, fold, source, note, settings, own, skip)
        for seed in seeds
        for fold in pick_folds(data, cfg["fold"])
    ]


def pick_folds(data: DataConfig, pick: Any) -> list[str]:
    """Names of the folds that `fold=` asks for: all, an index, a name, or a list of these."""
    names = data.folds()
    if pick == "all":
        return names
    out = []
    for item in pick if isinstance(pick, list) else [pick]:
        if isinstance(item, int) and not isinstance(item, bool) and 0 <= item < len(names):
            out.append(names[item])
        elif str(item) in names:
            out.append(str(item))
        else:
            raise BenchError(
                f"fold={item} is no fold of {data.name}: an index below {len(names)}, all, or a name{did_you_mean(item, names)}"
            )
    return out


def _settings(cfg: dict[str, Any]) -> dict[str, Any]:
    cache = (
        Path(cfg["cache"] or os.environ.get("BENCH_CACHE") or Path.home() / ".cache" / "holonomy")
        .expanduser()
        .absolute()
    )
    root = Path(cfg["root"] or os.environ.get("BENCH_DATA") or cache / "data").expanduser().absolute()
    if cfg["reuse"] not in ("any", "fresh"):
        raise BenchError(
            f"reuse={cfg['reuse']} is unknown; use any (keep finished cells) or fresh (rerun those whose code changed)"
        )
    out = Path(cfg["out"] or ROOT / "results").expanduser().absolute()
    return {
        "out": str(out),
        "root": str(root),
        "cache": str(cache),
        "reuse": cfg["reuse"],
        "deadline": cfg["deadline"],
        "shard": cfg["shard"],
        "trainer": cfg["trainer"],
        "logger": cfg["logger"],
    }


# ------------------------------------------------------------------------------------------ real or stand-in

_resolved: dict[Any, tuple[str, str]] = {}


def resolve(data: DataConfig, root: Path, cache: Path, download: bool) -> tuple[str, str]:
    """(source, note): real files when they are there or can be fetched and checked, else the stand-in, said loudly.

    Raises MissingData for data.source=real without files: the sentence says where they were looked for and how to get them.
    """
    if "simulated" in data.sources:
        return "simulated", "simulated by design"
    memo = (data.name, json.dumps(chosen(data), sort_keys=True, default=str), data.source, root, cache, download)
    if memo not in _resolved:
        _resolved[memo] = _resolve(data, root, cache, download)
    return _resolved[memo]


def _resolve(data: DataConfig, root: Path, cache: Path, download: bool) -> tuple[str, str]:
    if data.source == "synthetic" or "real" not in data.available():
        if "synthetic" not in data.available():
            raise BenchError(f"data.source=synthetic: {data.name} has no synthetic stand-in; use data.source=real")
        return "synthetic", "synthetic stand-in, as asked" if data.source == "synthetic" else "synthetic by design"
    if data.present(root, cache):
        return "real", f"real files in {data.where(root, cache)}"
    get = f"`bench prepare data={data.name}` gets them; root= or BENCH_DATA says where they are"
    missing = f"the real files of {data.name} are not in {data.where(root, cache)}"
    if data.source == "real":
        raise MissingData(f"data.source=real: {missing}; {get}")
    if download:
        try:
            fetch_real(data, root, cache)
            return "real", f"real files, just fetched into {data.where(root, cache)}"
        except MissingData as error:
            missing = f"{missing} and could not be fetched ({error})"
    if "synthetic" not in data.available():
        raise MissingData(f"{missing}; {get}")
    return "synthetic", f"SYNTHETIC STAND-IN: {missing}; {get}"


def fetch_real(data: DataConfig, root: Path, cache: Path) -> None:
    """Call the adapter's `fetch(config, root, cache)`: a checked download, or MissingData within about 2 s when offline."""
    module = importlib.import_module(data.adapter.partition(":")[0])
    if not hasattr(module, "fetch"):
        raise MissingData(f"{data.name} offers no download")
    module.fetch(data, root, cache)


def absolute(words: Sequence[str]) -> list[str]:
    """Folders given relative to the working directory, made absolute: a launcher may start jobs elsewhere."""
    out = []
    for w in words:
        key, _, value = w.partition("=")
        if key in ("out", "root", "cache") and value not in ("", "null"):
            w = f"{key}={Path(value.strip(chr(34) + chr(39))).expanduser().absolute()}"
        out.append(w)
    return out


def sweep_folder(words: Sequence[str]) -> str:
    """Where a sweep keeps its own files (Hydra's record, launcher logs): below the results, so that no other folder fills."""
    from datetime import datetime

    out = next((w.partition("=")[2] for w in absolute(words) if w.startswith("out=")), "null")
    base = ROOT / "results" if out in ("", "null") else Path(out)
    return str(base / ".sweeps" / f"{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}")
