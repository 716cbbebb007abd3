"""Category discovery as a method of the harness."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from bench.schema import BenchError, Bundle, LightningMethod, Metric, Result
from models.geometry import poincare
from models.hypcd.backbones import backbone, choice
from models.hypcd.config import VITS, Config
from models.hypcd.heads import CosineClassifier, HyperbolicLinear, projection
from models.hypcd.kmeans import plain_kmeans, semi_supervised_kmeans
from models.hypcd.module import Discoverer
from models.hypcd.pool import joined, weighted_batches
from models.nn.feature_quality import embed

MOST = 600  # images in the figure


class CategoryDiscoverer(LightningMethod):
    """Trains on labelled and unlabelled images together and gives a cluster to each unlabelled one: transductive."""

    cfg: Config
    module: Discoverer  # after `build`
    sizes: tuple[int, int] | None = None  # |D_l|, |D_u| while the two are trained on

    def skip(self, bundle: Bundle) -> str | None:
        name = choice(self.cfg, bundle.shape)
        if name in VITS and (len(bundle.shape) != 3 or bundle.shape[-1] % int(name[-2:])):
            return (
                f"{name} takes images whose size is a multiple of {name[-2:]}, and these have the shape {bundle.shape}"
            )
        return None

    def build(self, bundle: Bundle, cfg: Config) -> Discoverer:
        known = len(bundle.meta["known"])
        if not 0 < known < bundle.n_out:
            raise BenchError(
                f"{known} of {bundle.n_out} classes are known, so the unlabelled images have no novel class; change data.known"
            )
        body = backbone(cfg, bundle.shape)
        width = int(body.features)  # type: ignore[arg-type]
        ball = cfg.space == "ball"
        widths = cfg.head if cfg.head is not None else [] if cfg.parametric and ball else [256, 64]
        head = projection(width, widths, cfg.prototypes, cfg.head_init or "normal") if widths else nn.Identity()
        classifier: nn.Module | None = None
        if cfg.parametric:
            k = bundle.n_out
            classifier = HyperbolicLinear(width, k, cfg.c, cfg.bias_mode()) if ball else CosineClassifier(width, k)
        meta, c = bundle.meta, bundle.shape[0]
        look = (meta.get("mean", [0.0] * c), meta.get("std", [1.0] * c), meta.get("white", 1.0))
        self.module = Discoverer(body, head, classifier, cfg, *look)
        return self.module

    def batches(self, split: Any, generator: Any) -> list[list[int]] | None:
        return None if self.sizes is None else weighted_batches(*self.sizes, self.cfg.batch, generator)

    def adapt(self, module: Discoverer, bundle: Bundle) -> bool:
        """Without a classifier: k-means on normalised features of the backbone. The unlabelled images are used in any case."""
        if module.classifier is None:
            z, y = self._embedded(module, bundle.meta["labelled"])
            u, _ = self._embedded(module, bundle.test)
            k, restarts = bundle.n_out, self.cfg.restarts or 10
            if len(u) < k:
                raise BenchError(
                    f"{len(u)} images cannot show {k} clusters; give at least as many as there are classes"
                )
            plain = plain_kmeans(u, k, restarts)
            if self.cfg.kmeans_mode() == "plain":
                module.centres = {"cluster": plain}
            else:
                module.centres = {"cluster": semi_supervised_kmeans(z, y, u, k, restarts), "cluster_plain": plain}
        return True

    def _embedded(self, module: Discoverer, split: Any) -> tuple[Tensor, Tensor]:
        z, y = embed(module.features, split, str(module.device), batch=4 * self.cfg.batch)
        return normalize(z, dim=1), y

    def run(self, bundle: Bundle, ctx: Any) -> Result:
        self.sizes = (len(bundle.train), len(bundle.meta["unlabelled"]))
        result = super().run(replace(bundle, train=joined(bundle)), ctx)
        if not result.predictions:  # a process beside the first
            return result
        z, y = embed(
            lambda x: self.module.points(self.module.features(x)), bundle.test, ctx.device, batch=4 * self.cfg.batch
        )
        if self.cfg.space == "ball":
            length = poincare.log0(z, self.cfg.c).norm(dim=1)
            result.metrics.append(Metric("radius", float((2 * length).mean()), "none", "1"))
            result.metrics.append(
                Metric("clipped", float((length > 0.999 * self.cfg.clip).float().mean()), "none", "fraction")
            )
        ctx.save_figure("points", self.figure(z[:MOST], y[:MOST], bundle))
        return result

    def figure(self, z: Tensor, y: Tensor, bundle: Bundle) -> Any:
        """Unlabelled images by the two main directions of their points: on the disc by way of the tangent plane at its centre."""
        from matplotlib.figure import Figure

        ball = self.cfg.space == "ball"
        u = (poincare.log0(z, self.cfg.c) if ball else normalize(z, dim=1)).double()
        axes_of = torch.linalg.svd(u if ball else u - u.mean(0), full_matrices=False).Vh[:2]
        flat = u @ axes_of.T
        points = (poincare.exp0(flat, self.cfg.c) if ball else flat).numpy()
        known = torch.isin(y, torch.as_tensor(bundle.meta["known"]))
        figure = Figure(figsize=(5.5, 5), layout="constrained")
        title = f"points of the ball, c = {self.cfg.c:g}" if ball else "normalised features"
        axes = figure.add_subplot(title=f"{bundle.group}: {title}", aspect="equal")
        for rows, marker, label in ((known, "o", "known classes"), (~known, "^", "novel classes")):
            axes.scatter(
                *points[rows.numpy()].T,
                c=y[rows],
                cmap="tab20",
                vmin=0,
                vmax=bundle.n_out - 1,
                s=14,
                marker=marker,
                label=label,
            )
        if ball:
            angle = torch.linspace(0, 2 * torch.pi, 200)
            axes.plot(angle.cos() / self.cfg.c**0.5, angle.sin() / self.cfg.c**0.5, color="0.6", linewidth=0.8)
        axes.legend(title="colour: class", fontsize=7, title_fontsize=7, loc="upper right")
        return figure
