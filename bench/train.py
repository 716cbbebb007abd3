"""Train a LightningMethod: deterministic batches, one resumable checkpoint, weights by validation loss, one look at the test split."""

from __future__ import annotations

import functools
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from bench import ddp, stopping
from bench.context import Context, DeadlineReached, seed_all
from bench.schema import Arrays, BenchError, Bundle, Metric, Result, load_object

load_object("models.nn.torchvision_ops:cure")()  # lightning imports torchmetrics, which imports torchvision

import lightning.pytorch as pl  # noqa: E402
from lightning.pytorch.plugins.environments import LightningEnvironment  # noqa: E402
from lightning.pytorch.strategies import DDPStrategy  # noqa: E402


class EpochSampler(Sampler[list[int]]):
    """Batches of indices whose order is a function of (seed, epoch) alone, so that a resumed run sees the same ones.

    Each of `world` processes takes every world-th index of a global batch: the union over processes is the batch that one
    process would see. A last batch of one sample joins the one before it, since batch statistics of one are degenerate.
    """

    def __init__(self, n: int, batch: int, seed: int | None, rank: int = 0, world: int = 1) -> None:
        self.n, self.batch, self.seed, self.rank, self.world, self.epoch = n, batch, seed, rank, world, 0
        small = min(self.size(i) for i in range(len(self)))
        if small < world:
            raise ValueError(
                f"a batch of {small} samples cannot be shared by {world} processes; change method.batch or trainer.devices"
            )

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(self.n, self.batch)
        return max(1, whole + (rest > (1 if self.seed is not None else 0)))

    def __iter__(self) -> Iterator[list[int]]:
        if self.seed is None:
            order = list(range(self.n))
        else:
            order = torch.randperm(self.n, generator=generator(self.seed, self.epoch)).tolist()
        for i in range(len(self)):
            yield order[i * self.batch : i * self.batch + self.size(i)][self.rank :: self.world]

    def size(self, i: int) -> int:
        """Samples of the i-th global batch."""
        return self.n - i * self.batch if i == len(self) - 1 else self.batch

    def weight(self, i: int) -> float:
        """What this process's mean loss must be multiplied by, so that the mean over processes is the global batch's mean."""
        mine = len(range(self.rank, self.size(i), self.world))
        return mine * self.world / self.size(i)


class DrawnSampler(Sampler[list[int]]):
    """Batches that a method draws itself; their order is a function of (seed, epoch) alone, as in `EpochSampler`."""

    def __init__(self, draw: Callable[[torch.Generator], list[list[int]]], seed: int) -> None:
        self.draw, self.seed, self.epoch = draw, seed, 0
        self.n = len(self.drawn())

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def drawn(self) -> list[list[int]]:
        return self.draw(generator(self.seed, self.epoch))

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[list[int]]:
        # a generator, so that the epoch is read at the first batch: Lightning asks for the iterator before it begins the epoch
        batches = self.drawn()
        if len(batches) != self.n:
            raise ValueError(f"the method drew {len(batches)} batches in epoch {self.epoch} and {self.n} in the first")
        yield from batches


def generator(seed: int, epoch: int) -> torch.Generator:
    """Random numbers of one epoch."""
    return torch.Generator().manual_seed((seed + 0x9E3779B9 * (epoch + 1)) % 2**63)


class _Gather(Dataset[Any]):
    """A collate function for splits held in memory: one index operation per batch instead of one per sample."""

    def __init__(self, tensors: tuple[torch.Tensor, ...]) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitems__(self, indices: list[int]) -> tuple[torch.Tensor, ...]:
        return tuple(t[indices] for t in self.tensors)


