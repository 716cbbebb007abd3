"""The shared regression module: a moving average of weights is what is validated and tested."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench import cell as cells
from bench import plan
from models.nn.regressor import Regressor


def test_the_average_is_its_recursion():
    """a_1 = w_1, a_k = 0.75 a_{k-1} + 0.25 w_k; validation and prediction use a, training w; the optimiser moves w alone."""
    net = nn.Linear(2, 1, bias=False).double()
    module = Regressor(net, lambda f, x, y: (f(x) - y).square().mean(), lambda f, x: f(x), ema=0.75)
    expected = None
    for k in range(4):
        with torch.no_grad():
            net.weight.fill_(float(k + 1))
        module.on_train_batch_end(None, None, k)
        expected = net.weight.detach().clone() if expected is None else 0.75 * expected + 0.25 * net.weight.detach()
    torch.testing.assert_close(module.tested().weight, expected, rtol=0, atol=1e-15)
    x = torch.ones(3, 2, dtype=torch.float64)
    torch.testing.assert_close(module(x), x @ expected.T)
    torch.testing.assert_close(module.predict_step((x,), 0)["y"], x @ expected.T)
    held = [p for group in module.configure_optimizers().param_groups for p in group["params"]]
    assert len(held) == 1 and held[0] is net.weight
    assert Regressor(net, None, None).tested() is net


@pytest.mark.parametrize("data", ["nbody", "acetylacetone"])
def test_an_average_that_forgets_at_once_changes_nothing(data, tmp_path):
    """Decay 0 gives the numbers of no average to the last bit, and a run that was stopped those of one that was not; decay 0.9 others."""
    words = [
        "method=gaunt_tp",
        f"data={data}",
        "data.source=synthetic",
        "scale=smoke",
        "fold=0",
        "trainer.threads=1",
        "method.epochs=2",
    ]
    words += ["method.degree=1"]

    def values(name: str, *more: str) -> dict[str, float]:
        outcome, record = cells.run(plan.expand([*words, f"out={tmp_path / name}", *more])[0])
        assert outcome == "done", record.get("traceback")
        return {m["metric"]: m["value"] for m in record["metrics"] if "equivariance" not in m["metric"]}

    plain, forgetful, average = values("a"), values("b", "method.ema=0"), values("c", "method.ema=0.9")
    assert plain == forgetful != average
    torn = plan.expand([*words, f"out={tmp_path / 'd'}", "method.ema=0.9", "deadline=1e-9"])[0]
    assert cells.run(torn)[0] == "stopped"
    assert values("d", "method.ema=0.9") == average
