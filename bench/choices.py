"""From a composed YAML section to a checked dataclass: types, admissible values, values by scale, what was chosen."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from typing import Any

from bench.registry import config_class, did_you_mean, require_option
from bench.schema import SCALES, BenchError, Choice, DataConfig


def typed(group: str, section: dict[str, Any], scale: str) -> Any:
    """The dataclass behind `section` of a composed config, filled in for `scale` and checked.

    Raises BenchError, naming the field and the remedy, for an unknown field, a wrong type or an inadmissible value.
    """
    if scale not in SCALES:
        raise BenchError(f"scale={scale} is unknown{did_you_mean(scale, SCALES)}")
    label = section.get("name", "")
    cls = config_class(group, section.get("use") or label)
    at = section.get("at") or {}
    for key in at:
        if key not in SCALES:
            raise BenchError(f"{group}={label}: `at` has a scale {key!r}{did_you_mean(key, SCALES)}")
    _known(group, label, cls, section)
    filled = _fill(section, at.get(scale) or {}, cls, f"{group}.at.{scale}")
    made = (group, label, cls, json.dumps(filled, default=repr))
    if (
        made not in _MADE
    ):  # a plan asks for the same few sections thousands of times, and omegaconf takes milliseconds for each
        value = _structured(group, label, cls, filled)
        _admissible(value, group)
        _MADE[made] = value
    value = copy.deepcopy(_MADE[made])
    value.check()
    return value


_MADE: dict[tuple[str, str, type, str], Any] = {}


def _known(prefix: str, label: str, cls: type, section: dict[str, Any]) -> None:
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for key, value in section.items():
        if key not in fields:
            raise BenchError(f"{prefix}.{key} is no field of {label}{did_you_mean(key, fields)}")
        nested = nested_class(fields[key])
        if nested and isinstance(value, dict):
            _known(f"{prefix}.{key}", label, nested, value)


def nested_class(field: dataclasses.Field[Any]) -> type | None:
    """The dataclass that a field nests, if it does (its default factory is the class itself)."""
    factory = field.default_factory
    return factory if isinstance(factory, type) and dataclasses.is_dataclass(factory) else None


def _fill(section: dict[str, Any], at: dict[str, Any], cls: type, where: str) -> dict[str, Any]:
    """A field that nobody set takes the scale's value, a null one too; what a file or a command gives explicitly wins."""
    out = dict(section)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for key, value in at.items():
        if key not in fields:
            raise BenchError(f"{where}.{key} is no field of {cls.__module__}{did_you_mean(key, fields)}")
        nested = nested_class(fields[key])
        if nested and isinstance(value, dict):
            out[key] = _fill(out.get(key) or {}, value, nested, f"{where}.{key}")
        elif out.get(key) is None:
            out[key] = value
    return out


def _structured(group: str, label: str, cls: type, section: dict[str, Any]) -> Any:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(cls), section))
    except OmegaConfBaseException as error:
        key = error.full_key or ""
        what = str(error.msg or error).splitlines()[0]
        if not key:  # a whole section was given as one value
            what, key = "a nested section takes fields, e.g. data.twin.seed=3, not one value", "twin"
        raise BenchError(f"{group}.{key} of {label}: {what}; {_expected(cls, key)}") from None


def _expected(cls: type, key: str) -> str:
    for f in dataclasses.fields(cls):
        if f.name == key.split(".")[0]:
            return f"it takes {f.type} ({f.metadata.get('help', '')})"
    return "see `bench list`"


def _admissible(value: Any, prefix: str) -> None:
    for f in dataclasses.fields(value):
        v, meta, name = getattr(value, f.name), f.metadata, f"{prefix}.{f.name}"
        if dataclasses.is_dataclass(v):
            _admissible(v, name)
        elif v is not None:
            if meta.get("choices") and v not in meta["choices"]:
                raise BenchError(f"{name}={v} is unknown{did_you_mean(v, map(str, meta['choices']))}")
            if isinstance(v, float) and not math.isfinite(v):
                raise BenchError(f"{name}={v} must be a finite number")
            low, high = meta.get("low"), meta.get("high")
            if (low is not None and not v >= low) or (high is not None and not v <= high):
                bounds = (
                    f"at least {low}"
                    if high is None
                    else f"at most {high}"
                    if low is None
                    else f"between {low} and {high}"
                )
                raise BenchError(f"{name}={v} is out of range: it must be {bounds}")


def chosen(value: Any) -> dict[str, Any]:
    """Fields that differ from their default, nested dataclasses likewise: the part of a config that enters the key.

    A new field whose default keeps the old behaviour therefore changes no key.
    """
    out: dict[str, Any] = {}
    default = type(value)()
    # said elsewhere in the key, or no choice at all; a part of a config may well have a field of such a name
    apart = (("name", "use", "at") if isinstance(value, Choice) else ()) + (
        ("source",) if isinstance(value, DataConfig) else ()
    )
    for f in dataclasses.fields(value):
        if f.name in apart:
            continue
        v, d = getattr(value, f.name), getattr(default, f.name)
        if dataclasses.is_dataclass(v):
            nested = chosen(v)
            if nested:
                out[f.name] = nested
        elif v != d:
            out[f.name] = v
    return out


def closest_field(group: str, options: list[str], path: str) -> str:
    """ "; did you mean ...?" for a dotted field that none of these options has."""
    known: set[str] = set()
    for option in options:
        known |= set(_dotted(config_class(group, owner(group, option))))
    return did_you_mean(path, known)


def _dotted(cls: type, prefix: str = "") -> list[str]:
    """Names of all fields, nested ones with a dot."""
    names = []
    for f in dataclasses.fields(cls):
        nested = nested_class(f)
        names += _dotted(nested, f"{prefix}{f.name}.") if nested else [f"{prefix}{f.name}"]
    return names


def field_exists(group: str, option: str, path: list[str]) -> bool:
    """Whether the config behind `group=option` has the field `path`, e.g. ["twin", "seed"]."""
    cls: type | None = config_class(group, owner(group, option))
    for i, part in enumerate(path):
        fields = {f.name: f for f in dataclasses.fields(cls)} if cls else {}
        if part not in fields:
            return False
        if i == 0 and part == "at":
            return True
        cls = nested_class(fields[part])
    return True


def owner(group: str, option: str) -> str:
    """The folder that owns an option: `use` in its YAML, else its own name."""
    section = raw(group, option)
    return section.get("use") or section.get("name") or option


def raw(group: str, option: str) -> dict[str, Any]:
    """The YAML of an option as written, without composition (fast: the C loader)."""
    import yaml

    from bench.registry import options

    require_option(group, option)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(options(group)[option].read_text(), loader) or {}


def default_data(method: str) -> str | None:
    """The data set that a method's YAML chooses: `defaults: [override /data@_global_.data: bci]`."""
    for entry in raw("method", method).get("defaults") or []:
        if isinstance(entry, dict):
            for key, value in entry.items():
                if key.startswith("override /data"):
                    return value
    return None
