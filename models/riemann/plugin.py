"""Classical classifiers of (extended) covariances, with the filter bank and their own grids searched on training data only."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from bench.schema import Bundle, Result, SolverMethod
from models.riemann.classifiers import classifier, scores, searched
from models.riemann.config import Config


def extended(x: np.ndarray, sfreq: float, frequencies: list[float], half_width: float, harmonics: int) -> np.ndarray:
    """Band-pass copies of trials, stacked as channels: (n, channels * frequencies * harmonics, samples).

    One band of +-half_width Hz around each harmonic of each flicker frequency (second-order Butterworth, forwards and
    backwards), as in the extended covariance of Kalunga et al. 2016. A harmonic above the
    Nyquist frequency is left out, and so is a class without flicker (0 Hz).
    """
    from scipy.signal import butter, sosfiltfilt

    bands = [h * f for f in frequencies for h in range(1, harmonics + 1) if half_width < h * f < sfreq / 2 - half_width]
    pad = min(x.shape[-1] - 1, int(0.8 * sfreq))
    parts = [
        sosfiltfilt(
            butter(2, [b - half_width, b + half_width], "bandpass", fs=sfreq, output="sos"),
            x,
            axis=-1,
            padtype="even",
            padlen=pad,
        )
        for b in bands
    ]
    return np.concatenate(parts, axis=1)


def definite(covs: np.ndarray, estimator: str) -> np.ndarray:
    """The covariances (n, d, d) themselves; ValueError when one is singular to working precision, lambda_min <= d eps lambda_max.

    The affine-invariant mean takes their inverse roots: a singular one would give NaN, or noise as if it were a distance.
    """
    values = np.linalg.eigvalsh(covs)
    bad = ~(values[:, 0] > covs.shape[-1] * np.finfo(values.dtype).eps * values[:, -1])
    if bad.any():
        raise ValueError(
            f"the covariance of trial {int(bad.argmax())} ({int(bad.sum())} of {len(bad)}) is rank-deficient with "
            f"method.estimator={estimator}: use the shrinkage of lwf or oas, or fewer channels (an average reference, or a "
            "channel that repeats others, takes one rank away; so do fewer samples than channels)"
        )
    return covs


class Riemann(SolverMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        if self.cfg.filter_bank == "on" and not bundle.meta.get("frequencies"):
            return "method.filter_bank=on needs flicker frequencies and this data set has none; use filter_bank=auto"
        return None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        self.frequencies = list(bundle.meta.get("frequencies") or []) if self.cfg.filter_bank != "off" else []
        self.sfreq = bundle.meta.get("sfreq", 1.0)
        self.given = bundle.kind == "spd_trials"
        self.candidates = (
            list(product(self.cfg.half_widths or [1.0], self.cfg.harmonics or [1])) if self.frequencies else [(0.0, 0)]
        )
        x, y = np.asarray(bundle.train.x), np.asarray(bundle.train.y)
        covs = {c: self._covariances(x, c) for c in self.candidates}
        scores = {
            c: self._nested_score(covs[c], y, bundle.train.group) if len(self.candidates) > 1 else 0.0
            for c in self.candidates
        }
        self.choice = max(self.candidates, key=lambda c: scores[c])
        best = covs[self.choice]
        model, self.n_inner = searched(
            self.cfg.classifier, best.shape[-1], len(np.unique(y)), self.cfg.inner_folds, self.cfg.c
        )
        self.model = model.fit(best, y)
        ctx.log(
            0,
            **(
                {"nested_accuracy": scores[self.choice], "half_width_hz": self.choice[0], "harmonics": self.choice[1]}
                if self.frequencies
                else {}
            ),
        )

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        covs = self._covariances(np.asarray(bundle.test.x), self.choice)
        own = scores(self.model, covs)
        score = np.full((len(bundle.test), bundle.n_out), min(np.log(1e-12), own.min()))
        score[:, self.model.classes_] = own
        n_trials = len(self.candidates) - 1 + self.n_inner if self.n_inner > 1 else len(self.candidates)
        return Result(predictions={"y_score": score}, n_trials=n_trials)

    def _covariances(self, x: np.ndarray, choice: tuple[float, int]) -> np.ndarray:
        from pyriemann.estimation import Covariances

        x = np.asarray(x, dtype=np.float64)
        if self.given:
            return x
        x = x - x.mean(-1, keepdims=True)
        if self.frequencies:
            x = extended(x, self.sfreq, self.frequencies, *choice)
        return definite(Covariances(self.cfg.estimator).transform(x), self.cfg.estimator)

    def _classifier(self) -> Any:
        return classifier(self.cfg.classifier, self.cfg.c)

    def _nested_score(self, covs: np.ndarray, y: np.ndarray, group: np.ndarray | None) -> float:
        """Accuracy inside the training split, leaving one session out (three stratified folds when there is one session)."""
        from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold

        if group is not None and len(np.unique(group)) > 1:
            splits = LeaveOneGroupOut().split(covs, y, group)
        else:
            splits = StratifiedKFold(3).split(covs, y)
        return float(np.mean([self._classifier().fit(covs[a], y[a]).score(covs[b], y[b]) for a, b in splits]))
