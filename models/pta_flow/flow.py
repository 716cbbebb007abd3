"""A neural spline flow (zuko) on standardised samples, with a temperature, trained on samples or on a density."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from models.pta_flow.posterior import Posterior
from models.pta_flow.priors import log_normal

VALIDATION = 0.1  # share of the training samples that choose the weights
CHECKS = 20  # times they are looked at
AT_ONCE = 1024  # points that pass the splines together: their tables are some thousand numbers a point


class PosteriorFlow(torch.nn.Module):
    """A density q on R^d: w = chol^-1 (z - mean), w to the base by autoregressive rational-quadratic splines (Durkan et al. 2019).

    A temperature T gives the base the variance T, which draws q towards its middle; q stays normalised. float64.
    """

    def __init__(self, mean: Tensor, cov: Tensor, transforms: int, hidden: Sequence[int], bins: int = 8) -> None:
        import zuko

        super().__init__()
        self.register_buffer("mean", mean.to(torch.float64))
        self.register_buffer("root", torch.linalg.cholesky(cov.to(torch.float64)))
        self.d = len(mean)
        self.splines = zuko.flows.NSF(self.d, bins=bins, transforms=transforms, hidden_features=tuple(hidden)).double()

    def log_prob(self, z: Tensor, temperature: float = 1.0) -> Tensor:
        """ln q_T (n,) at z (n, d)."""
        return torch.cat([self._log_prob(part, temperature) for part in z.split(AT_ONCE)])

    def _log_prob(self, z: Tensor, temperature: float) -> Tensor:
        w = torch.linalg.solve_triangular(self.root, (z - self.mean).T, upper=False).T
        base, log_det = self.splines().transform.call_and_ladj(w)
        scaled = log_normal(base / temperature**0.5) - 0.5 * self.d * math.log(temperature)
        return scaled + log_det - self.root.diagonal().log().sum()

    def sample(self, n: int, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """n draws (n, d) of q_T."""
        base = torch.randn(n, self.d, dtype=torch.float64, generator=generator) * temperature**0.5
        return torch.cat([self._push(part)[0] for part in base.split(AT_ONCE)])

    def _push(self, base: Tensor) -> tuple[Tensor, Tensor]:
        """Base points to (z, ln |dz / dbase|)."""
        w, log_det = self.splines().transform.inv.call_and_ladj(base)
        return self.mean + w @ self.root.T, log_det + self.root.diagonal().log().sum()

    def fit(
        self,
        z: Tensor,
        steps: int,
        batch: int,
        lr: float,
        generator: torch.Generator,
        log: Callable[..., None] | None = None,
    ) -> None:
        """Maximum likelihood on samples z (n, d); the weights of the lowest loss on a tenth of them are kept."""
        order = torch.randperm(len(z), generator=generator)
        held, train = z[order[: max(1, int(VALIDATION * len(z)))]], z[order[max(1, int(VALIDATION * len(z))) :]]
        best, weights = float("inf"), copy.deepcopy(self.splines.state_dict())
        for step in self._steps(steps, lr):
            index = torch.randint(len(train), (batch,), generator=generator)
            loss = -self.log_prob(train[index]).mean()
            self._descend(loss)
            if (step + 1) % max(1, steps // CHECKS) == 0 or step == steps - 1:
                with torch.no_grad():
                    value = -float(self.log_prob(held).mean())
                if log is not None:
                    log(step, loss=float(loss.detach()), held_out=value)
                if value < best:
                    best, weights = value, copy.deepcopy(self.splines.state_dict())
        self.splines.load_state_dict(weights)

    def fit_density(
        self,
        posterior: Posterior,
        steps: int,
        batch: int,
        lr: float,
        generator: torch.Generator,
        log: Callable[..., None] | None = None,
    ) -> None:
        """Reverse KL, E_q[ln q - ln(L pi)], by its reparametrised gradient, from the start that mean and cov give."""
        for step in self._steps(steps, lr):
            base = torch.randn(batch, self.d, dtype=torch.float64, generator=generator)
            z, log_det = self._push(base)
            loss = (log_normal(base) - log_det - posterior.log_density(z)).mean()
            self._descend(loss)
            if log is not None and ((step + 1) % max(1, steps // CHECKS) == 0 or step == steps - 1):
                log(step, loss=float(loss.detach()))

    def _steps(self, steps: int, lr: float) -> range:
        self.optimiser = torch.optim.Adam(self.splines.parameters(), lr=lr)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, steps)
        return range(steps)

    def _descend(self, loss: Tensor) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.splines.parameters(), 10.0)
        self.optimiser.step()
        self.schedule.step()
