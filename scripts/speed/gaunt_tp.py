"""Gaunt products against the Clebsch-Gordan products of e3nn. Run: python scripts/speed/gaunt_tp.py [--threads 1] [--device cuda]

One channel, degrees 0..L times 0..L to 0..2L, float32, batch 1 to 10,000, forward and forward with backward, 1 and 2 threads. Peers:
e3nn's `TensorProduct` over the paths of even l1 + l2 + l3 with weights that make it the same function (agreement is printed), and
over all paths (another, larger function). One process, candidates interleaved after a warm-up that also compiles e3nn's code;
ratios of medians (of minima). Clock: processor time of the process for one thread on a CPU, else wall time (device
synchronised). Construction and `torch.compile` are timed apart. Back ends that are known to be slow are left out of large cells.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import argparse
import itertools
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from e3nn import o3
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from models.gaunt_tp import GauntProduct, choose  # noqa: E402
from models.gaunt_tp.backends import BACKENDS  # noqa: E402
from models.geometry.spherical import gaunt_factor  # noqa: E402
from scripts.speed.timing import interleaved, ratio  # noqa: E402

DEGREES, BATCHES, FULL = range(1, 9), (1, 10, 100, 1000, 10_000), "e3nn, all paths"
EVEN = "e3nn, even paths"
OURS = tuple(BACKENDS)
LIMIT = {"dense": 3e6, "convolution": 1e5, "fourier": 1e7, FULL: 1e7}  # of batch L^4


def peer(top: int, even: bool) -> o3.TensorProduct:
    """e3nn's product, degrees 0..top twice to 0..2 top; with `even` it computes the Gaunt product."""
    degrees = range(top + 1)
    paths = [(a, b, c) for a in degrees for b in degrees for c in range(abs(a - b), a + b + 1)]
    if even:
        steps = [(*p, "uuu", False, gaunt_factor(*p) ** 2) for p in paths if sum(p) % 2 == 0]
    else:
        steps = [(*p, "uuu", False, 1.0) for p in paths]
    irreps = [o3.Irreps([(1, (d, 1)) for d in range(t + 1)]) for t in (top, top, 2 * top)]
    return o3.TensorProduct(*irreps, steps, irrep_normalization="none", path_normalization="none")


def fits(name: str, top: int, batch: int) -> bool:
    return batch * top**4 <= LIMIT.get(name, math.inf)


def call(f: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, backward: bool, sync: Callable[[], None]):
    def run() -> None:
        if backward:
            x.grad = y.grad = None
            z = f(x, y)
            z.backward(z.detach())
        else:
            with torch.no_grad():
                f(x, y)
        sync()

    return run


class Study:
    def __init__(self, device: str, seconds: float) -> None:
        self.device, self.seconds = device, seconds
        self.sync = torch.cuda.synchronize if device == "cuda" else lambda: None
        self.built: dict[int, dict[str, torch.nn.Module]] = {}
        self.build_s: dict[int, dict[str, float]] = {}

    def build(self, top: int) -> None:
        """All candidates of one degree, the first of each in this process timed: our tables are built here as well."""
        made, spent = {}, {}
        makers: dict[str, Callable[[], torch.nn.Module]] = {
            **{n: (lambda n=n: GauntProduct(top, backend=n)) for n in OURS},
            EVEN: lambda: peer(top, True),
            FULL: lambda: peer(top, False),
        }
        for name, make in makers.items():
            if name == "convolution" and top > 4:
                continue
            start = time.perf_counter()
            made[name] = make().to(self.device)
            spent[name] = time.perf_counter() - start
        self.built[top], self.build_s[top] = made, spent

    def cell(self, top: int, batch: int, backward: bool, threads: int) -> dict[str, list[float]]:
        torch.set_num_threads(threads)
        x, y = (torch.randn(batch, (top + 1) ** 2, device=self.device).requires_grad_(backward) for _ in range(2))
        calls = {n: call(m, x, y, backward, self.sync) for n, m in self.built[top].items() if fits(n, top, batch)}
        clock = time.process_time if threads == 1 and self.device == "cpu" else time.perf_counter
        # e3nn compiles on its second call; a large cell has no third warm-up
        return interleaved(calls, self.seconds, clock, least=3, warm=3 if batch < 10_000 else 2)

    def chosen(self, top: int, batch: int, backward: bool, threads: int) -> str:
        return choose((top, top, 2 * top), batch, self.device, threads, backward)