def loader(
    split: Any, batch: int, seed: int | None = None, rank: int = 0, world: int = 1, method: Any = None
) -> DataLoader[Any]:
    """Batches (x, y) of a split: Arrays are indexed whole, map-style datasets go through torch's own collation.

    With a seed these are training batches: in random order, or as `method` draws them.
    """
    sampler: Sampler[list[int]] = EpochSampler(len(split), batch, seed, rank, world)
    draw = getattr(method, "batches", None)
    if seed is not None and draw is not None and draw(split, generator(seed, 0)) is not None:
        if world > 1:
            raise BenchError(f"trainer=ddp: {method.cfg.name} draws its own batches; use trainer=cpu or trainer=gpu")
        sampler = DrawnSampler(functools.partial(draw, split), seed)
    if isinstance(split, Arrays):
        columns = [split.x, split.y, split.group if getattr(method, "grouped", False) else None]
        tensors = [torch.as_tensor(c) for c in columns if c is not None]
        return DataLoader(_Gather(tuple(tensors)), batch_sampler=sampler, collate_fn=_same)
    return DataLoader(split, batch_sampler=sampler)


def _same(batch: Any) -> Any:
    return batch


class Keeper(pl.Callback):
    """Logs curves, keeps the weights of lowest validation loss, writes the checkpoint, and ends the run at its deadline.

    Its state travels in the checkpoint, and every epoch has random numbers of its own: a run that was killed goes on as if
    it had not been.
    """

    def __init__(self, ctx: Context, select: str) -> None:
        self.ctx, self.select = ctx, select
        self.best: dict[str, Any] = {"loss": math.inf, "epoch": -1, "weights": None}
        self.saved_at, self.before_s, self.began = time.monotonic(), 0.0, time.perf_counter()
        self.every = float(ctx.cell.settings["trainer"]["checkpoint_every_s"])

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        trainer.train_dataloader.batch_sampler.set_epoch(trainer.current_epoch)  # type: ignore[union-attr]

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # runs after validation: both the epoch's training and its validation values are there
        values = {k: float(v) for k, v in trainer.callback_metrics.items()}
        self.ctx.log(trainer.current_epoch, **values)
        for name, value in values.items():
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"{name} became {value} in epoch {trainer.current_epoch}; lower the learning rate (method.lr)"
                )
        loss = values.get("val_loss", math.inf)
        if self.select == "best" and loss < self.best["loss"]:
            weights = {k: v.detach().cpu().clone() for k, v in module.state_dict().items()}
            self.best = {"loss": loss, "epoch": trainer.current_epoch, "weights": weights}
        more = trainer.current_epoch + 1 < (trainer.max_epochs or 0)
        # rank 0 decides for all: saving is collective, and clocks and signals differ between processes
        late, due = trainer.strategy.broadcast((self.ctx.late(), time.monotonic() - self.saved_at >= self.every))
        if more and (late or due):
            self.save(trainer)
        if more and late:
            raise DeadlineReached

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        if (
            batch_idx == 0
        ):  # here, behind every draw of the loaders: a resumed epoch starts from the same state as a first one
            seed_all(self.ctx.seed(f"epoch {trainer.current_epoch}") + trainer.global_rank)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if (
            trainer.world_size == 1 and stopping.overdue()
        ):  # a long epoch: the scheduler kills soon, the last checkpoint must do
            raise DeadlineReached

    def on_before_backward(self, trainer: pl.Trainer, module: pl.LightningModule, loss: torch.Tensor) -> None:
        if trainer.world_size > 1:
            weight = trainer.train_dataloader.batch_sampler.weight(trainer.fit_loop.batch_idx)  # type: ignore[union-attr]
            if weight != 1.0:
                loss *= weight

    def save(self, trainer: pl.Trainer) -> None:
        temporary = self.ctx.checkpoint.path.with_name("last.ckpt.part")
        trainer.save_checkpoint(temporary)  # every rank takes part, rank 0 writes
        if trainer.is_global_zero:
            self.ctx.checkpoint.adopt(temporary)
        self.saved_at = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        spent = self.before_s + time.perf_counter() - self.began
        return {"best": self.best, "curves": self.ctx.curves, "timed_s": spent}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.before_s = state["best"], state["timed_s"]
        self.ctx.timed_s = self.before_s
        self.ctx.curves = {k: [tuple(p) for p in v] for k, v in state["curves"].items()}

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        stopping.renew()

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["stamp"] = self.ctx.checkpoint.stamp


