"""Hydra entry: `python bench/run.py method=gbw_rbn data=bci`, the same thing as `bench run ...` and `python -m bench run ...`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # started as a file: Python put bench/ on the path instead of the root
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench import CONF, add_root
from bench.schema import BenchError


def job(_: Any) -> float | None:
    """One Hydra job: the cells of its overrides. Returns the mean validation metric, the objective of a sweeper."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from bench import registry
    from bench.execute import CellsFailed, execute

    add_root()  # a launcher may have started this job in a fresh process
    registry.use_plugins(registry.plugins_from())
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:  # the launcher collects what each job raises
        return execute(list(hydra.overrides.task), multirun=True)
    try:
        return execute(list(hydra.overrides.task))
    except (BenchError, CellsFailed) as error:  # one sentence instead of Hydra's traceback
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, BenchError) else 1) from None
    except BrokenPipeError:  # `bench run ... | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


def main(argv: list[str]) -> int:
    """Check the command line, then hand it to Hydra. Returns the exit code: 0 done, 1 a cell failed, 2 a mistake in the words."""
    import hydra

    from bench import plan, registry

    words = [w for w in argv if not w.startswith("-")]
    flags = [w for w in argv if w.startswith("-")]
    for o in plan.parse([w for w in words if w.startswith("plugins=")]):
        value = o.value()
        os.environ["BENCH_PLUGINS"] = ",".join(value if isinstance(value, list) else [str(value)])
    registry.use_plugins(registry.plugins_from())
    checked = plan.check_overrides(words)
    if not {"-m", "--multirun", "--help", "--hydra-help", "--info", "--cfg", "-c"} & {
        f.partition("=")[0] for f in flags
    }:
        for o in plan.parse(words):
            if o.is_sweep_override():
                raise BenchError(f"{o.key_or_group} has several values; add --multirun (-m) to sweep over them")
    extra = [plan.search_path()] + [f"hydra.sweep.dir={plan.sweep_folder(words)}"] * (
        "-m" in flags or "--multirun" in flags
    )
    given = {w.partition("=")[0] for w in words}
    sys.argv = ["bench run", *flags, *plan.absolute(checked), *[e for e in extra if e.partition("=")[0] not in given]]
    os.environ.setdefault("HYDRA_FULL_ERROR", "0")
    hydra.main(version_base="1.3", config_path=str(CONF), config_name="run")(job)()
    sys.stdout.flush()  # a closed pipe shows here, not in Python's last breath
    return 0


if __name__ == "__main__":
    from bench.cli import main as cli

    sys.exit(cli(["run", *sys.argv[1:]]))
