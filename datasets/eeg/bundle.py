"""From trials and row indices to a Bundle: the same for recordings and for the simulator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.schema import ORIGIN, Arrays, BenchError, Bundle, Classification, Task, fingerprint
from datasets.eeg.twin import Trials, ill_share

KIND = "eeg_trials"


def bundle(
    trials: Trials,
    split: Sequence[np.ndarray],
    *,
    n_out: int,
    group: str,
    source: str,
    card: dict[str, Any],
    meta: dict[str, Any],
    task: Task | None = None,
) -> Bundle:
    """Cut `trials` by `split` = (train, val, test) row indices. The fingerprint covers all trials used, and the split.

    `meta` gets `ill_share`, the measured share of trials with a covariance of condition number above 1e5; `n_train`, the
    number of trials that a method may learn from, validation among them; and, for the simulator, `truth`. Adapters of
    recordings add `tested`, the number of test trials by session name as JSON.
    Raises BenchError when a class that is asked for has no trial to learn from.
    """
    rows = [np.asarray(part) for part in split]
    names = meta.get("classes") or list(range(n_out))
    absent = [str(names[c]) for c in range(n_out) if not (trials.y[rows[0]] == c).any()]
    if absent:
        raise BenchError(f"{group}: the training trials have none of class {', '.join(absent)}; leave the subject out")
    parts = [Arrays(trials.x[i], trials.y[i], trials.session[i]) for i in rows]
    meta = {
        **meta,
        "ill_share": trials.ill_share,
        "n_train": len(rows[0]) + len(rows[1]),
        "n_channels": trials.x.shape[1],
    } | ({"truth": trials.truth} if trials.truth else {})
    return Bundle(
        kind=KIND,
        train=parts[0],
        val=parts[1] if len(parts[1]) else None,
        test=parts[2],
        n_out=n_out,
        shape=trials.x.shape[1:],
        group=group,
        origin=ORIGIN[source],
        fingerprint=fingerprint(trials.x, trials.y, trials.session, *rows),
        task=task or Classification(),
        card=card,
        meta=meta,
    )


def sound(x: np.ndarray, session: np.ndarray, channels: Sequence[str], who: str) -> None:
    """Raise BenchError for samples that are not finite and for a channel that is constant through a whole session.

    `x` (n, n_channels, n_times), `session` (n,), `who` the subject as messages name it.
    """
    bad = ~np.isfinite(x).all(-1)
    if bad.any():
        trial, channel = np.argwhere(bad)[0]
        raise BenchError(
            f"{who}: {bad.any(1).sum()} of {len(x)} trials have NaN or infinite samples, first trial {trial + 1} in channel "
            f"{channels[channel]}; mend the recording or leave the subject out"
        )
    for s in np.unique(session):
        if flat := flat_channels(x[session == s], channels):
            raise BenchError(
                f"{who}: channel {', '.join(flat)} is constant in session {s}; name the other channels in data.channels"
            )


def flat_channels(x: np.ndarray, channels: Sequence[str]) -> list[str]:
    """Names of the channels of `x` (n, n_channels, n_times) whose range is below 1e-9 of the median over channels: a filter
    leaves rounding noise of a constant."""
    span = x.max((0, 2)) - x.min((0, 2))
    return [str(channels[i]) for i in np.flatnonzero(span <= 1e-9 * np.median(span))]


def recorded(x: np.ndarray, y: np.ndarray, session: np.ndarray) -> Trials:
    """Real trials in the simulator's container: no truth, the share of ill-conditioned ones measured."""
    return Trials(x, y, session, {}, ill_share(x))


def last_of_each_class(y: np.ndarray, rows: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """(train, val): of the given rows, the last `share` of each class (at least one, when there are two or more) is validation.

    The tail, not a random draw: trials that follow each other are alike, and a draw would put neighbours on both sides.
    """
    keep, hold = [], []
    for c in np.unique(y[rows]):
        own = rows[y[rows] == c]
        n = max(int(len(own) * share), 1) if share > 0 and len(own) > 1 else 0
        keep.append(own[: len(own) - n])
        hold.append(own[len(own) - n :])
    return np.sort(np.concatenate(keep)), np.sort(np.concatenate(hold))


def twin_card(like: str) -> dict[str, Any]:
    """The card of a stand-in: nothing in it was recorded from a person."""
    return {
        "licence": "made by this project's code; no licence of a recording applies",
        "files": {},
        "size": 0,
        "source": f"simulated by datasets/eeg/twin.py with the shapes of {like}; never evidence about {like}",
        "citation": "",
    }
