"""Speed of the rotation maps against SciPy's batched Rotation. Run: python scripts/speed/rotations.py

float64, one thread, the same arrays: raw parameters to matrices and matrices to parameters, at several batch sizes. SciPy's side makes
its Rotation object and reads the result, as a user would. Maps that SciPy has not (6D, 5D) stand against its nearest one, from_matrix
of the same matrices. Candidates run interleaved after a warm-up; ratios of medians (of minima), with the largest difference of results.
The last column is forward and backward over forward of our map, which SciPy has no counterpart of.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import torch
from scipy import __version__ as scipy_version
from scipy.spatial.transform import Rotation

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from models.geometry import rotations as rot  # noqa: E402
from scripts.speed.timing import interleaved, publish, ratio  # noqa: E402


def tasks(n: int) -> dict[str, tuple[Callable[[], torch.Tensor], Callable[[], object], torch.Tensor | None]]:
    """Name -> (ours, SciPy's, our differentiable input or None); both sides have their arguments ready in their own type."""
    g = torch.Generator().manual_seed(n)
    q, v, e = (torch.randn(n, k, generator=g, dtype=torch.float64) for k in (4, 3, 3))
    r = rot.haar(n, g)
    m = r + 0.1 * torch.randn(n, 3, 3, generator=g, dtype=torch.float64)
    six, five = rot.six_d_inverse(r), rot.five_d_inverse(r)
    qs, vs, es, rs, ms = (a.numpy() for a in (q[:, [1, 2, 3, 0]].contiguous(), v, e[:, [0, 2, 1]].contiguous(), r, m))
    return {
        "quaternion to matrix": (lambda: rot.quaternion(q), lambda: Rotation.from_quat(qs).as_matrix(), q),
        "rotation vector to matrix": (lambda: rot.rotation_vector(v), lambda: Rotation.from_rotvec(vs).as_matrix(), v),
        "Euler angles to matrix": (lambda: rot.euler(e), lambda: Rotation.from_euler("XZY", es).as_matrix(), e),
        "nearest rotation (SVD)": (lambda: rot.procrustes(m), lambda: Rotation.from_matrix(ms).as_matrix(), m),
        "6D to matrix": (lambda: rot.six_d(six), lambda: Rotation.from_matrix(rs).as_matrix(), six),
        "5D to matrix": (lambda: rot.five_d(five), lambda: Rotation.from_matrix(rs).as_matrix(), five),
        "matrix to quaternion": (
            lambda: rot.quaternion_inverse(r)[:, [1, 2, 3, 0]],
            lambda: Rotation.from_matrix(rs).as_quat(canonical=True),
            None,
        ),
        "matrix to rotation vector": (
            lambda: rot.rotation_vector_inverse(r),
            lambda: Rotation.from_matrix(rs).as_rotvec(),
            None,
        ),
        "matrix to Euler angles": (
            lambda: rot.euler_inverse(r)[:, [0, 2, 1]],
            lambda: Rotation.from_matrix(rs).as_euler("XZY"),
            None,
        ),
    }


def rows(n: int, seconds: float) -> list[str]:
    out = []
    for name, (ours, peer, x) in tasks(n).items():
        gap = float((ours() - torch.as_tensor(peer())).abs().max())
        both = ""
        if x is not None:
            x.requires_grad_()

            def forward(f: Callable[[], torch.Tensor] = ours) -> torch.Tensor:
                with torch.no_grad():
                    return f()

            def backward(f: Callable[[], torch.Tensor] = ours, x: torch.Tensor = x) -> object:
                return torch.autograd.grad(f().sum(), x)

            # apart from SciPy's turns, which would find the cache full of gradients
            both = ratio(interleaved({"both": backward, "ours": forward}, seconds), "both", "ours")
        t = interleaved({"ours": ours if x is None else forward, "scipy": peer}, seconds)
        out.append(f"| {n} | {name} | {ratio(t, 'ours', 'scipy')} | {gap:.0e} | {both} | {len(t['ours'])} |")
    return out


WHY = [
    "Where a ratio is above 1 at 100 rotations: the calls themselves count, and a map here makes ten to thirty of them. The forward of",
    "quaternions and of rotation vectors runs in NumPy on the tensor's memory, and writes each of the nine entries once.",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="time per line of the table")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 10000], help="rotations per batch")
    parser.add_argument("--no-write", action="store_true", help="print only, leave rotations.md alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# Rotation maps: time over SciPy's batched Rotation",
        "",
        f"`python scripts/speed/rotations.py`, float64, CPU, 1 thread, torch {torch.__version__}, SciPy {scipy_version}.",
        "Ratios of medians (of minima); below 1 is faster than SciPy. 6D and 5D, which SciPy has not, stand against its from_matrix.",
        "",
        "| batch | map | ours / SciPy | largest difference | forward and backward / forward | calls |",
        "|---|---|---|---|---|---|",
    ]
    for n in args.sizes:
        lines += rows(n, args.seconds)
    publish([*lines, "", *WHY], __file__, write=not args.no_write)


if __name__ == "__main__":
    main()
