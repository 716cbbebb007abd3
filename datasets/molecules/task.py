"""Errors of energies and forces, in meV and meV/angstrom, for each test set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.schema import Bundle, Metric


@dataclass(frozen=True)
class EnergyForces:
    """Predictions are `energy` (n,) eV and `forces` (n, A, 3) eV/angstrom; test targets (n, 1 + 3 A), NaN where there are no forces.

    Errors of an energy are those of the whole molecule, errors of forces those of all components. `force_rmse` and `energy_rmse` are
    those of the first test set; every set has its own under its name.
    """

    first: str
    main: str = "force_rmse"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        import numpy as np

        energy, forces = np.asarray(predictions["energy"], np.float64), np.asarray(predictions["forces"], np.float64)
        y, group = np.asarray(bundle.test.y, np.float64), np.asarray(bundle.test.group)
        real = np.asarray(bundle.test.x)[..., 0] > 0
        if energy.shape != (len(y),) or forces.shape != (len(y), real.shape[1], 3):
            raise ValueError(
                f"energy {energy.shape} and forces {forces.shape} do not fit {len(y)} molecules of {real.shape[1]} atoms"
            )
        off_e, off_f = 1e3 * (energy - y[:, 0]), 1e3 * (forces - y[:, 1:].reshape(forces.shape))
        out = []
        for name in dict.fromkeys(group.tolist()):
            mine = group == name
            f = off_f[mine][real[mine]]
            f = f[np.isfinite(f).all(1)]
            kinds = [("energy", off_e[mine], "meV"), ("force", f, "meV/angstrom")]
            for kind, off, unit in kinds:
                if off.size:
                    pair = [("rmse", float(np.sqrt(np.mean(off**2)))), ("mae", float(np.mean(np.abs(off))))]
                    out += [Metric(f"{kind}_{k}_{name}", v, "lower", unit) for k, v in pair]
                    if name == self.first:
                        out += [Metric(f"{kind}_{k}", v, "lower", unit) for k, v in pair]
        return out

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """The mean energy per atom of the training split, and no force."""
        import numpy as np

        atoms = (np.asarray(bundle.train.x)[..., 0] > 0).sum(1)
        mean = float(np.mean(np.asarray(bundle.train.y, np.float64)[:, 0] / atoms))
        x = np.asarray(bundle.test.x)
        return {"energy": mean * (x[..., 0] > 0).sum(1), "forces": np.zeros_like(x[..., 1:])}

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """Force components, predicted against true, in the colour of their test set (at most 3,000 of each)."""
        import numpy as np
        from matplotlib.figure import Figure

        y, group, x = np.asarray(bundle.test.y), np.asarray(bundle.test.group), np.asarray(bundle.test.x)
        figure = Figure(figsize=(4.5, 4.5))
        axes = figure.add_subplot(xlabel="true force (eV/angstrom)", ylabel="predicted", title=bundle.group)
        for name in reversed(dict.fromkeys(group.tolist())):
            mine = group == name
            real = x[mine, :, 0] > 0
            true = y[mine, 1:].reshape(len(real), -1, 3)[real].ravel()
            guess = np.asarray(predictions["forces"])[mine][real].ravel()
            keep = np.flatnonzero(np.isfinite(true))
            keep = keep[:: max(1, len(keep) // 3000)]
            if len(keep):
                axes.plot(true[keep], guess[keep], ".", markersize=2, label=name)
        ends = np.array([axes.get_xlim()[0], axes.get_xlim()[1]])
        axes.plot(ends, ends, color="0.5", linewidth=1)
        axes.legend(markerscale=4)
        return {"forces": figure}
