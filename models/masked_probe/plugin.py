"""The probe on masked images as a method of the harness."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.schema import Arrays, BenchError, Bundle, Metric, Result, SolverMethod
from models.masked_probe.config import Config
from models.rkhs_aug.encoder import Encoder, learn

PENALTIES = np.logspace(-4, 2, 13)  # of the probe, chosen by leave-one-out


def hidden(kind: str, alpha: float, n: int, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """(n, c h w) bool: hidden entries. random: each pixel with probability alpha; block: a square of about alpha h w pixels, placed
    uniformly. The channels of a pixel are hidden together."""
    c, h, w = shape
    if kind == "random":
        mask = rng.random((n, h, w)) < alpha
    else:
        side = (min(h, round(math.sqrt(alpha) * h)), min(w, round(math.sqrt(alpha) * w)))
        top, left = (rng.integers(size - s + 1, size=(n, 1)) for size, s in zip((h, w), side, strict=True))
        rows = (np.arange(h) >= top) & (np.arange(h) < top + side[0])
        columns = (np.arange(w) >= left) & (np.arange(w) < left + side[1])
        mask = rows[:, :, None] & columns[:, None, :]
    return np.broadcast_to(mask[:, None], (n, c, h, w)).reshape(n, -1)


class MaskedEncoder(Encoder):
    """`Encoder` of pixels whose hidden entries are NaN: they become 0, and a second input tells which they are."""

    def forward(self, a: Tensor) -> Tensor:
        seen = a.isfinite()
        return self.net(torch.cat([a.nan_to_num(0.0), seen.to(a.dtype)], dim=1))


class MaskedProbe(SolverMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        if not isinstance(bundle.train, Arrays):
            return "images that stay in files or are augmented already are not masked; choose data in memory, data.augment=none"
        if self.cfg.labels < bundle.n_out:
            return f"method.labels={self.cfg.labels} of {bundle.n_out} classes; raise it"
        return None

    def _pixels(self, x: Any, bundle: Bundle) -> np.ndarray:
        """Normalised images as rows (n, c h w) float32."""
        meta, x = bundle.meta, np.asarray(x, dtype=np.float32)
        mean, std = (np.asarray(meta[k], dtype=np.float32).reshape(1, -1, 1, 1) for k in ("mean", "std"))
        x = ((x / meta["white"] - mean) / std).reshape(len(x), -1)
        if not np.isfinite(x).all():
            raise BenchError("the images hold NaN or infinity; leave those out of the data")
        return x

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        cfg, x, y = self.cfg, self._pixels(bundle.train.x, bundle), np.asarray(bundle.train.y)
        rng = ctx.rng("views")
        torch.manual_seed(ctx.seed("init"))
        self.net = None
        if cfg.encoder == "network":
            self.net = MaskedEncoder(x.shape[1], cfg.d, cfg.width)

            def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
                rows = x[rng.integers(len(x), size=n)]
                first, second = (self._view(rows, bundle, rng) for _ in range(2))
                return first, second

            def log(step: int, loss: float) -> None:
                if step % 50 == 0 or step == cfg.steps:
                    ctx.log(step, loss=loss)

            learn(self.net, draw, cfg.steps, cfg.batch, cfg.lr, log)
        few = self._labelled(y, min(cfg.labels, len(y)), ctx.rng("labels"))
        self._probe(self._features(x[few], bundle, ctx), np.eye(bundle.n_out)[y[few]])

    def _view(self, rows: np.ndarray, bundle: Bundle, rng: np.random.Generator) -> np.ndarray:
        return np.where(hidden(self.cfg.mask, self.cfg.alpha, len(rows), bundle.shape, rng), np.float32(np.nan), rows)

    @staticmethod
    def _labelled(y: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
        """k rows, as many of each class as its share gives, up to rounding."""
        order = rng.permutation(len(y))
        place = np.empty(len(y))
        for c in np.unique(y):
            own = order[y[order] == c]
            place[own] = (np.arange(len(own)) + rng.random()) / len(own)
        return np.argsort(place, kind="stable")[:k]

    def _features(self, x: np.ndarray, bundle: Bundle, ctx: Any) -> np.ndarray:
        """Psi(x): the mean of the features over views, drawn anew in each call from one stream."""
        if self.net is None:
            return x.astype(np.float64)
        rng = ctx.rng("averages")
        with torch.no_grad():
            parts = [self.net(torch.from_numpy(self._view(x, bundle, rng))).double() for _ in range(self.cfg.views)]
        return (sum(parts[1:], parts[0]) / len(parts)).numpy()

    def _probe(self, z: np.ndarray, targets: np.ndarray) -> None:
        """Ridge regression of the classes, its penalty by leave-one-out over all classes together."""
        self.centre, self.scale = z.mean(0), z.std(0).mean() + 1e-12
        a = (z - self.centre) / self.scale
        shift = targets.mean(0)
        u, s, vt = np.linalg.svd(a, full_matrices=False)
        best = np.inf
        for penalty in PENALTIES * len(a):
            smooth = (u * (s**2 / (s**2 + penalty))) @ u.T
            residual = (targets - shift - smooth @ (targets - shift)) / (1 - smooth.diagonal() - 1 / len(a))[:, None]
            error = float(np.square(residual).mean())
            if error < best:
                best, self.weights = error, (vt.T * (s / (s**2 + penalty))) @ (u.T @ (targets - shift))
        self.shift, self.loo = shift, best

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        z = self._features(self._pixels(bundle.test.x, bundle), bundle, ctx)
        score = (z - self.centre) / self.scale @ self.weights + self.shift
        return Result(
            {"y_score": score},
            params=None if self.net is None else sum(p.numel() for p in self.net.parameters()),
            n_trials=len(PENALTIES),
            validation=Metric("leave_one_out", self.loo, "lower", "1"),
        )
