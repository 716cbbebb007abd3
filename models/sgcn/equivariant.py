"""The baseline without frames: point convolutions of e3nn, whose features turn with the model until the scores are read off."""

from __future__ import annotations

import torch
from e3nn import o3
from e3nn.nn import Gate
from torch import Tensor, nn

from models.geometry.spherical import spherical_harmonics
from models.sgcn.config import Config
from models.sgcn.graphs import Graphs
from models.sgcn.layers import rows
from models.sgcn.nets import INPUT, Standardise

VECTORS = 2  # N - CA and C - CA of a residue, as unit vectors: what its frame is made from


class PointConv(nn.Module):
    """h_i -> gate(A h_i + B sum_j a_ij w (h_j x Y(r_ij))): products of features and harmonics of the global direction, a weight for each
    path and channel, mixed by linear maps (Thomas et al. 2018, without radial weights, as S-GCN has none).

    All irreps are even: rotations are kept and reflections are not, so that left and right can be told apart as with frames.
    """

    def __init__(self, irreps_in: o3.Irreps, irreps_out: o3.Irreps, top: int) -> None:
        super().__init__()
        scalars = o3.Irreps([(m, r) for m, r in irreps_out if r.l == 0])
        gated = o3.Irreps([(m, r) for m, r in irreps_out if r.l > 0])
        self.gate = Gate(
            scalars, [torch.nn.functional.elu], f"{gated.num_irreps}x0e", [torch.sigmoid] if gated else [], gated
        )
        wanted = self.gate.irreps_in.simplify()
        harmonic = o3.Irreps.spherical_harmonics(top, p=1)
        middle, paths = [], []
        for i, (m, a) in enumerate(irreps_in):
            for j, (_, b) in enumerate(harmonic):
                for c in a * b:
                    if c in wanted:
                        paths.append((i, j, len(middle), "uvu", True))
                        middle.append((m, c))
        self.product = o3.TensorProduct(irreps_in, harmonic, middle, paths)
        self.mix, self.own = o3.Linear(middle, self.gate.irreps_in), o3.Linear(irreps_in, self.gate.irreps_in)

    def forward(self, h: Tensor, i: Tensor, j: Tensor, y: Tensor) -> Tensor:
        """h (N, irreps_in), edges i <- j (E,), y (E, (top + 1)^2) weighted harmonics."""
        message = self.product(h.index_select(0, j), y)
        total = message.new_zeros(len(h), message.shape[1]).index_add(0, i, message)
        return self.gate(self.own(h) + self.mix(total))


class EquivariantNet(nn.Module):
    """Graphs -> (N,) scores: `layers` point convolutions with features of `irreps`, dropout, a linear map of the scalars, the logistic
    function. The scores do not change with a rigid motion of the model."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.standardise, self.dropout, self.cfg = Standardise(), nn.Dropout(cfg.dropout), cfg
        irreps = o3.Irreps(f"{INPUT}x0e + {VECTORS}x1e")
        self.layers = nn.ModuleList()
        for _ in range(cfg.layers):
            self.layers.append(PointConv(irreps, o3.Irreps(cfg.irreps), cfg.order - 1))
            irreps = self.layers[-1].gate.irreps_out
        self.scalars = irreps.count("0e")
        self.last = nn.Linear(self.scalars, 1)

    def forward(self, graph: Graphs) -> Tensor:
        n, ca, c = graph.backbone.unbind(1)
        axes = [torch.nn.functional.normalize(v - ca, dim=-1) for v in (n, c)]
        h = torch.cat([self.standardise(graph.x), *axes], 1)
        a = rows(graph, weights=self.cfg.weights, normalise=self.cfg.normalise)
        i, d = a.nonzero(as_tuple=True)
        j = graph.neighbour[i, d]
        y = spherical_harmonics(self.cfg.order - 1, ca[j] - ca[i], normalisation="component") * a[i, d, None]
        for layer in self.layers:
            h = layer(h, i, j, y)
        return torch.sigmoid(self.last(self.dropout(h[:, : self.scalars]))).squeeze(-1)
