"""The cells of an invocation: overrides are checked, composed, expanded and keyed, before anything heavy is imported."""

from __future__ import annotations

import copy
import functools
import hashlib
import importlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import CONF, registry
from bench.choices import chosen, closest_field, default_data, field_exists, owner, raw, typed
from bench.registry import did_you_mean, options, require_option
from bench.schema import SCHEMA, BenchError, DataConfig, MethodConfig, MissingData
from bench.settings import settings as settings_of
from bench.words import check_overrides, key, parse, products, search_path, value

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
        own = [o for o in self.overrides if key(o).partition(".")[0] in ("method", "data") and "." in key(o)]
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


# ------------------------------------------------------------------------------------------ expansion


def expand(overrides: Sequence[str], *, strict: bool = True, download: bool = False) -> list[Cell]:
    """All cells of an invocation, in order, without doubles (by key), after `shard`.

    Parameters
    ----------
    overrides : words as on the command line; sweeps (`seed=0,1`), `experiment=` and `suite=` are expanded.
    strict : a pair that does not fit raises BenchError when nothing else is asked for; else it becomes a skipped cell, and
        a field that only some methods have is applied to those.
    download : whether `data.source=auto` may fetch absent files (a run does, `bench plan` does not).
    """
    words = check_overrides(overrides)
    lines = products(words)
    found: dict[str, Cell] = {}
    if strict:
        check_fields(words)
    with composing():
        for line in lines:
            jobs = _jobs(line, lenient=len(lines) > 1 or not strict)
            cells = {c.key: c for job in jobs for c in _cells(job, download)}
            shard = next((o.value() for o in parse(w for w in line if key(w) == "shard")), None)
            wanted = _only(next((value(w) for w in line if key(w) == "only"), None))
            some = [c for k, c in cells.items() if wanted is None or k in wanted]
            found |= {c.key: c for c in _shard(shard, some)}
    unique = list(found.values())
    if strict and unique and all(c.skip for c in unique):
        fitting = [n for n in options("data") if fits_name(unique[0].method, n)]
        raise BenchError(f"{unique[0].skip}; what fits: {', '.join(fitting) or 'no data set here'}")
    return unique


def check_fields(words: Sequence[str]) -> None:
    """Raise BenchError for a field that no cell of the whole command has: elsewhere it is applied where it exists."""
    wanted = {key(w) for w in words if key(w).startswith(("method.", "data."))}
    if not wanted:
        return
    with composing():
        jobs = [job for line in products(check_overrides(words)) for job in _jobs(line, lenient=True)]
    for name in sorted(wanted - {key(w) for job in jobs for w in job}):
        head, _, rest = name.partition(".")
        picked = sorted({value(w) for job in jobs for w in job if key(w) == head})
        raise BenchError(f"{name}: no cell of this command has that field{closest_field(head, picked, rest)}")


def keys_of(cells: Iterable[Cell]) -> set[str]:
    """Keys of cells for every source of their data: rows made on real data count also where these data are absent."""
    return {replace(c, source=s).key for c in cells for s in {c.source, *c.data.available()}}


def fits_name(method: MethodConfig, data: str) -> bool:
    section = raw("data", data)
    config = registry.config_class("data", owner("data", data))(name=section.get("name", data))
    return method.fits(config) is None


def _shard(shard: Any, cells: list[Cell]) -> list[Cell]:
    """Every n-th cell from the i-th on, for shard=[i,n]."""
    if shard is None:
        return cells
    whole = isinstance(shard, list) and len(shard) == 2 and all(isinstance(i, int) for i in shard)
    if not whole or not 0 <= shard[0] < shard[1]:
        raise BenchError(f"shard={shard} must be [i,n] with 0 <= i < n, e.g. shard=[0,4]")
    return cells[shard[0] :: shard[1]]


def _only(path: str | None) -> set[str] | None:
    """The keys that `only=FILE` lists, one a line; None when there is no such word."""
    if path in (None, "", "null"):
        return None
    try:
        return set(Path(str(path)).expanduser().read_text().split())
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"only={path} cannot be read ({error}); write the file with bench plan --keys FILE") from None


def _jobs(words: list[str], lenient: bool = False) -> list[list[str]]:
    """One list of overrides per job: the words themselves, or each combination of each grid of an experiment.

    `lenient` drops fields that the method or data set of a job does not have, as in the jobs of an experiment.
    """
    picks = {key(w): value(w) for w in words if key(w) in ("experiment", "suite")}
    picks = {k: v for k, v in picks.items() if v != "null"}
    own = [w for w in words if key(w) not in ("experiment", "suite")]
    if not picks:
        return [_applicable(own) if lenient else own]
    if len(picks) == 2:
        raise BenchError("experiment and suite exclude each other: a suite is a list of experiments; give one of them")
    jobs = []
    for name, extra in _experiments(picks):
        given = [*extra, *own]
        keys = {key(w) for w in given}
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
        if name not in options("experiment"):
            raise BenchError(
                f"suite {picks['suite']} names the experiment {name}, which is missing{did_you_mean(name, options('experiment'))}"
            )
        out.append((name, check_overrides([f"experiment={name}", *extra])[1:]))  # its methods have the fields
    return out


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, (list, dict)):
        return json.dumps(value, separators=(",", ":")).replace('"', "")
    return str(value)


def _applicable(words: list[str]) -> list[str]:
    """Drop fields that this job's method or data set does not have: an override reaches every cell that has the field."""
    pick = {key(w): value(w) for w in words if key(w) in ("method", "data")}
    pick.setdefault("method", "gbw_rbn")
    pick.setdefault("data", default_data(pick["method"]) or "")
    out = []
    for w in words:
        head, _, rest = key(w).partition(".")
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


