"""How long from the command to the first training step, against the bare import of torch and lightning: ratios of CPU seconds.

    python scripts/speed/startup.py [--repeats 5]

The run is the main job on one subject with a single optimiser step; loading, the step, the test and the table are all in its time,
so the printed ratio is an upper bound of "from command to first training step".
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMPORT = "from models.nn.torchvision_ops import cure; cure(); import torch, lightning.pytorch"


def cpu_seconds(words: list[str]) -> float:
    """User and system seconds of a child process and its threads."""
    before = os.times()
    subprocess.run(
        [sys.executable, *words],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    answers = {
        "list": ["-m", "bench", "list"],
        "plan": ["-m", "bench", "plan", "experiment=gbw_rbn/mamem"],
        "--help": ["bench/run.py", "--help"],
    }
    ratios = []
    with tempfile.TemporaryDirectory() as out:
        words = ["bench/run.py", "method=gbw_rbn", "fold=0", "method.epochs=1", "method.max_steps=1"]
        for i in range(repeats):  # interleaved, so that a busy machine slows both
            bare = cpu_seconds(["-c", IMPORT])
            ratios.append(cpu_seconds([*words, f"out={out}/{i}"]) / bare)
    middle, least = statistics.median(ratios), min(ratios)
    print(f"one-step run / bare import of torch and lightning: median {middle:.2f}, min {least:.2f} ({repeats} pairs)")
    for name, words in answers.items():
        print(f"bench {name}: {min(cpu_seconds(words) for _ in range(3)):.2f} CPU s (best of 3)")


if __name__ == "__main__":
    main()
