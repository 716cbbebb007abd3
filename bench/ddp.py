"""trainer=ddp on one machine: the process that holds the cell's lock is rank 0 and starts the others for this cell only.

The followers run the same cell up to the end of training, without lock, loggers or row. They find it by the same words and check
its key, so a follower can never train something else. `python -m bench.ddp <JSON>` is a follower; nobody types it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench import ROOT, add_root
from bench.plan import Cell
from bench.schema import BenchError

READY = b"ready"
ENV = ("MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE")


def place(trainer: dict[str, Any]) -> tuple[int, int]:
    """(rank, world size) of this process under the trainer's settings."""
    if not str(trainer["strategy"]).startswith("ddp"):
        return 0, 1
    world = trainer["devices"]
    if isinstance(world, bool) or not isinstance(world, int) or world < 1:
        raise BenchError(f"trainer.devices={world}: trainer=ddp needs the number of processes, e.g. trainer.devices=2")
    return int(os.environ.get("LOCAL_RANK", 0)) if _follower() else 0, world


def _follower() -> bool:
    return os.environ.get("BENCH_FOLLOWER") == "1"


@contextmanager
def followers(cell: Cell) -> Iterator[None]:
    """Start ranks 1.. for this cell; they are waited for, and ended when rank 0 leaves with an error."""
    rank, world = place(cell.settings["trainer"])
    if world == 1 or rank > 0:
        yield
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0", "WORLD_SIZE": str(world)}
    own = [w.lstrip("+") for w in cell.overrides]
    words = [*own, f"scale={cell.scale}", f"seed={cell.seed}", f"fold={cell.fold}"]
    order = json.dumps({"key": cell.key, "words": words})
    before = {k: os.environ.get(k) for k in ENV}
    crew = []
    try:
        for r in range(1, world):
            env = {**os.environ, **common, "LOCAL_RANK": str(r), "BENCH_FOLLOWER": "1", "BENCH_QUIET": "1"}
            start = [sys.executable, "-m", "bench.ddp", order]
            crew.append(subprocess.Popen(start, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE))
        for p in crew:  # a follower that cannot start is told now: at the rendezvous it would be waited for in vain
            if p.stdout is None or p.stdout.readline().strip() != READY:
                raise RuntimeError(
                    f"a follower process of trainer=ddp ended with code {p.wait()}; its message is above"
                )
        os.environ.update(common, LOCAL_RANK="0")
        yield
        for p in crew:
            if p.wait(timeout=120) != 0:
                raise RuntimeError(
                    f"a follower process of trainer=ddp ended with code {p.returncode}; its message is above"
                )
    finally:
        for p in crew:
            if p.poll() is None:
                p.kill()
        _leave()
        for k, v in before.items():
            os.environ.pop(k, None) if v is None else os.environ.update({k: v})


def _leave() -> None:
    """Forget the process group, so that the next cell of this process can make its own."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def follow(order: dict[str, Any]) -> None:
    """Train along as one of the ranks 1.. of a cell."""
    from bench import cell as cells
    from bench import plan, registry, stopping
    from bench.context import Context
    from bench.schema import load_object

    stopping.ignore()
    registry.use_plugins(registry.plugins_from())
    found = [c for c in plan.expand(order["words"], strict=False) if c.key == order["key"]]
    if not found:
        raise BenchError(
            f"a follower of trainer=ddp finds no cell {order['key']}; the files changed since the run began"
        )
    cell = found[0]
    ctx = Context(cell, [])
    cells.seed_everything(ctx)
    method = load_object(type(cell.method).plugin)(cell.method)
    bundle = cells.load(cell)
    sys.stdout.buffer.write(READY + b"\n")
    sys.stdout.flush()
    sys.stdout = sys.stderr  # nothing else may go to the pipe
    method.run(bundle, ctx)
    _leave()


if __name__ == "__main__":
    add_root()
    follow(json.loads(sys.argv[1]))
