"""Hypernetworks h: gamma -> theta, with and without magnitude-invariant parametrisation (arXiv 2304.07645).

Standard: theta = h(gamma; w), h a perceptron with piecewise-linear activations and zero initial biases, so that
h(a gamma) = a h(gamma) for a > 0: the predicted weights grow in proportion to the input. MIP: theta = theta_0 + h(E(gamma); w) with
E(gamma) = (cos(pi gamma / 2), sin(pi gamma / 2)), of constant length, and theta_0 free parameters. theta_0 is the last layer's bias.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

ENCODINGS = ("cos_sin", "complement", "none")
STARTS = ("fan_out", "joint", "hyperfan_in")
NORMS: dict[str, Callable[[int], nn.Module]] = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d}
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky_relu": lambda: nn.LeakyReLU(0.01),
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
}


def encode(gamma: Tensor, encoding: str = "cos_sin") -> Tensor:
    """gamma (..., d) in [0, 1] -> (..., 2d), constant in length: cos_sin has Euclidean norm sqrt(d), complement (gamma, 1 - gamma)
    has L1 norm d; none returns gamma. All cosines come first, then all sines.

    Raises
    ------
    ValueError : unknown encoding; entries outside [0, 1], where cos and sin are ambiguous, or not finite.
    """
    if encoding not in ENCODINGS:
        raise ValueError(f"encoding={encoding!r} is unknown; use one of {', '.join(ENCODINGS)}")
    if not bool(torch.isfinite(gamma).all()):
        raise ValueError("gamma has entries that are not finite; check what is fed to the hypernetwork")
    if encoding == "none":
        return gamma
    if bool((gamma < 0).any() or (gamma > 1).any()):
        raise ValueError(
            f"gamma lies in [{float(gamma.min()):g}, {float(gamma.max()):g}]; scale it to [0, 1] first (unit_interval)"
        )
    if encoding == "complement":
        return torch.cat([gamma, 1 - gamma], -1)
    angle = 0.5 * math.pi * gamma
    return torch.cat([angle.cos(), angle.sin()], -1)


def unit_interval(gamma: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """(gamma - low) / (high - low), for inputs on another bounded range."""
    return (gamma - low) / (high - low)


class HyperNetwork(nn.Module):
    """gamma -> tensors of the given shapes.

    Parameters
    ----------
    inputs : entries of gamma, or entries by name; several are concatenated in the order of their sorted names.
    shapes : shape by name of each predicted tensor, in the order of the flat output.
    hidden : widths of the hidden layers of h; `activation` one of ACTIVATIONS; `norm` of the hidden layers: none, layer or batch.
    encoding : cos_sin (MIP), complement, none.
    independent : whether theta_0 starts as weights of its own (MIP) or at zero, as an ordinary bias.
    start : fan_out: Kaiming normal by fan-out, the last layer per tensor, std sqrt(2 / entries of the tensor); joint: the last layer
        as one, std sqrt(1 / all entries); hyperfan_in: predicted weights have Kaiming fan-in variance for gamma uniform on [0, 1]
        (Chang, Flokas, Lipson, ICLR 2020), predicted biases start at zero.
    values : starting values of theta_0 by name; those absent are Kaiming fan-in (two or more axes) or zero. `independent` only.

    Called with gamma (d,) or (1, d), or a mapping of such, it gives tensors of the shapes; with (B, d), B > 1, (B, *shape) each.
    """

    def __init__(
        self,
        inputs: int | Mapping[str, int],
        shapes: Mapping[str, Sequence[int]],
        *,
        hidden: Sequence[int] = (16, 128),
        encoding: str = "cos_sin",
        independent: bool = True,
        activation: str = "leaky_relu",
        norm: str = "none",
        start: str = "fan_out",
        values: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        if encoding not in ENCODINGS or start not in STARTS or activation not in ACTIVATIONS:
            raise ValueError(
                f"encoding={encoding!r}, start={start!r}, activation={activation!r}: use one of {ENCODINGS}, {STARTS}, "
                f"{tuple(ACTIVATIONS)}"
            )
        if not shapes or not hidden:
            raise ValueError("shapes and hidden need at least one entry each")
        self.inputs = {"gamma": inputs} if isinstance(inputs, int) else dict(inputs)
        self.shapes = {name: torch.Size(shape) for name, shape in shapes.items()}
        self.encoding, self.independent = encoding, independent
        width = sum(self.inputs.values()) * (1 if encoding == "none" else 2)
        layers: list[nn.Module] = []
        for n in hidden:
            layers.append(nn.Linear(width, n))
            layers += [] if norm == "none" else [NORMS[norm](n)]
            layers.append(ACTIVATIONS[activation]())
            width = n
        self.body = nn.Sequential(*layers)
        self.last = nn.Linear(width, sum(s.numel() for s in self.shapes.values()))
        self._start(start, values or {})

    def _start(self, start: str, values: Mapping[str, Tensor]) -> None:
        for layer in self.body:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.out_features))
                nn.init.zeros_(layer.bias)
        moment = self._second_moment() if start == "hyperfan_in" else 1.0
        nn.init.zeros_(self.last.bias)
        with torch.no_grad():
            rows = self.last.weight.split([s.numel() for s in self.shapes.values()])
            theta0 = self.split(self.last.bias)
            for (name, shape), row in zip(self.shapes.items(), rows, strict=True):
                fan_in = shape[1:].numel()  # of the predicted tensor
                if start == "fan_out":
                    row.normal_(std=math.sqrt(2 / shape.numel()))
                elif start == "joint":
                    row.normal_(std=math.sqrt(1 / self.last.out_features))
                elif len(shape) > 1:
                    row.normal_(std=math.sqrt(2 / (fan_in * self.last.in_features * moment)))
                else:
                    row.zero_()
                if self.independent and name in values:
                    theta0[name].copy_(values[name])
                elif self.independent and len(shape) > 1:
                    theta0[name].normal_(std=math.sqrt(2 / ((1 + 0.01**2) * fan_in)))

    @torch.no_grad()
    def _second_moment(self) -> float:
        """Mean square of the last hidden layer over gamma = t (1, ..., 1), t on a grid of [0, 1]."""
        grid = torch.linspace(0, 1, 33)[:, None].expand(-1, sum(self.inputs.values()))
        return float(self.body(encode(grid, self.encoding)).square().mean())

    def flat(self, gamma: Tensor) -> Tensor:
        """gamma (B, d) -> theta (B, entries)."""
        return self.last(self.body(encode(gamma, self.encoding)))

    def theta0(self) -> Tensor:
        """The part of theta that does not depend on gamma (entries,): the very bias of the last layer."""
        return self.last.bias

    def split(self, theta: Tensor) -> dict[str, Tensor]:
        """theta (..., entries) -> (..., *shape) by name, views."""
        parts = theta.split([s.numel() for s in self.shapes.values()], -1)
        return {name: p.reshape(*p.shape[:-1], *s) for (name, s), p in zip(self.shapes.items(), parts, strict=True)}

    def gather(self, gamma: Tensor | Mapping[str, Tensor]) -> Tensor:
        """The input as one tensor (B, d), B = 1 for a single gamma."""
        parts = dict(gamma) if isinstance(gamma, Mapping) else dict.fromkeys(list(self.inputs)[:1], gamma)
        if parts.keys() != self.inputs.keys():
            raise ValueError(f"gamma comes as {sorted(parts)}; give a mapping with the names {sorted(self.inputs)}")
        for name, p in parts.items():
            if p.dim() not in (1, 2) or p.shape[-1] != self.inputs[name]:
                raise ValueError(
                    f"{name} has shape {tuple(p.shape)}; give ({self.inputs[name]},) or (batch, {self.inputs[name]})"
                )
        return torch.cat([parts[name] if parts[name].dim() == 2 else parts[name][None] for name in sorted(parts)], -1)

    def forward(self, gamma: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        theta = self.flat(self.gather(gamma))
        return self.split(theta[0] if len(theta) == 1 else theta)
