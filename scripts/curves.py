"""Curves of finished cells of an experiment: median and quartile band over folds and seeds, against any budget.

    python scripts/curves.py experiment=gns/log_sum_exp --x solves --y gap --png curves.png
    python scripts/curves.py experiment=mip/digits --y noisy_accuracy --linear --png curves.png
    python scripts/curves.py experiment=lr_perceptron/digits --y error --data "digit_pairs (first=5, ...)" --png curves.png

`--x` is the step of the curve or the name of another curve of the same cells that grows (solves, evaluations, seconds). One
figure per data set and its choices; with `--png` the name of the data set is put before the ending where there are several.
Prints, for each method, the number of runs and the median of the last value and of the last budget.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.report import load_records  # noqa: E402
from bench.report.arrays import folder_of, read_curves  # noqa: E402
from bench.schema import BenchError  # noqa: E402
from bench.table import variant_name  # noqa: E402
from bench.words import results_folder  # noqa: E402
from models.geometry.objectives.trace import LABEL, draw_bands  # noqa: E402

Runs = dict[str, list[tuple[np.ndarray, np.ndarray]]]  # method -> (budget, value) of each run


def collect(words: list[str], x: str, y: str) -> dict[str, Runs]:
    """{data set with its choices: {method with its choices: runs}}, read from curves.npz beside the rows."""
    records, _ = load_records(words)
    out: dict[str, Runs] = {}
    for r in records:
        folder = folder_of(results_folder(words), r) if r.get("status") == "done" else None
        curves = read_curves(folder) if folder else {}
        if y not in curves or (x != "step" and x not in curves):
            continue
        step, value = curves[y]
        budget = step if x == "step" else np.interp(step, *curves[x])
        out.setdefault(variant_name(r, "data"), {}).setdefault(variant_name(r), []).append((budget, value))
    return out


def floor(value: np.ndarray) -> np.ndarray:
    """Values for a logarithmic axis: zeros (a reached optimum, no error left) are not drawn."""
    return np.where(value > 1e-300, value, np.nan)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="which rows: experiment=..., out=..., scale=...")
    parser.add_argument("--x", default="step", help="step, or a curve that grows: solves, evaluations, seconds")
    parser.add_argument(
        "--y",
        default="gap",
        help="the curve that is drawn: gap, gradient_norm, loss, error, noisy_accuracy, relative_excess, ...",
    )
    parser.add_argument("--linear", action="store_true", help="a linear y axis, for accuracies; otherwise logarithmic")
    parser.add_argument("--data", default="", help="only this data set, named as in the printed list")
    parser.add_argument("--png", type=Path, help="file of the figure")
    given = parser.parse_args(arguments)
    try:
        groups = collect(given.words, given.x, given.y)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    groups = {name: runs for name, runs in groups.items() if given.data in ("", name)}
    if not groups:
        print(
            f"no finished cell has the curves {given.y} and {given.x}; run the experiment first, with the same out=",
            file=sys.stderr,
        )
        return 2
    for name, lines in sorted(groups.items()):
        print(f"\n{name}\n\n| method | runs | median last {given.x} | median last {given.y} |\n|---|---|---|---|")
        for method, runs in sorted(lines.items()):
            last = [np.median([run[i][-1] for run in runs]) for i in (0, 1)]
            print(f"| {method} | {len(runs)} | {last[0]:.4g} | {last[1]:.3g} |")
        if given.png:
            path = given.png if len(groups) == 1 else given.png.with_stem(f"{given.png.stem}_{name.split(' ')[0]}")
            save(lines, given, name, path)
    return 0


def save(lines: Runs, given: Any, title: str, path: Path) -> None:
    shown = (lambda y: y) if given.linear else floor
    drawn = {method: [(x, shown(y)) for x, y in runs] for method, runs in sorted(lines.items())}
    scale = "linear" if given.linear else "log"
    figure = draw_bands(drawn, LABEL.get(given.x, given.x), given.y, title, scale)
    figure.savefig(path, dpi=120, bbox_inches="tight", metadata={"Software": None})
    print(f"\n{path}")


if __name__ == "__main__":
    raise SystemExit(main())