def table(study: Study, cells: dict, backward: bool, threads: int, batches: tuple[int, ...]) -> list[str]:
    where = f"{threads} thread{'s' if threads > 1 else ''}" if study.device == "cpu" else torch.cuda.get_device_name()
    lines = [
        f"## {'forward and backward' if backward else 'forward'}, {where}",
        "",
        "| L | batch | fastest | e3nn even / fastest | e3nn all / fastest | auto | auto / fastest | others / fastest |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for top in DEGREES:
        for batch in batches:
            times = cells[top, batch, backward, threads]
            ours = sorted((n for n in OURS if n in times), key=lambda n: statistics.median(times[n]))
            best, auto = ours[0], study.chosen(top, batch, backward, threads)
            rest = ", ".join(f"{n} {ratio(times, n, best, 1).partition(' ')[0]}" for n in ours[1:])
            full = ratio(times, FULL, best, 1) if FULL in times else ""
            lines.append(
                f"| {top} | {batch} | {best} | {ratio(times, EVEN, best, 1)} | {full} | {auto} "
                f"| {ratio(times, auto, best)} | {rest} |"
            )
    return [*lines, ""]


def slopes(cells: dict, backward: bool, batch: int) -> list[str]:
    """Exponents p of time ~ L^p, least squares over L = 2..8, where a back end was timed at six degrees or more."""
    lines = [
        f"| exponent over L = 2..8, batch {batch}, 1 thread | {'forward and backward' if backward else 'forward'} |",
        "|---|---|",
    ]
    for name in (*OURS, EVEN, FULL):
        degrees = [top for top in DEGREES if top >= 2 and name in cells[top, batch, backward, 1]]
        if len(degrees) < 6:
            continue
        x = torch.tensor([math.log(top) for top in degrees])
        y = torch.tensor([math.log(min(cells[top, batch, backward, 1][name])) for top in degrees])
        slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
        lines.append(f"| {name} | {slope:.1f} |")
    return [*lines, ""]


def agreement(study: Study) -> list[str]:
    """Largest difference in float32 from the dense contraction in float64, relative to the largest entry."""
    lines = ["| L | " + " | ".join([*OURS, EVEN]) + " |", "|---" * (len(OURS) + 2) + "|"]
    for top in DEGREES:
        x, y = (torch.randn(100, (top + 1) ** 2, device=study.device) for _ in range(2))
        exact = GauntProduct(top, backend="dense").to(study.device).double()(x.double(), y.double())
        row = [study.built[top].get(n) for n in (*OURS, EVEN)]
        error = [f"{float((m(x, y) - exact).abs().max() / exact.abs().max()):.0e}" if m else "" for m in row]
        lines.append(f"| {top} | " + " | ".join(error) + " |")
    return [*lines, ""]


def construction(study: Study) -> list[str]:
    lines = [
        "First construction in the process, relative to that of `grid` "
        "(the tables of `sphere` are then half there, and are kept for the next).",
        "",
        "| L | " + " | ".join([*OURS[:-1], EVEN, FULL]) + " |",
        "|---" * (len(OURS) + 2) + "|",
    ]
    for top in DEGREES:
        spent = study.build_s[top]
        row = [f"{spent[n] / spent['grid']:.1f}" for n in (*OURS[:-1], EVEN, FULL)]
        lines.append(f"| {top} | " + " | ".join(row) + " |")
    return [*lines, ""]


def compiled(study: Study, top: int, batch: int) -> list[str]:
    """torch.compile on and off; where no compiler is at hand, says so."""
    torch.set_num_threads(1)
    x, y = (torch.randn(batch, (top + 1) ** 2, device=study.device) for _ in range(2))
    calls, first = {}, {}
    try:
        for name in ("sphere", "grid", "separable"):
            module = torch.compile(study.built[top][name], dynamic=False)
            start = time.perf_counter()
            call(module, x, y, False, study.sync)()
            first[name] = time.perf_counter() - start
            calls[name], calls[f"{name} compiled"] = (
                call(f, x, y, False, study.sync) for f in (study.built[top][name], module)
            )
    except Exception as error:
        return [f"torch.compile: not timed ({type(error).__name__}).", ""]
    clock = time.process_time if study.device == "cpu" else time.perf_counter
    times = interleaved(calls, 2.0, clock)
    lines = [f"| L = {top}, batch {batch}, forward | compiled / eager | first call, in eager calls |", "|---|---|---|"]
    for name in first:
        eager = statistics.median(times[name])
        lines.append(f"| {name} | {ratio(times, f'{name} compiled', name)} | {first[name] / eager:.0f} |")
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.5, help="time per cell of the table")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument(
        "--threads",
        type=int,
        nargs="+",
        default=[1, 2],
        help="CPU threads; more than one needs an idle machine (wall time)",
    )
    parser.add_argument("--keep", type=Path, help="JSON file of measured cells: a run that was ended goes on from it")
    parser.add_argument("--no-write", action="store_true", help="print only, leave the .md alone")
    args = parser.parse_args()
    torch.manual_seed(0)
    study = Study(args.device, args.seconds)
    for name in OURS:  # imports are no part of a construction
        GauntProduct(0, backend=name)
    threads = tuple(args.threads) if args.device == "cpu" else (1,)
    kept = json.loads(args.keep.read_text()) if args.keep and args.keep.exists() else {}
    cells = {}
    for top in DEGREES:
        study.build(top)
        for key in itertools.product((top,), BATCHES, (False, True), threads):
            cells[key] = kept.get(str(key)) or study.cell(*key)
            if args.keep:
                args.keep.write_text(json.dumps({str(k): v for k, v in cells.items()}))
    torch.set_num_threads(1)
    loss = {
        key: min(t[study.chosen(*key)]) / min(min(t[n]) for n in OURS if n in t)
        for key, t in cells.items()
        if key[3] == 1
    }
    beyond = [
        f"L = {k[0]}, batch {k[1]}, {'step' if k[2] else 'forward'}: {v:.2f}" for k, v in loss.items() if v > 1.15
    ]
    reach = [
        statistics.median(t[EVEN]) / min(statistics.median(t[n]) for n in OURS if n in t)
        for (top, batch, backward, n), t in cells.items()
        if 3 <= top <= 6 and batch == 1000 and n == 1 and not backward
    ]
    words = "--device cuda" if args.device == "cuda" else f"--threads {' '.join(map(str, threads))}"
    lines = [
        "# Gaunt tensor products against the Clebsch-Gordan products of e3nn",
        "",
        f"`python scripts/speed/gaunt_tp.py {words}`, float32, torch {torch.__version__}. "
        "Ratios of medians (of minima). e3nn's even paths compute the same function; its product over all paths has the odd ones too.",
        "",
        f"Fastest back end against e3nn's even paths, L = 3..6, batch 1000, forward, one thread: {min(reach):.1f} to {max(reach):.1f} "
        f"times. `auto` against the fastest, minima, one thread: at most {max(loss.values()):.2f} over {len(loss)} cells; "
        f"beyond 1.15: {'; '.join(beyond) or 'none'}.",
        "",
        *slopes(cells, False, 1000),
        *slopes(cells, True, 1000),
        *agreement(study),
        *construction(study),
        *compiled(study, 4, 1000),
    ]
    for backward in (False, True):
        for n in threads:
            lines += table(study, cells, backward, n, BATCHES)
    text = "\n".join(lines)
    print(text)
    if not args.no_write:
        name = "gaunt_tp.md" if args.device == "cpu" else "gaunt_tp_cuda.md"
        (Path(__file__).parent / name).write_text(text)


if __name__ == "__main__":
    main()
