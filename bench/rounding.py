"""What another machine may do to a number: the same cells again, by the vector kernels of older processors and with more threads.

Libraries choose their kernels by the processor they find; kernels and threads add in different orders. A number that this
moves is not wrong, and a gate that runs on another machine than the one that accepted it must let it move that far.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import plan, store
from bench.execute import run_cells
from bench.plan import Cell
from bench.schema import BenchError

_NO_AVX512 = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
# torch, MKL, OpenBLAS, oneDNN and numpy each read a variable of their own; where one does not apply it is ignored
KERNELS: dict[str, dict[str, str]] = {
    "threads": {"OMP_NUM_THREADS": "2"},
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_CBWR": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "NPY_DISABLE_CPU_FEATURES": _NO_AVX512,
    },
    "sse": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",
        "OPENBLAS_CORETYPE": "Prescott",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "NPY_DISABLE_CPU_FEATURES": _NO_AVX512,
    },
}


def by_other_kernels(cells: Sequence[Cell], words: Sequence[str]) -> list[dict[str, Any]]:
    """Records of these cells (one seed of what `words` plan), once per set of kernels, each in a process of its own.

    Rows lie beside the results, in <out>/kernels/<name>, and are kept as rows are. Raises BenchError with the last
    lines of a process that failed.
    """
    out = Path(cells[0].settings["out"])
    kept = [w for w in words if w.partition("=")[0] not in ("out", "only", "seed", "trainer.threads")]
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys"
        keys.write_text("".join(f"{c.key}\n" for c in cells))
        jobs = {}
        for name, env in KERNELS.items():
            command = [sys.executable, "-m", "bench.rounding", *kept, f"seed={cells[0].seed}", f"only={keys}"]
            command += [f"trainer.threads={env.get('OMP_NUM_THREADS', 1)}"]
            with (Path(folder) / name).open("w") as log:
                jobs[name] = subprocess.Popen(
                    [*command, f"out={out / 'kernels' / name}"],
                    env=os.environ | env,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
        for name, job in jobs.items():
            if job.wait() != 0:
                tail = (Path(folder) / name).read_text().strip().splitlines()[-5:]
                raise BenchError(f"the cells did not all finish with the {name} kernels:\n" + "\n".join(tail))
    wanted = {c.key for c in cells}
    found = [r for name in KERNELS for r in store.scan(out / "kernels" / name)]
    return [r for r in found if not isinstance(r, BenchError) and r.get("key") in wanted]


if __name__ == "__main__":
    _cells = plan.expand(sys.argv[1:], strict=False, download=False)
    sys.exit(len(run_cells(_cells)[1]) < len(_cells))
