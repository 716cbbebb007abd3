"""Rows as packed columns: ten thousand of them share few configurations, machines and versions."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from bench.store import COLUMNS

NOT_OF_A_CELL = ("metric", "value", "better", "unit")  # columns of one metric
FIELDS = [
    *(c for c in COLUMNS if c not in NOT_OF_A_CELL),
    *("main", "traceback", "command", "config", "data_config", "identity", "card", "n_test", "n_out", "validation"),
]


def plain(value: Any) -> Any:
    """A value as JSON can hold it: numbers stay numbers, what is not finite becomes null, the rest becomes text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return plain(value.item()) if hasattr(value, "item") else str(value)


def column(values: Sequence[Any]) -> dict[str, Any]:
    """{"all": values}, or {"pool": distinct values, "at": positions in it} when that is shorter."""
    places: dict[Any, int] = {}
    pool: list[Any] = []
    at: list[int] = []
    for value in values:
        key = json.dumps(value, sort_keys=True) if isinstance(value, (dict, list)) else (type(value), value)
        if key not in places:
            places[key] = len(pool)
            pool.append(value)
        at.append(places[key])
    return {"pool": pool, "at": at} if len(pool) <= len(values) // 2 else {"all": list(values)}


def pack(records: Sequence[dict[str, Any]], places: dict[int, tuple[int, str]]) -> dict[str, Any]:
    """All columns of all rows. `places`: position of a row -> (its table, its line), for rows that are in one."""
    out = {name: column([_field(plain(r.get(name)), name) for r in records]) for name in FIELDS}
    metrics = [r.get("metrics") or [] for r in records]
    out["metrics"] = column([[[m["metric"], m.get("better"), m.get("unit")] for m in ms] for ms in metrics])
    out["values"] = column([[plain(m["value"]) for m in ms] for ms in metrics])
    out["table"] = column([places[i][0] if i in places else None for i in range(len(records))])
    out["label"] = column([places[i][1] if i in places else r.get("method") for i, r in enumerate(records)])
    return {"n": len(records), "columns": out}


def _field(value: Any, name: str) -> Any:
    """Of the identity only what differs between few rows; scale, seed and fold are columns of their own."""
    if name == "identity" and isinstance(value, dict):
        return {k: v for k, v in value.items() if k in ("schema", "method", "data")}
    return value
