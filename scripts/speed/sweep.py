"""What two processes gain on compute-bound cells: wall time of a joblib sweep against the same cells one after the other.

    python scripts/speed/sweep.py [--repeats 3]

Sixteen cells of the affine-invariant descent (about a second of arithmetic each, one thread), through the command line both times.
Start-up of the command and of the workers is in both; the ratio without it is printed, too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CELLS = [
    "method=aim_descent",
    "fold=[kappa100,kappa1000]",
    "seed=[0,1,2,3,4,5,6,7]",
    "method.cap=6000",
    "trainer.threads=1",
]
TWO = ["-m", "shard=[0,2],[1,2]", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]


def seconds(words: list[str]) -> float:
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(
            [sys.executable, "bench/run.py", *words, f"out={out}"],
            check=True,
            cwd=ROOT,
            env=env,
            stdout=subprocess.DEVNULL,
        )
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    whole, net = [], []
    for _ in range(repeats):
        idle = seconds(["method=bw_descent", "fold=kappa10"])  # start-up and one cell of no work
        one, two = seconds(CELLS), seconds([*CELLS, *TWO])
        whole.append(one / two)
        net.append((one - idle) / (two - idle))
    print(
        f"one process / two processes: median {statistics.median(whole):.2f}, best {max(whole):.2f} ({repeats} pairs)"
    )
    print(f"the same without start-up: median {statistics.median(net):.2f}, best {max(net):.2f}")


if __name__ == "__main__":
    main()
