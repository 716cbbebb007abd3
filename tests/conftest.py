"""Shared fixtures: every test runs offline, with a cache of its own; real data only where BENCH_DATA names them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _offline(tmp_path_factory):
    """No test reaches a network, and nothing is written to the user's cache."""
    os.environ["BENCH_OFFLINE"] = "1"
    os.environ["BENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def bench(capsys):
    """Call a verb in this process: bench("plan", "seed=0") -> (exit code, stdout, stderr)."""
    from bench.cli import main

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(list(words))
        except SystemExit as stop:
            code = stop.code or 0
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


def command(
    *words: str, cwd: Path | None = None, env: dict[str, str] | None = None, **options
) -> subprocess.CompletedProcess[str]:
    """`python bench/run.py words...`, or `python -c ...`, in a fresh process."""
    start = [sys.executable, *words] if words[0] == "-c" else [sys.executable, str(ROOT / "bench" / "run.py"), *words]
    return subprocess.run(
        start,
        capture_output=True,
        text=True,
        cwd=cwd or ROOT,
        env={**os.environ, **(env or {})},
        timeout=300,
        **options,
    )
