"""Hydra entry: `python bench/run.py method=gbw_rbn data=bci`, the same thing as `bench run ...` and `python -m bench run ...`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # started as a file: Python put bench/ on the path instead of the root
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench import CONF, add_root
from bench.schema import BenchError


def job(_: Any) -> float | None:
    """One Hydra job: the cells of its overrides. Returns the mean validation metric, the objective of a sweeper."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from bench import registry
    from bench.execute import CellsFailed, Stopped, execute

    add_root()  # a launcher may have started this job in a fresh process
    registry.use_plugins(registry.plugins_from())
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:  # the launcher collects what each job raises
        return execute(list(hydra.overrides.task), multirun=True)
    try:
        return execute(list(hydra.overrides.task))
    except (BenchError, CellsFailed, Stopped) as error:  # one sentence instead of Hydra's traceback
        print(f"error: {error}" if not isinstance(error, Stopped) else str(error), file=sys.stderr)
        raise SystemExit(2 if isinstance(error, BenchError) else 1 if isinstance(error, CellsFailed) else 75) from None
    except BrokenPipeError:  # `bench run ... | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


WITH_VALUE = (
    "--cfg",
    "-c",
    "--package",
    "-p",
    "--config-dir",
    "-cd",
    "--config-name",
    "-cn",
    "--info",
    "--experimental-rerun",
)
ASKING = ("--hydra-help", "--info", "--cfg", "-c", "--shell-completion", "-sc")  # nothing is run


def split(argv: list[str]) -> tuple[list[str], list[str]]:
    """(overrides, Hydra's flags with their values)."""
    overrides, flags, rest = [], [], list(argv)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            overrides.append(word)
            continue
        flags.append(word)
        if word in WITH_VALUE and rest and not rest[0].startswith("-") and "=" not in rest[0]:
            flags.append(rest.pop(0))
    return overrides, flags


def main(argv: list[str]) -> int:
    """Check the command line, then hand it to Hydra.

    Exit codes: 0 done, 1 a cell failed, 2 a mistake in the words, 75 stopped by deadline or signal with work left.
    """
    given, flags = split([w for w in argv if w != "--json"])
    if {"--help", "-h"} & set(flags):
        from bench.listing import usage  # Hydra's own help copies its configuration once per option and grows with each

        print(usage())
        return 0
    import hydra

    from bench import plan, words

    names = {f.partition("=")[0] for f in flags}
    multirun = bool({"-m", "--multirun"} & names)
    words.adopt_plugins(given)
    checked = words.check_overrides(given)
    if multirun:
        plan.check_fields(given)
    elif not names & set(ASKING):
        for o in words.parse(given):
            if o.is_sweep_override():
                raise BenchError(f"{o.key_or_group} has several values; add --multirun (-m) to sweep over them")
    extra = [words.search_path()]
    if multirun:
        extra.append(words.quoted("hydra.sweep.dir", words.sweep_folder(given)))
    known = {words.key(w) for w in given}
    with ExitStack() as stack:
        if "--json" in argv:
            extra += stack.enter_context(_rows_as_json(given))
        sys.argv = ["bench run", *words.absolute(checked), *(e for e in extra if words.key(e) not in known), *flags]
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="run")(job)()
    sys.stdout.flush()  # a closed pipe shows here, not in Python's last breath
    return 0


@contextmanager
def _rows_as_json(given: list[str]) -> Iterator[list[str]]:
    """`--json`: what is said goes to stderr, of child processes too, and the rows of the run's cells to stdout at the end."""
    import json
    import shutil

    from bench import store, words

    out = words.results_folder(given)
    keys = Path(words.sweep_folder(given) + "-keys")
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield [words.quoted("+hydra.job.env_set.BENCH_KEYS", str(keys))]
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)
        cells = [line for f in sorted(keys.glob("*")) for line in f.read_text().split()]
        records = [store.read_cell(out / "cells" / c) for c in dict.fromkeys(cells)]
        shutil.rmtree(keys, ignore_errors=True)
        print(json.dumps([row for r in records if r for row in store.rows(r)], indent=1, default=str))


if __name__ == "__main__":
    from bench.cli import main as cli

    sys.exit(cli(["run", *sys.argv[1:]]))
