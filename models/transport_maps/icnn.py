"""Input-convex networks and the dual of quadratic transport."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus


class ICNN(nn.Module):
    """Convex f: x (n, d) -> (n,): softplus layers whose weights on earlier layers are positive, plus |x|^2 / 2 times a positive number.

    Amos, Xu and Kolter, ICML 2017. At the start f is nearly |x|^2 / 2, whose gradient is the identity.
    """

    def __init__(self, d: int, hidden: list[int]) -> None:
        super().__init__()
        self.skip = nn.ModuleList(nn.Linear(d, h) for h in [*hidden, 1])
        self.pass_on = nn.ParameterList(
            nn.Parameter(torch.full((b, a), -4.0) + 0.1 * torch.randn(b, a))
            for a, b in zip(hidden, [*hidden[1:], 1], strict=True)
        )
        self.quadratic = nn.Parameter(torch.tensor(0.5413))  # softplus gives 1

    def forward(self, x: Tensor) -> Tensor:
        z = softplus(self.skip[0](x))
        for i, w in enumerate(self.pass_on):
            z = self.skip[i + 1](x) + z @ softplus(w).T
            if i + 1 < len(self.pass_on):
                z = softplus(z)
        return z.squeeze(1) + 0.5 * softplus(self.quadratic) * x.square().sum(1)

    def gradient(self, x: Tensor) -> Tensor:
        """grad f (n, d), differentiable in the weights where those need gradients."""
        with torch.enable_grad():
            x = x if x.requires_grad else x.detach().requires_grad_()
            return torch.autograd.grad(self(x).sum(), x, create_graph=torch.is_grad_enabled())[0]


def train_dual(
    forward: ICNN,
    backward: ICNN,
    draw: Callable[[], tuple[Tensor, Tensor]],
    steps: int,
    inner: int,
    lr: float,
    after: Callable[[int, float], None] = lambda step, value: None,
) -> None:
    """max over g, min over f of E f(x) + E [y . grad g(y) - f(grad g(y))]: grad f then carries the source to the target.

    Makkuva, Taghvaei, Oh and Lee, ICML 2020; `inner` steps of g for each of f. draw: x and y, (n, d) samples of source and target.
    """
    f_step = torch.optim.Adam(forward.parameters(), lr=lr, betas=(0.5, 0.9))
    g_step = torch.optim.Adam(backward.parameters(), lr=lr, betas=(0.5, 0.9))
    for step in range(steps):
        for _ in range(inner):
            _, y = draw()
            back = backward.gradient(y)
            loss = (forward(back) - (y * back).sum(1)).mean()
            g_step.zero_grad(set_to_none=True)
            loss.backward()
            g_step.step()
        x, y = draw()
        back = backward.gradient(y).detach()
        value = forward(x).mean() - forward(back).mean()
        f_step.zero_grad(set_to_none=True)
        value.backward()
        f_step.step()
        after(step + 1, float(value.detach()))
