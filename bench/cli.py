"""`bench <verb> ...`: run, list, plan, doctor, prepare, report. Exit codes: 0 done, 1 something failed, 2 a mistake in the words."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import __version__, add_root
from bench.schema import BenchError

HELP = """usage: bench <verb> [key=value ...]

  run      run cells (Hydra: --multirun, --cfg job, --help)      bench run method=gbw_rbn data=bci
  list     methods, data sets, which fit which and why not       bench list [method=<name>] [data=<name>]
  plan     what a run would do: done, to do, skipped             bench plan experiment=gbw_rbn/mamem
  doctor   is this machine ready: packages, data, folders, GPU   bench doctor
  prepare  download and check data, licence shown                bench prepare data=bci
  report   tables of finished cells                              bench report [experiment=...] [--md FILE] [--csv FILE]

`python bench/run.py ...`, `bench run ...` and `python -m bench run ...` are the same thing. Every verb but run takes --json.
"""


def main(argv: list[str] | None = None) -> int:
    """Dispatch a verb. A mistake that the user can mend is one sentence on stderr and exit code 2."""
    argv = list(sys.argv[1:] if argv is None else argv)
    add_root()
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(HELP)
        return 0 if argv else 2
    if argv[0] == "--version":
        print(f"holonomy {__version__}")
        return 0
    verbs: dict[str, Callable[[list[str]], int]] = {
        "run": _run,
        "list": _list,
        "plan": _plan,
        "doctor": _doctor,
        "prepare": _prepare,
        "report": _report,
    }
    try:
        if argv[0] not in verbs:
            from bench.registry import did_you_mean

            raise BenchError(f"bench {argv[0]} is no verb{did_you_mean(argv[0], verbs)}")
        return verbs[argv[0]](argv[1:])
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; finished cells are kept and the same command goes on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def _run(argv: list[str]) -> int:
    from bench.run import main as run

    return run(argv)


def _words(argv: list[str], *flags: str) -> tuple[list[str], argparse.Namespace]:
    """Overrides and flags of a verb; every verb has --json, `flags` name the ones that take a file."""
    parser = argparse.ArgumentParser(prog="bench", add_help=True)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("-m", "--multirun", action="store_true", help="accepted, so that a run's words can be pasted")
    for flag in flags:
        parser.add_argument(f"--{flag}", metavar="FILE")
    spaces = parser.parse_args(argv)
    _plugins(spaces.overrides)
    return spaces.overrides, spaces


def _plugins(words: list[str]) -> None:
    import os

    from bench import plan, registry

    given = [w for w in words if w.startswith("plugins=")]
    for o in plan.parse(given):
        value = o.value()
        os.environ["BENCH_PLUGINS"] = ",".join(value if isinstance(value, list) else [str(value)])
    registry.use_plugins(registry.plugins_from())


def _emit(value: Any) -> int:
    print(json.dumps(value, indent=1, default=str))
    return 0


# ------------------------------------------------------------------------------------------ verbs


def _list(argv: list[str]) -> int:
    from bench.listing import listing, text

    words, flags = _words(argv)
    found = listing(words)
    if flags.json:
        return _emit(found)
    print(text(found))
    return 0


def _plan(argv: list[str]) -> int:
    from bench.listing import plan_text, planned

    words, flags = _words(argv)
    found = planned(words)
    if flags.json:
        return _emit(found)
    print(plan_text(found))
    return 0


def _doctor(argv: list[str]) -> int:
    from bench.doctor import checks

    words, flags = _words(argv)
    found = checks(words)
    if flags.json:
        _emit([dict(zip(("check", "ok", "detail"), c, strict=True)) for c in found])
    else:
        for name, ok, detail in found:
            print(f"{'ok  ' if ok else 'note' if ok is None else 'FAIL'}  {name}: {detail}")
    return 0 if all(ok is not False for _, ok, _ in found) else 1


def _prepare(argv: list[str]) -> int:
    from bench.prepare import prepare

    words, flags = _words(argv)
    found = prepare(words, say=(lambda text: print(text, file=sys.stderr)) if flags.json else print)
    return _emit(found) if flags.json else 0


def _report(argv: list[str]) -> int:
    from bench.plan import absolute
    from bench.report import csv_text, load_records, markdown_text

    words, flags = _words(argv, "md", "csv")
    records, bad = load_records(absolute(words))
    for sentence in bad:
        print(f"note: {sentence}", file=sys.stderr)
    if flags.json:
        from bench.store import rows

        return _emit([row for r in records for row in rows(r)])
    text = markdown_text(records)
    for path, content in ((flags.md, text), (flags.csv, csv_text(records) if flags.csv else "")):
        if path:
            Path(path).write_text(content)
            print(f"written {path}", file=sys.stderr)
    print(text)
    return 0 if records else 1


if __name__ == "__main__":
    sys.exit(main())
