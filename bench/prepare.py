"""`bench prepare data=<name>`: show the licence, download what is absent, check every file against its committed sha256."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bench import plan
from bench.registry import options
from bench.schema import BenchError
from bench.settings import folders
from bench.words import absolute, check_overrides, key, parse, values_of


def prepare(words: Sequence[str], say: Callable[[str], None] = print) -> list[dict[str, Any]]:
    """Make the real files of the named data sets present and checked. Resumable: what is there and right stays."""
    from bench.choices import typed
    from datasets.files import verified

    names = [v for o in parse(words) if o.key_or_group == "data" for v in values_of(o)]
    if not names:
        raise BenchError(f"name the data, e.g. bench prepare data=bci; there is {', '.join(options('data'))}")
    done = []
    checked = [w for w in absolute(check_overrides(words)) if key(w) != "data"]
    for name in names:
        with plan.composing():
            cfg = dict(plan._compose((*checked, f"data={name}")))
        _, root, cache = folders(cfg)
        data = typed("data", cfg["data"], "reduced")
        data.source = (
            "real"  # asked for by name: also where a provider publishes no checksum, which `auto` never fetches
        )
        say(f"{name}: {data.licence or 'no licence stated'}")
        if data.citation:
            say(f"  cite: {data.citation}")
        if "real" not in data.sources:
            say(f"  nothing to download: {' or '.join(data.sources)} data, made when a cell runs")
            done.append({"data": name, "files": 0, "where": None})
            continue
        if not data.present(root, cache):
            size = sum(f.size for f in data.files()) / 1e6
            say(
                f"  fetching {len(data.files())} files, {size:.1f} MB, into {data.where(root, cache)}"
                if size
                else f"  fetching into {data.where(root, cache)}"
            )
            plan.fetch_real(data, root, cache)
        for file in data.files():
            verified(root, file)
        say(
            f"  {len(data.files())} files match their sha256 in {data.where(root, cache)}"
            if data.files()
            else f"  present in {data.where(root, cache)}"
        )
        done.append({"data": name, "files": len(data.files()), "where": data.where(root, cache)})
    return done