def train(method: Any, bundle: Bundle, ctx: Context) -> Result:
    """Fit `method.build(bundle, cfg)` and predict the test split once.

    The tested weights are those of the lowest `val_loss` (cfg.select = best, needs bundle.val) or of the last epoch.
    """
    cfg, options = method.cfg, ctx.cell.settings["trainer"]
    if cfg.epochs is None:
        raise ValueError(
            f"method.epochs of {cfg.name} is null at scale={ctx.cell.scale}; give it a value or an entry under `at`"
        )
    rank, world = ddp.place(options)
    seed_all(ctx.seed("init"))
    module = method.build(bundle, cfg)
    if world > 1:
        from bench.gathering import share_statistics

        module = share_statistics(module, ctx.device)
    select = cfg.select if bundle.val is not None else "last"
    keeper = Keeper(ctx, select)
    _quiet()
    trainer = pl.Trainer(
        accelerator=options["accelerator"],
        devices=options["devices"],
        strategy=_strategy(options, ctx.device),
        plugins=[LightningEnvironment()],  # the frame starts processes itself; a SLURM job is not Lightning's to manage
        precision=_precision(cfg.precision),
        deterministic=options["deterministic"],
        max_epochs=cfg.epochs,
        max_steps=cfg.max_steps or -1,
        callbacks=[keeper],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=_progress(),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=str(ctx.cell.folder),
        inference_mode=False,
    )
    fit = loader(bundle.train, cfg.batch, ctx.seed("shuffle"), rank, world, method)
    val = None if bundle.val is None else loader(bundle.val, 4 * cfg.batch, method=method)
    resume = str(ctx.checkpoint.path) if ctx.checkpoint.usable() else None
    with ddp.followers(ctx.cell), ctx.timed():
        keeper.began = time.perf_counter()
        try:
            trainer.fit(module, fit, val, ckpt_path=resume, weights_only=True)
        except SystemExit:
            if trainer.interrupted:  # Lightning turns Ctrl-C into an exit of its own
                raise KeyboardInterrupt from None
            raise
    if rank > 0:
        return Result()
    ctx.keep_weights(keeper.best["weights"] or module.state_dict())
    if keeper.best["weights"] is not None:
        module.load_state_dict(keeper.best["weights"])
    module.to(ctx.device).eval()
    with torch.no_grad():
        transductive = method.adapt(module, bundle)
    predictions = predict(module, bundle.test, 4 * cfg.batch, ctx.device, method)
    params = sum(p.numel() for p in module.parameters())
    best = keeper.best["loss"]
    validation = Metric("val_loss", best, "lower", "loss") if math.isfinite(best) else None
    return Result(
        predictions=predictions,
        params=params,
        epochs=trainer.current_epoch,
        transductive=transductive,
        validation=validation,
    )


def predict(module: pl.LightningModule, split: Any, batch: int, device: str, method: Any = None) -> dict[str, Any]:
    """`predict_step` over a split, in order, in evaluation mode: arrays by name (a bare tensor becomes `y_score`)."""
    module.to(device).eval()
    parts: dict[str, list[torch.Tensor]] = {}
    with torch.no_grad():
        for i, item in enumerate(loader(split, batch, method=method)):
            out = module.predict_step(tuple(t.to(device) for t in item), i)
            for name, value in (out if isinstance(out, dict) else {"y_score": out}).items():
                parts.setdefault(name, []).append(
                    value.float().cpu() if value.is_floating_point() and value.dtype != torch.float64 else value.cpu()
                )
    return {name: torch.cat(values).numpy() for name, values in parts.items()}


def _strategy(options: dict[str, Any], device: str) -> Any:
    if not str(options["strategy"]).startswith("ddp"):
        return options["strategy"]
    backend = "gloo" if device == "cpu" else "nccl"
    return DDPStrategy(process_group_backend=backend, timeout=timedelta(minutes=5))


def _precision(name: str) -> Any:
    return {"32": "32-true", "64": "64-true"}.get(name, name)


def _progress() -> bool:
    return sys.stderr.isatty() and not os.environ.get("BENCH_QUIET")


def _quiet() -> None:
    """Lightning's banners and its advice on data-loader workers say nothing about a cell."""
    import logging
    import warnings

    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
