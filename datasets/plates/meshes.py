"""Samples that are meshes of their own, with nodal fields and scalars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass
class Meshes:
    """n samples: points[i] (N_i, 2 or 3) and triangles[i] (T_i, 3); scalars (n, p) inputs; fields[i] (N_i, d) and outputs (n, q) targets.

    landmarks (n, l): nodes of each that correspond to each other; field_names, output_names; None for what is not there.
    """

    points: Sequence[np.ndarray]
    triangles: Sequence[np.ndarray]
    scalars: np.ndarray
    fields: Sequence[np.ndarray]
    outputs: np.ndarray
    landmarks: np.ndarray | None = None
    field_names: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.points)
        for name in ("triangles", "scalars", "fields", "outputs", "landmarks"):
            part = getattr(self, name)
            if part is not None and len(part) != n:
                raise ValueError(f"{name} has {len(part)} entries and there are {n} meshes; give one for each")
        for i, (x, u) in enumerate(zip(self.points, self.fields, strict=True)):
            if len(x) != len(u):
                raise ValueError(f"sample {i} has {len(x)} nodes and {len(u)} rows of fields; give one for each node")
            if not np.isfinite(u).all():
                node = int(np.argmin(np.isfinite(u).all(1)))
                raise ValueError(
                    f"sample {i}: the fields at node {node} are not finite (NaN or Inf); drop or repair the sample"
                )

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: Sequence[int] | np.ndarray) -> Meshes:
        """A subset."""
        pick = [int(i) for i in index]
        return Meshes(
            [self.points[i] for i in pick],
            [self.triangles[i] for i in pick],
            self.scalars[pick],
            [self.fields[i] for i in pick],
            self.outputs[pick],
            None if self.landmarks is None else self.landmarks[pick],
            self.field_names,
            self.output_names,
        )
