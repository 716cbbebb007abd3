"""The cards: models/<name>/card.yaml, what a paper printed and what is claimed of it here. Read only where numbers are needed."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from bench import ROOT
from bench.registry import FOLDER, conf_dirs
from bench.schema import BenchError


@functools.cache
def cards() -> dict[str, dict[str, Any]]:
    """Folder name -> card, of this project and of plugin packages."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    out = {}
    for parent in [ROOT, *(conf.parent for conf in conf_dirs()[1:])]:
        for path in sorted((parent / FOLDER["method"]).glob("*/card.yaml")):
            out[path.parent.name] = _read(path, loader)
    return out


def _read(path: Path, loader: Any) -> dict[str, Any]:
    import yaml

    try:
        card = yaml.load(path.read_text(), loader)
    except yaml.YAMLError as error:
        raise BenchError(f"{path}: not readable as YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(card, dict):
        raise BenchError(f"{path}: a card is a mapping with paper, numbers, claims; see the README")
    return card
