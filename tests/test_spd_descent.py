"""The geometric claim behind gbw_rbn: under Bures-Wasserstein the metric is linear in the matrix, and descent is faster."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from datasets.spd_targets.adapter import load
from datasets.spd_targets.config import Config
from models.spd_descent.config import Config as Method
from models.spd_descent.descent import descent, metric_condition

STEPS = Method().steps


def targets(kappa: int) -> torch.Tensor:
    return torch.as_tensor(load(Config(), fold=f"kappa{kappa}", source="simulated", root=Path(), cache=Path()).train.x)


@pytest.mark.parametrize("kappa", [10, 10000])
def test_targets_have_the_stated_spectrum(kappa):
    x = targets(kappa)
    w = torch.linalg.eigvalsh(x)
    expected = torch.logspace(-torch.log10(torch.tensor(float(kappa))), 0, 10, dtype=torch.float64)
    assert torch.allclose(w, expected.expand_as(w), rtol=1e-9) and not torch.allclose(x[0], x[1])


@pytest.mark.parametrize(("kappa", "cap"), [(10, 3000), (100, 1000)])
def test_gate_of_the_card(kappa, cap):
    """Bures-Wasserstein descent needs less than a fifth of the affine-invariant iterations."""
    goal = targets(kappa)
    bw, aim = descent("bw", goal, STEPS, cap=cap), descent("aim", goal, STEPS, cap=cap)
    assert bw.converged
    assert bw.iterations < aim.iterations / 5


def test_metric_condition():
    """kappa under Bures-Wasserstein, kappa^2 under the affine-invariant metric."""
    c = metric_condition(torch.diag(torch.logspace(0, -3, 5, dtype=torch.float64)))
    assert abs(c["bw"] / 1e3 - 1) < 1e-9 and abs(c["aim"] / 1e6 - 1) < 1e-9


def test_unknown_metric_is_named():
    with pytest.raises(ValueError, match="aim or bw"):
        descent("lem", targets(10), STEPS)
