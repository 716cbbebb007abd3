"""`bench <verb> ...`. Exit codes: 0 done, 1 something failed or moved, 2 a mistake in the words."""

from __future__ import annotations

import argparse
import contextlib
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
  plan     what a run would do: done, to do, skipped             bench plan experiment=gbw_rbn/mamem [--count] [--keys FILE]
  doctor   is this machine ready: packages, data, folders, GPU   bench doctor
  prepare  download and check data, licence shown                bench prepare data=bci
  report   tables of finished cells; one HTML file               bench report [experiment=...] [--html|--md|--csv|--rows|--tex FILE]
           [--per-group FILE: a line per subject and method; --moabb FILE: the columns of MOABB's result files]
  import   show a MOABB result file beside our rows, marked      bench import results.csv data=bnci2014_004
  collect  merge results folders of several machines             bench collect A B out=results
  diff     what moved between two results or git revisions       bench diff HEAD~1 results
  cite     BibTeX of the methods and data in a table             bench cite experiment=gbw_rbn/mamem
  claims   paper versus ours: a verdict for every claim          bench claims [--md results/REPRODUCTION.md]
  gate     run a suite, fail when a number drifted               bench gate suite=ci
  baseline accept new numbers for the gate, old and new printed  bench baseline --accept <claim>

`python bench/run.py ...`, `bench run ...` and `python -m bench run ...` are the same thing. Every verb takes --json.
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
        "import": _module("imported"),
        "collect": _module("collect"),
        "diff": _module("diff"),
        "cite": _module("cite"),
        "claims": _claims,
        "gate": _gate,
        "baseline": _baseline,
    }
    try:
        if argv[0] not in verbs:
            from bench.registry import did_you_mean

            raise BenchError(f"bench {argv[0]} is no verb{did_you_mean(argv[0], verbs)}")
        return verbs[argv[0]](argv[1:])
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            sys.stderr.close()
            return 0
        print(
            f"error: {error.filename or 'a file'}: {error.strerror or error}; check the path and its rights",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("interrupted; finished cells are kept and the same command goes on", file=sys.stderr)
        return 130


def _run(argv: list[str]) -> int:
    from bench.run import main as run

    return run(argv)


def _module(name: str) -> Callable[[list[str]], int]:
    """The verb of a module of its own, imported when it is used."""

    def verb(argv: list[str]) -> int:
        import importlib

        return importlib.import_module(f"bench.{name}").main(argv)

    return verb


def _words(argv: list[str], *flags: str) -> tuple[list[str], argparse.Namespace]:
    """Overrides and flags of a verb; every verb has --json, `flags` name the ones that take a file."""
    from bench.words import adopt_plugins

    parser = argparse.ArgumentParser(prog="bench", add_help=True)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("-m", "--multirun", action="store_true", help="accepted, so that a run's words can be pasted")
    for flag in flags:
        parser.add_argument(f"--{flag}", metavar="FILE")
    spaces = parser.parse_args(argv)
    adopt_plugins(spaces.overrides)
    return spaces.overrides, spaces


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

    words, flags = _words([w for w in argv if w != "--count"], "keys")
    found = planned(words)
    if flags.keys:
        Path(flags.keys).parent.mkdir(parents=True, exist_ok=True)
        Path(flags.keys).write_text("".join(f"{c['key']}\n" for c in found["cells"] if c["will_run"]))
    if "--count" in argv:
        print(found["to_run"])
        return 0
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
    from bench import imported
    from bench.report import load_records, markdown_text, write_files
    from bench.words import absolute, results_folder

    forms = ("html", "md", "csv", "rows", "tex", "per_group", "moabb")
    words, flags = _words(argv, *(f.replace("_", "-") for f in forms))
    words = absolute(words)
    records, bad = load_records(words)
    for sentence in bad:
        print(f"note: {sentence}", file=sys.stderr)
    if flags.json:
        from bench.store import rows

        return _emit([row for r in records for row in rows(r)])
    out = results_folder(words)
    files = {form: file for form in forms if (file := getattr(flags, form))}
    if not files and records:
        files = {"html": str(out / "report.html")}
    verdicts = None
    if "html" in files:
        from bench.claims import as_dicts, evaluate, numbers

        everything = _all_records(words)  # a selection of rows must not change a verdict
        verdicts = as_dicts([*evaluate(everything), *numbers(everything)])
    beside = imported.read(out)
    for path in write_files(files, records, bad=bad, out=out, claims=verdicts, imported=beside):
        print(f"written {path}", file=sys.stderr)
    print(markdown_text(records, beside))
    return 0 if records else 1


def _claims(argv: list[str]) -> int:
    from bench import claims

    words, flags = _words(argv, "md")
    records = _all_records(words)
    verdicts = claims.evaluate(records)
    if flags.md:
        Path(flags.md).write_text(claims.markdown(records))
        print(f"written {flags.md}", file=sys.stderr)
    if flags.json:
        return _emit(claims.as_dicts([*verdicts, *claims.numbers(records)]))
    for v in verdicts:
        print(
            f"{v.verdict.upper():<14} {v.id} ({v.gate}): {v.statement}\n    ours: {v.ours or 'none'}\n    {v.why}\n    {v.command}"
        )
    return 0


def _all_records(words: list[str]) -> list[dict[str, Any]]:
    """Records of the results folder, committed rows included; unreadable files are told and left out."""
    from bench import store
    from bench.words import check_overrides, results_folder

    check_overrides(words)
    records = []
    for record in store.all_records(results_folder(words)):
        if isinstance(record, BenchError):
            print(f"note: {record}", file=sys.stderr)
        else:
            records.append(record)
    return records


def _gate(argv: list[str]) -> int:
    from bench.gate import gate

    words, flags = _words(argv)
    if not flags.json:
        return 1 if gate(words) else 0
    with contextlib.redirect_stdout(sys.stderr):
        broken = gate(words)
    _emit({"broken": broken})
    return 1 if broken else 0


def _baseline(argv: list[str]) -> int:
    from bench.gate import accept

    if "--accept" not in argv:
        raise BenchError(
            "bench baseline --accept <claim>, or method/data/fold/metric with wildcards, or all: says what to accept"
        )
    i = argv.index("--accept")
    if i + 1 == len(argv):
        raise BenchError("--accept needs a claim id, method/data/fold/metric (wildcards allowed) or all")
    words, flags = _words(argv[:i] + argv[i + 2 :])
    if not flags.json:
        accept(words, argv[i + 1])
        return 0
    with contextlib.redirect_stdout(sys.stderr):
        changes = accept(words, argv[i + 1])
    return _emit({"changes": changes})


if __name__ == "__main__":
    sys.exit(main())
