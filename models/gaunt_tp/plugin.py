"""Particles and molecules as tasks of one network with an exchangeable product."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from bench.schema import Arrays, Bundle, LightningMethod, Metric, Result
from models.gaunt_tp.config import Config
from models.gaunt_tp.molecules import Potential, energy_and_forces
from models.gaunt_tp.particles import ParticleNetwork
from models.geometry.equivariance import EuclideanAction, equivariance_errors
from models.nn.regressor import Regressor


def predict_particles(net: nn.Module, x: Tensor) -> Tensor:
    return net(x[..., :3], x[..., 3:6], x[..., 6])


def particle_loss(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return nn.functional.mse_loss(predict_particles(net, x), y)


def atoms(x: Tensor) -> tuple[Tensor, Tensor]:
    """Atomic numbers (B, A) and positions (B, A, 3) of x (B, A, 4)."""
    return x[..., 0].round().long(), x[..., 1:]


class PotentialTraining(Regressor):
    """w_E mean(((E - E*) / atoms)^2) + w_F mean((F - F*)^2), AMSGrad, cosine decay of the step size by epochs."""

    def __init__(self, net: Potential, cfg: Config) -> None:
        super().__init__(net, self.loss, self.energy, lr=cfg.lr, weight_decay=cfg.weight_decay, ema=cfg.ema)
        self.weights = cfg.energy_weight, cfg.force_weight
        self.epochs = cfg.epochs if cfg.decay else None

    def loss(self, net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        z, r = atoms(x)
        energy, forces = energy_and_forces(net, z, r)
        real = z > 0
        e = ((energy - y[:, 0]) / real.sum(1)).square().mean()
        f = (forces - y[:, 1:].view_as(forces))[real].square().mean()
        return self.weights[0] * e + self.weights[1] * f

    def energy(self, net: nn.Module, x: Tensor) -> Tensor:
        return net(*atoms(x))

    def predict_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        energy, forces = energy_and_forces(self.tested(), *atoms(batch[0]))
        return {"energy": energy.detach(), "forces": forces.detach()}

    def configure_optimizers(self) -> Any:
        optimiser = torch.optim.Adam(self.net.parameters(), lr=self._lr, weight_decay=self._decay, amsgrad=True)
        if not self.epochs:
            return optimiser
        last = max(1, self.epochs - 1)
        fade = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda epoch: 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(epoch, last) / last))
        )
        return [optimiser], [fade]


def scales(train: Arrays, cutoff: float) -> dict[str, float]:
    """Mean energy per atom, root mean square of forces, mean number of neighbours of the training split."""
    x, y = torch.as_tensor(train.x).double(), torch.as_tensor(train.y).double()
    z, r = atoms(x)
    real = z > 0
    forces = y[:, 1:].view(*z.shape, 3)[real]
    pairs = (torch.cdist(r, r) < cutoff) & real[:, :, None] & real[:, None]
    return {
        "shift": float((y[:, 0] / real.sum(1)).mean()),
        "scale": float(forces.square().mean().sqrt()),
        "neighbours": float(max(1.0, pairs.sum() / real.sum() - 1)),
    }


class ProductNetwork(LightningMethod):
    cfg: Config

    def build(self, bundle: Bundle, cfg: Config) -> Any:
        size = {"channels": cfg.width, "layers": cfg.layers, "order": cfg.order, "backend": cfg.backend}
        if bundle.kind == "nbody":
            net = ParticleNetwork(cfg.product, cfg.degree, **size, n=bundle.shape[0])
            options = {"lr": cfg.lr, "weight_decay": cfg.weight_decay, "ema": cfg.ema}
            self.module = Regressor(net, particle_loss, predict_particles, **options)
        else:
            species = tuple(bundle.meta["species"])
            net = Potential(
                species, cfg.product, cfg.degree, cutoff=cfg.cutoff, **size, **scales(bundle.train, cfg.cutoff)
            )
            self.module = PotentialTraining(net, cfg)
        return self.module

    def run(self, bundle: Bundle, ctx: Any) -> Result:
        result = super().run(bundle, ctx)
        if result.predictions:
            result.metrics += self._symmetry(torch.as_tensor(bundle.test.x[: self.cfg.meter]), bundle.kind, ctx)
        return result

    def _symmetry(self, x: Tensor, kind: str, ctx: Any) -> list[Metric]:
        """Equivariance of the trained network in float64: under E(3), reflections included, or SE(3) where odd paths occur."""
        net = self.module.tested().double().eval()
        x = x.double().to(next(net.parameters()).device)
        group = "SE(3)" if self.cfg.product == "cg" else "E(3)"
        generator = torch.Generator().manual_seed(ctx.seed("meter"))
        if kind == "nbody":
            action = EuclideanAction(group, "position")
            errors = equivariance_errors(
                lambda p, v: net(p, v, x[..., 6]),
                action,
                x[..., :3],
                x[..., 3:6],
                draws=4,
                steps=5,
                generator=generator,
            )
            return errors.metrics()
        z, r = atoms(x[:4])
        action = EuclideanAction(group, "vector")
        errors = equivariance_errors(
            lambda p: energy_and_forces(net, z, p)[1], action, r, draws=4, steps=0, generator=generator
        )
        return [m for m in errors.metrics() if not m.name.endswith("adversarial")]
