"""Manifold linearizing and clustering as a method of the harness."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.schema import BenchError, Bundle, Metric, Result, SolverMethod
from models.clustering.plugin import subspace_labels
from models.clustering.spectral import components, kmeans, spectral_embedding, unit_rows
from models.geometry.coding_rate import membership_rate, rate
from models.geometry.sinkhorn import Potentials, potentials
from models.mlc.config import Config
from models.mlc.measures import class_ranks, cosines, draw, numerical_rank
from models.mlc.net import TwoHeads, network
from models.mlc.objective import CHUNK, gamma_of, mean_views, mlc_loss, tcr_loss
from models.mlc.views import view

PARITY = {"scale": 0.5, "half_steps": 5, "square": 0.025}  # the successor's loss
SAVE_S = 120.0  # between checkpoints


class MLC(SolverMethod):
    """Stage 1 trains trunk and feature head by total coding rate, stage 2 all of it by the reduction of rate with membership."""

    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        if self.cfg.settled(tuple(bundle.shape)).views != "noise" and len(bundle.shape) != 3:
            return f"method.views={self.cfg.views} are of images, and the samples are vectors; use noise"
        return None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        c = self.cfg = self.cfg.settled(tuple(bundle.shape))
        x = prepared(bundle)
        if len(x) < max(2, bundle.n_out):
            raise BenchError(f"{len(x)} samples cannot be clustered into {bundle.n_out} clusters; take more samples")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(ctx.seed("init"))
            self.net = network(c, tuple(bundle.shape)).to(ctx.device)
        state, self.saved = ctx.checkpoint.load(), time.monotonic()
        stage, start, opt = 0, 0, None
        if state is not None:
            self.net.load_state_dict(state["net"])
            stage, start, opt = state["stage"], state["step"], state["optimiser"]
        if stage == 0:
            self._train(x, ctx, 0, start, opt, c.tcr_steps, c.tcr_batch, c.tcr_lr, self.tcr)
            self.net.copy_head()
            start, opt = 0, None
        self._train(x, ctx, 1, start, opt, c.mlc_steps, c.mlc_batch, c.mlc_lr, self.mlc)
        self._cluster(x, bundle, ctx)

    # ------------------------------------------------------------------------------------------ training

    def tcr(self, x: Tensor, rng: torch.Generator) -> Tensor:
        c = self.cfg
        both = torch.cat([view(x, c.views, rng, c.noise) for _ in range(2)])
        z, z2 = self.net(both)[0].chunk(2)
        return tcr_loss(z, z2, c.eps2, c.invariance, PARITY["scale"] if c.official_parity else 1.0)

    def mlc(self, x: Tensor, rng: torch.Generator) -> Tensor:
        c = self.cfg
        views = torch.cat([view(x, c.views, rng, c.noise) for _ in range(c.augmentations)])
        z, heads = (part.chunk(c.augmentations) for part in self.net(views))
        if c.official_parity:
            each = [gamma_of(h, c.eta, "abs", half_steps=int(PARITY["half_steps"]), detach_columns=True) for h in heads]
        else:
            steps = c.sinkhorn_steps if c.gradient == "steps" else None
            each = [gamma_of(h, c.eta, c.kernel, half_steps=steps) for h in heads]
        mean, gamma = mean_views(list(z), each)
        if not c.official_parity:
            return mlc_loss(mean, gamma, c.eps2)
        return mlc_loss(mean, gamma, c.eps2, PARITY["scale"]) + PARITY["square"] * gamma.square().sum()

    def _train(
        self, x: Tensor, ctx: Any, stage: int, start: int, state: Any, steps: int, batch: int | None, lr: float,
        loss_of: Callable[[Tensor, torch.Generator], Tensor],
    ) -> None:  # fmt: skip
        """Steps `start` to `steps` of a stage. Random numbers depend on stage and step alone, so a resumed run goes on as it would have."""
        c, net, name = self.cfg, self.net.train(), ("tcr_loss", "mlc_loss")[stage]
        head = {id(p) for p in net.cluster_head.parameters()}
        groups = [
            {"params": [p for p in net.parameters() if id(p) not in head], "weight_decay": c.weight_decay},
            {"params": list(net.cluster_head.parameters()), "weight_decay": c.cluster_decay},
        ]
        optimiser: torch.optim.Optimizer = (
            torch.optim.Adam(groups, lr) if c.optimiser == "adam" else torch.optim.SGD(groups, lr, momentum=c.momentum)
        )
        if state is not None:
            optimiser.load_state_dict(state)
        seed = ctx.seed("views")
        for step in range(start, steps):
            if ctx.late() or time.monotonic() - self.saved > SAVE_S:
                content = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "stage": stage, "step": step}
                ctx.checkpoint.save(content)
                self.saved = time.monotonic()
                ctx.check_deadline()
            rng = torch.Generator().manual_seed((seed + 0x9E3779B97F4A7C15 * (2 * step + stage)) % 2**63)
            rows = torch.randperm(len(x), generator=rng)[:batch] if batch and batch < len(x) else slice(None)
            loss = loss_of(x[rows].to(ctx.device), rng)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            if step % 10 == 0 or step == steps - 1:
                ctx.log(step, **{name: float(loss.detach())})
                if not bool(loss.isfinite()):
                    raise BenchError(f"the loss of stage {stage + 1} is not finite at step {step}; lower the step size")

    # ------------------------------------------------------------------------------------------ clusters

    @torch.no_grad()
    def _cluster(self, x: Tensor, bundle: Bundle, ctx: Any) -> None:
        c, net, k, seed = self.cfg, self.net.eval(), bundle.n_out, ctx.seed("labels")
        parts = [net(part.to(ctx.device)) for part in x.split(1024)]
        self.z, heads = (torch.cat(p).cpu().double() for p in zip(*parts, strict=True))
        n = len(x)
        mine = np.sort(ctx.rng("membership").permutation(n)[: c.most]) if n > c.most else np.arange(n)
        self.rows, chosen = mine, heads[mine]
        self.found = _membership(chosen, c)
        gamma = self.found.plan.numpy()
        _, vectors, values = spectral_embedding(gamma, min(k + 1, len(gamma)))
        self.gap = float(values[k - 1] - values[-1])
        embedding, vectors, values = unit_rows(vectors[:, :k]), vectors[:, :k], values[:k]
        if c.labels == "kmeans":
            self.labels = kmeans(self.z.numpy(), k, seed).labels_
        elif c.labels != "gamma":
            some = subspace_labels(self.z[mine].numpy(), c, k, seed, c.labels)
            self.labels = np.empty(n, dtype=np.int64)
            for part in torch.arange(n).split(
                4096
            ):  # a point outside the membership joins the one of largest |cosine| in it
                self.labels[part] = some[(self.z[part] @ self.z[mine].T).abs().argmax(1)]
            self.labels[mine] = some
        else:
            groups = kmeans(embedding, k, seed)
            self.labels = np.empty(n, dtype=np.int64)
            self.labels[mine] = groups.labels_
            rest = np.setdiff1d(np.arange(n), mine)
            for part in np.array_split(rest, len(rest) // 4096 + 1) if len(rest) else []:
                # a new row of Gamma under the column potentials there are, and its image under the eigenvectors
                row = torch.softmax(_kernel(heads[part], chosen, c) / c.eta + self.found.g, dim=1).numpy()
                self.labels[part] = groups.predict(unit_rows(row @ vectors / values))

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        c, z, y = self.cfg, self.z[self.rows], torch.as_tensor(np.asarray(bundle.test.y))[self.rows]
        gamma = self.found.plan
        between, within = cosines(z, y)
        ranks = class_ranks(z, y)
        reduction = rate(z, c.eps2) - membership_rate(z, gamma.mT, c.eps2, chunk=max(1, CHUNK // (2 * c.dim**2)))
        uneven = float((gamma.sum(0) - 1).abs().max())
        metrics = [
            Metric("rate_reduction", float(reduction), "higher", "nat"),
            Metric("between_cosine", between, "lower", "1"),
            Metric("within_cosine", within, "higher", "1"),
            Metric("rank", numerical_rank(z), "none", "dimensions"),
            Metric("class_rank", float(np.mean(ranks)), "none", "dimensions"),
            Metric("components", components(gamma.numpy()), "none", "components"),
            Metric("eigengap", self.gap, "higher", "1"),
            Metric("marginal_error", max(uneven, float((gamma.sum(1) - 1).abs().max())), "lower", "1"),
        ]
        ctx.save_figure("membership", draw(z.numpy(), gamma.numpy(), y.numpy(), f"{c.name}, {bundle.group}"))
        params = sum(p.numel() for p in self.net.parameters())
        return Result({"cluster": np.asarray(self.labels, dtype=np.int64)}, metrics, params=params, transductive=True)


def prepared(bundle: Bundle) -> Tensor:
    """All samples as float32, images standardised by channel."""
    x = torch.as_tensor(np.asarray(bundle.test.x)).float()
    if not bool(x.isfinite().all()):
        raise BenchError("the samples hold NaN or infinity; leave those out of the data")
    if "mean" in bundle.meta:
        mean, std = (torch.tensor(bundle.meta[key], dtype=torch.float32).view(-1, 1, 1) for key in ("mean", "std"))
        x = (x / float(bundle.meta["white"]) - mean) / std
    return x


def _kernel(c1: Tensor, c2: Tensor, c: Config) -> Tensor:
    k = c1 @ c2.T
    return k.abs() if c.kernel == "abs" or c.official_parity else k


def _membership(heads: Tensor, c: Config) -> Potentials:
    """Gamma of the whole set in float64, to 1e-7 in the columns."""
    return potentials(-_kernel(heads, heads, c), c.eta, tol=1e-7, steps=20000)


__all__ = ["MLC", "TwoHeads", "prepared"]