def _composed(words: Sequence[str]) -> dict[str, Any]:
    """What Hydra composes of these words (tested to be equal), with one call of Hydra for all methods and data sets.

    Methods and data sets are files that fill their own group only (`registry.vet`), so their sections are read as they are
    and fields are set on them; Hydra needs a tenth of a second for each combination, and an account of all claims has hundreds.
    """
    parsed = parse(words)
    own = [o.key_or_group.partition(".")[0] in ("method", "data") for o in parsed]
    picks = {
        o.key_or_group: o.value() for o, mine in zip(parsed, own, strict=True) if mine and "." not in o.key_or_group
    }
    method = picks.get("method")
    data = picks.get("data") or (default_data(method) if isinstance(method, str) else None)
    if (
        not isinstance(method, str)
        or not isinstance(data, str)
        or any("${" in w for w in words)
        or "defaults" in raw("data", data)
    ):
        return _compose(tuple(words))
    out = dict(_compose(tuple(w for w, mine in zip(words, own, strict=True) if not mine)))
    out |= {"method": _file("method", method), "data": _file("data", data)}
    for o, mine in zip(parsed, own, strict=True):
        if mine and "." in o.key_or_group:
            *steps, last = o.key_or_group.split(".")
            place = out
            for step in steps:
                place = place.setdefault(step, {})
                if not isinstance(place, dict):
                    return _compose(tuple(words))  # Hydra's sentence about it
            value = o.value()
            both = isinstance(value, dict) and isinstance(place.get(last), dict)
            place[last] = {**place[last], **value} if both else value
    return out


def _file(group: str, name: str) -> dict[str, Any]:
    """A fresh copy of an option's file as Hydra reads it: its YAML has numbers such as 1e-3."""
    require_option(group, name)
    path = options(group)[name]
    return copy.deepcopy(_read(path, path.stat().st_mtime_ns))


@functools.lru_cache(maxsize=1024)
def _read(path: Path, stamp: int) -> dict[str, Any]:
    from omegaconf import OmegaConf

    section = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    assert isinstance(section, dict)
    return {str(k): v for k, v in section.items() if k != "defaults"}


def _section(group: str, name: str) -> dict[str, Any]:
    """An experiment or a suite: files with fixed keys in a section of their own (`registry.vet`), so they are read as they are."""
    require_option(group, name)
    if "${" in options(group)[name].read_text():
        return _compose((f"{group}={name}",))[group] or {}
    return _file(group, name)


def _cells(words: list[str], download: bool) -> list[Cell]:
    plain = [w for w in words if key(w) in AXES]
    cfg = dict(_composed([w for w in words if key(w) not in AXES and not key(w).startswith("hydra")]))
    for o in parse(plain):
        cfg[o.key_or_group] = o.value()
    if not cfg.get("data"):
        raise BenchError(
            f"data is not chosen and method={cfg['method']['name']} names no default; add data=<name>, see `bench list`"
        )
    settings = settings_of(cfg)
    scale = str(cfg["scale"])
    method, data = typed("method", cfg["method"], scale), typed("data", cfg["data"], scale)
    skip, folds = method.fits(data), pick_folds(data, cfg["fold"])
    if skip:  # nothing of the data is touched for a pair that cannot run
        source, note = data.sources[0], ""
    else:
        source, note = resolve(data, Path(settings["root"]), Path(settings["cache"]), download)
    seeds = cfg["seed"] if isinstance(cfg["seed"], list) else [cfg["seed"]]
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise BenchError(f"seed={seed} must be a whole number from 0 on, or a list of them, e.g. seed=[0,1]")
    own = [w for w in words if key(w) not in (*AXES, "shard", "only") and not key(w).startswith("hydra")]
    return [
        Cell(method, data, scale, seed, fold, source, note, settings, own, skip) for seed in seeds for fold in folds
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


# ------------------------------------------------------------------------------------------ real or stand-in

_resolved: dict[Any, tuple[str, str]] = {}


def resolve(data: DataConfig, root: Path, cache: Path, download: bool) -> tuple[str, str]:
    """(source, note): real files when they are there or can be fetched and checked, else the stand-in, said loudly.

    Raises MissingData for data.source=real without files: the sentence says where they were looked for and how to get them.
    """
    if "simulated" in data.available():
        return "simulated", "simulated by design"
    memo = (data.name, json.dumps(chosen(data), sort_keys=True, default=str), data.source, root, cache, download)
    if memo not in _resolved:
        _resolved[memo] = _resolve(data, root, cache, download)
    return _resolved[memo]


def _resolve(data: DataConfig, root: Path, cache: Path, download: bool) -> tuple[str, str]:
    if data.source == "real" and "real" not in data.available():
        raise MissingData(
            f"data.source=real: there are no real data behind {data.name} with these choices; drop the word"
        )
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
        except BenchError as error:
            missing = f"{missing} and could not be fetched ({error})"
    if "synthetic" not in data.available():
        raise MissingData(f"{missing}; {get}")
    return "synthetic", f"SYNTHETIC STAND-IN: {missing}; {get}"


def fetch_real(data: DataConfig, root: Path, cache: Path) -> None:
    """Call the adapter's `fetch(config, root, cache)`: a checked download, or MissingData within about 2 s when offline."""
    module = importlib.import_module(data.adapter.partition(":")[0])
    if not hasattr(module, "fetch"):
        raise MissingData(f"{data.name} offers no download")
    try:
        module.fetch(data, root, cache)
    except OSError as error:
        raise MissingData(
            f"{root} cannot be written: {error.strerror}; set root= or BENCH_DATA to a folder that can"
        ) from None
