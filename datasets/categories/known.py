"""Which classes are known: the first ones, or those that a file lists."""

from __future__ import annotations

import json
import pickletools
from pathlib import Path

from bench.schema import BenchError
from datasets.categories.config import KNOWN, LISTED, Config

KEYS = ("known_classes", "Old")  # of the Semantic Shift Benchmark and of Herbarium's split


def known_classes(config: Config, names: tuple[str, ...], source: str, root: Path) -> list[int]:
    """Sorted indices of the known classes among `names`. BenchError when no class is left to be novel."""
    n = len(names)
    if config.known_file and source == "real":
        known = listed(root / config.known_file, names)
    elif config.known is None and source == "real" and config.dataset in LISTED:
        raise BenchError(
            f"the known classes of {config.dataset} are listed by {LISTED[config.dataset]}: name that file in data.known_file, or "
            "take the first ones with data.known=<number>, which is another split"
        )
    else:
        k = config.known or KNOWN.get(config.dataset, n // 2)
        known = list(range(n // 2 if source != "real" and k >= n else k))  # a stand-in has fewer classes
    if not known or len(known) >= n:
        raise BenchError(
            f"{len(known)} of {n} classes of {config.name} are known, so that the unlabelled images have no "
            f"{'novel' if known else 'known'} class; change data.known or data.known_file"
        )
    return sorted(known)


def listed(path: Path, names: tuple[str, ...]) -> list[int]:
    """Class indices that a file names: lines, a JSON list, or a pickle with a list of numbers under one of KEYS."""
    if not path.is_file():
        raise BenchError(f"data.known_file: there is no {path}; give a path below the data root")
    raw = path.read_bytes()
    entries: list[object]
    if path.suffix in (".pkl", ".pickle"):
        entries = list(_pickled(raw, path))
    else:
        try:
            text = raw.decode()
            entries = json.loads(text) if text.lstrip().startswith("[") else text.split("\n")
        except ValueError as error:
            raise BenchError(f"{path} is neither lines of classes nor a JSON list ({error}); mend it") from None
    index = {name: i for i, name in enumerate(names)}
    out = []
    for e in (str(e).strip() for e in entries):
        if e and e not in index and not (e.isdigit() and int(e) < len(names)):
            raise BenchError(
                f"{path} lists the class {e!r}, which is none of the {len(names)} classes; mend that entry"
            )
        if e:
            out.append(index[e] if e in index else int(e))
    return sorted(set(out))


def _pickled(raw: bytes, path: Path) -> list[int]:
    """The numbers of the list that follows one of KEYS, found among the opcodes; none is executed."""
    found: list[int] = []
    inside = False
    try:
        for opcode, value, _ in pickletools.genops(raw):
            if isinstance(value, str):
                inside = value in KEYS
            elif inside and opcode.name in ("BININT", "BININT1", "BININT2", "INT", "LONG1"):
                found.append(int(value))  # type: ignore[arg-type]
            elif inside and opcode.name in ("APPENDS", "SETITEM", "SETITEMS", "STOP"):
                inside = False
    except (ValueError, IndexError) as error:
        raise BenchError(f"{path} is no whole pickle ({error}); fetch it again") from None
    if not found:
        raise BenchError(
            f"{path} holds no list of whole numbers under {' or '.join(KEYS)}; write the classes as lines of text"
        )
    return found
