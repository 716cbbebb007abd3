"""Riemannian Adam of geoopt for modules that declare the manifolds of their parameters."""

from __future__ import annotations

from typing import Any

import geoopt
from torch import nn

MANIFOLDS = {
    "stiefel": geoopt.Stiefel,
    # the affine-invariant metric, as the released RResNet script has it for the parameters of its Bures-Wasserstein layer too
    "spd_bw": geoopt.SymmetricPositiveDefinite,
    "spd_aim": geoopt.SymmetricPositiveDefinite,
}


class RiemannianAdam(geoopt.optim.RiemannianAdam):
    """geoopt's optimiser, resumable to the last bit: torch reloads its step count as float32, which rounds the bias correction."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for state in self.state.values():
            state["step"] = int(state["step"])


def as_manifold_parameters(module: nn.Module) -> None:
    """Replace each parameter that a module names in ``manifolds`` by a geoopt.ManifoldParameter with the same values."""
    for sub in module.modules():
        for name, manifold in getattr(sub, "manifolds", {}).items():
            p = sub._parameters.get(name)  # absent where a choice made it a buffer
            if p is not None and not isinstance(p, geoopt.ManifoldParameter):
                new = geoopt.ManifoldParameter(p.data, manifold=MANIFOLDS[manifold](), requires_grad=p.requires_grad)
                sub.register_parameter(name, new)


def riemannian_adam(module: nn.Module, lr: float, weight_decay: float = 0.0, amsgrad: bool = True) -> RiemannianAdam:
    """The optimiser of a module whose manifold parameters are made geoopt's; weight decay on Euclidean parameters only."""
    as_manifold_parameters(module)
    curved = [p for p in module.parameters() if p.requires_grad and isinstance(p, geoopt.ManifoldParameter)]
    flat = [p for p in module.parameters() if p.requires_grad and not isinstance(p, geoopt.ManifoldParameter)]
    groups = [{"params": flat, "weight_decay": weight_decay}, {"params": curved, "weight_decay": 0.0}]
    return RiemannianAdam([g for g in groups if g["params"]], lr=lr, amsgrad=amsgrad)
