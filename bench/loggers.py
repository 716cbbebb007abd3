"""Where curves go besides the cell's own curves.npz: a CSV file, TensorBoard, or W&B (offline unless asked)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.plan import Cell
from bench.schema import BenchError

Curves = dict[str, list[tuple[int, float]]]


class CsvLogger:
    """curves.csv in long format: step,name,value."""

    def __init__(self, cell: Cell) -> None:
        self.path = cell.folder / "curves.csv"

    def log(self, step: int, values: dict[str, float]) -> None:
        pass

    def close(self, summary: dict[str, float], curves: Curves) -> None:
        """Written from the whole curves, which a resumed run has, too."""
        lines = [f"{step},{name},{value!r}" for name, points in curves.items() for step, value in points]
        if lines:
            self.path.write_text("\n".join(["step,name,value", *lines]) + "\n")


class TensorBoardLogger:
    def __init__(self, cell: Cell) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(cell.folder / "tensorboard"))

    def log(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self, summary: dict[str, float], curves: Curves) -> None:
        for name, value in summary.items():
            self.writer.add_scalar(f"test/{name}", value, 0)
        self.writer.close()


class WandbLogger:
    """One W&B run per cell: group = method x data, tags = scale, origin, fold; the run id is the cell's key."""

    def __init__(self, cell: Cell) -> None:
        import wandb

        options = cell.settings["logger"]
        self.run = wandb.init(
            mode=options["mode"],
            project=options["project"],
            entity=options["entity"],
            dir=str(_folder(cell.folder)),
            id=cell.key,
            name=f"{cell.method.name}-{cell.data.name}-{cell.fold}-{cell.seed}",
            group=f"{cell.method.name}-{cell.data.name}",
            tags=[cell.scale, cell.source, cell.fold],
            config=cell.identity(),
            resume="allow",
            reinit="finish_previous",
            settings=wandb.Settings(console="off", silent=True, x_disable_stats=True),
        )

    def log(self, step: int, values: dict[str, float]) -> None:
        self.run.log({**values, "step": step})

    def close(self, summary: dict[str, float], curves: Curves) -> None:
        self.run.summary.update(summary)
        self.run.finish()


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


KINDS = {"csv": CsvLogger, "tensorboard": TensorBoardLogger, "wandb": WandbLogger}


def loggers(cell: Cell) -> list[Any]:
    kind = cell.settings["logger"]["kind"]
    try:
        return [KINDS[kind](cell)]
    except ImportError as error:
        raise BenchError(
            f"logger={kind} needs the package {error.name}; install the extra: pip install -e '.[loggers]'"
        ) from None
