"""From shapes and scalars to fields and scalars: modes, standardised coefficients, Gaussian processes, intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from models.geometry.gaussian_process import MaternProcesses
from models.geometry.pod import POD

Z90 = 1.6448536269514722  # the 95 % quantile of the normal distribution
TINY = np.finfo(float).tiny  # clamped nodes have no spread


@dataclass
class Scaler:
    """Subtract the mean and divide by the standard deviation of the training samples, column by column."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray) -> Scaler:
        std = x.std(0)
        return cls(x.mean(0), np.where(std > 1e-12 * np.abs(x).max(0), std, 1.0))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return (x - self.mean) / self.std

    def undo(self, z: np.ndarray) -> np.ndarray:
        return z * self.std + self.mean


class FieldProcesses:
    """Fields on a common mesh from inputs: one POD for each field, one process for each coefficient; scalars have a process each.

    Widths of intervals have three parts: the process (its mean is the coefficient), what the modes leave out (node by node, from the
    training snapshots), and a factor for each field and scalar, so that the intervals of samples held out in turn cover as stated.
    """

    def __init__(
        self, count: int, regressor: str, restarts: int, steps: int, seed: int, shared: bool, folds: int
    ) -> None:
        self.count, self.regressor, self.shared, self.folds = count, regressor, shared, folds
        self.restarts, self.steps, self.seed = restarts, steps, seed

    def fit(
        self,
        x: np.ndarray,
        snapshots: np.ndarray,
        mass: sp.csr_array,
        back: list[sp.csr_array],
        fields: list[np.ndarray],
        outputs: np.ndarray,
    ) -> FieldProcesses:
        """x (n, p); snapshots (n, d, r) on the common mesh; `back` and `fields` (N_i, d) of the meshes themselves; outputs (n, q)."""
        n, d, _ = snapshots.shape
        self.pods = [POD.fit(snapshots[:, k], mass, self.count) for k in range(d)]
        coefficients = [pod.encode(snapshots[:, k]) for k, pod in enumerate(self.pods)]
        rest = [snapshots[:, k] - pod.decode(c) for k, (pod, c) in enumerate(zip(self.pods, coefficients, strict=True))]
        sizes = [c.shape[1] for c in coefficients]
        self.left_out = [(r**2).sum(0) / max(1, n - m) for r, m in zip(rest, sizes, strict=True)]
        self.cuts = np.cumsum(sizes)
        targets = np.concatenate([*coefficients, outputs], axis=1)
        self.inputs, self.scaler = Scaler.fit(x), Scaler.fit(targets)
        if self.regressor == "gp":
            group = (
                np.repeat(np.arange(d + outputs.shape[1]), [*sizes, *[1] * outputs.shape[1]]) if self.shared else None
            )
            process = MaternProcesses(self.restarts, self.steps, self.seed)
            self.processes = process.fit(self.inputs(x), self.scaler(targets), group)
        self.factor = np.ones(d + outputs.shape[1])
        if self.folds:
            self.factor = self._calibrate(x, snapshots, mass, back, fields, outputs)
        return self

    def _calibrate(
        self,
        x: np.ndarray,
        snapshots: np.ndarray,
        mass: sp.csr_array,
        back: list[sp.csr_array],
        fields: list[np.ndarray],
        outputs: np.ndarray,
    ) -> np.ndarray:
        """By how much the 90 % intervals of fits without a part of the samples must be widened to cover 90 % of that part; all refitted."""
        order = np.random.default_rng(self.seed).permutation(len(x))
        off: list[np.ndarray] = []
        off_outputs: list[np.ndarray] = []
        for held in np.array_split(order, self.folds):
            rest = np.setdiff1d(order, held)
            part = FieldProcesses(self.count, self.regressor, 0, self.steps, self.seed, self.shared, 0)
            part.fit(x[rest], snapshots[rest], mass, [back[i] for i in rest], [fields[i] for i in rest], outputs[rest])
            guess, width, scalar, scalar_width = part.predict(x[held], [back[i] for i in held])
            off.append(np.abs(guess - np.concatenate([fields[i] for i in held])) / np.maximum(width, TINY))
            off_outputs.append(np.abs(scalar - outputs[held]) / np.maximum(scalar_width, TINY))
        return np.concatenate([np.quantile(np.concatenate(a), 0.9, axis=0) for a in (off, off_outputs)]) / Z90

    def coefficients(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, noise included, of all coefficients and scalars at inputs (q, p)."""
        if self.regressor == "mean":
            shape = (len(x), len(self.scaler.mean))
            return np.broadcast_to(self.scaler.mean, shape), np.broadcast_to(self.scaler.std, shape)
        mean, variance = self.processes.predict(self.inputs(x))
        return self.scaler.undo(mean), np.sqrt(variance + self.processes.noise) * self.scaler.std

    def predict(self, x: np.ndarray, back: list[sp.csr_array]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """fields and their standard deviations (sum N, d), meshes end to end, scalars and theirs (q, outputs)."""
        mean, std = self.coefficients(x)
        d = len(self.pods)
        parts = [self._decode(mean[i : i + 1], std[i : i + 1], b) for i, b in enumerate(back)]
        guess, width = (np.concatenate(a) for a in zip(*parts, strict=True))
        cut = self.cuts[-1]
        return guess, width * self.factor[:d], mean[:, cut:], std[:, cut:] * self.factor[d:]

    def _decode(self, mean: np.ndarray, std: np.ndarray, back: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
        """A field (N, d) and its uncalibrated deviations: sqrt(sum_k sd_k^2 phi_k^2 + what the modes leave out), exact for linear maps."""
        columns, widths = [], []
        for k, pod in enumerate(self.pods):
            part = slice(self.cuts[k - 1] if k else 0, self.cuts[k])
            modes = back @ pod.modes.T
            columns.append(modes @ mean[0, part])
            widths.append(np.sqrt(modes**2 @ std[0, part] ** 2 + back @ self.left_out[k]))
        return np.stack(columns, 1), np.stack(widths, 1)
