"""A physical simulator of EEG trials: dipoles with rhythms or responses, projected to the scalp, plus what disturbs them.

    x = M_s ( sum_k a_k s_k(t) + A b(t) ) + e,        per trial, in microvolts

a_k is the scalp pattern of source k in a spherical head (leadfield.py), s_k its activity, A b the 1/f background of 60
dipoles, M_s = diag(exp(d g)) (I + d G / sqrt(n)) the drift of session s (g, G standard normal, d = `drift`), e the white
noise of the sensors. Sources by paradigm:

ssvep : one occipital pattern; s is a sum of harmonics of the flicker frequency, locked to the stimulus up to a latency jitter.
mi    : one sensorimotor source for each class with mu (10.5 Hz) and beta (21 Hz) noise; imagining the class takes away the share
        `erd` of its amplitude (contralateral for the hands): event-related desynchronisation.
erp   : a visual response in every trial, and one deflection over Pz and Cz whose latency tells the class (none for NonTarget).

All sources stay in the returned `truth`, so that a test can ask an analysis to find them again. Everything is a function of
(twin.seed, subject, session).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.fft import irfft, next_fast_len, rfftfreq

from bench.schema import BenchError
from datasets.eeg.leadfield import N_BACKGROUND, Leadfield, leadfield
from datasets.eeg.twin_config import TwinConfig

PARADIGMS = ("ssvep", "mi", "erp")
HARMONICS = (1.0, 0.5, 0.25)  # amplitudes of the fundamental and its multiples
RHYTHM = ((10.5, 1.2, 1.0), (21.0, 2.0, 0.5))  # mu and beta: centre (Hz), width (Hz), amplitude
PLACES = {
    "left_hand": ("C4",),
    "right_hand": ("C3",),
    "feet": ("Cz",),
    "tongue": ("C5", "C6"),
    "hands": ("C3", "C4"),
    "both_hands": ("C3", "C4"),
    "both_hand": ("C3", "C4"),
    "rest": (),
}
OTHER_PLACES = (
    ("FC3",),
    ("FC4",),
    ("CP3",),
    ("CP4",),
    ("P3",),
    ("P4",),
    ("F3",),
    ("F4",),
    ("FCz",),
    ("CPz",),
    ("T7",),
    ("T8",),
)
ILL = 1e5  # condition number above which a covariance counts as ill-conditioned


@dataclass(frozen=True)
class Recording:
    """What is imitated: `classes` (for ssvep the frequencies in Hz, as text), `counts` trials by session and class, `channels`
    names, `sfreq` Hz, `n_times` samples of a trial, `start` time of the first sample after the cue (s), `pieces` consecutive
    trials that were cut out of one presentation."""

    paradigm: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    channels: tuple[str, ...]
    sfreq: float
    n_times: int
    start: float = 0.0
    pieces: int = 1


@dataclass
class Trials:
    """`x` (n, n_channels, n_times) float64 uV; `y` (n,) int64; `session` (n,) int64 from 1; `truth`; `ill_share` measured."""

    x: np.ndarray
    y: np.ndarray
    session: np.ndarray
    truth: dict[str, Any]
    ill_share: float


def simulate(recording: Recording, twin: TwinConfig, subject: int) -> Trials:
    """All sessions of one subject.

    Raises BenchError when the paradigm has no simulator or fewer trials than classes are asked for.
    """
    if recording.paradigm not in PARADIGMS:
        raise BenchError(f"the paradigm {recording.paradigm} has no synthetic stand-in; use data.source=real")
    twin.check()
    field = leadfield()
    person = _Person(recording, twin, field, np.random.default_rng([twin.seed, subject, 0]))
    parts = []
    for s, counts in enumerate(recording.counts):
        rng = np.random.default_rng([twin.seed, subject, s + 1])
        parts.append(_session(recording, twin, person, resized(counts, twin.trials_per_session), rng))
    x = np.concatenate([p[0] for p in parts])
    y = np.concatenate([p[1] for p in parts])
    session = np.repeat(np.arange(1, len(parts) + 1), [len(p[1]) for p in parts])
    truth = {
        "paradigm": recording.paradigm,
        "places": person.places,
        "class_source": person.class_source,
        "positions_m": person.positions,
        "patterns": person.patterns,  # (n_sources, n_channels), before the drift
        "drift": np.stack([p[2] for p in parts]),  # (n_sessions, n_channels, n_channels): M_s
        "bridged": person.bridged,
        "amplitude_uv": person.amplitude,
    }
    return Trials(x, y, session, truth, ill_share(x))


def resized(counts: tuple[int, ...], total: int | None) -> tuple[int, ...]:
    """The counts of the classes scaled to `total` trials (largest remainders), at least one of each class."""
    if total is None:
        return counts
    if total < len(counts):
        raise BenchError(f"data.twin.trials_per_session={total} is fewer than the {len(counts)} classes; raise it")
    exact = np.array(counts) * total / sum(counts)
    out = np.maximum(np.floor(exact).astype(int), 1)
    for i in np.argsort(out - exact, kind="stable")[: max(total - out.sum(), 0)]:
        out[i] += 1
    while out.sum() > total:  # the lower bound of 1 took too many
        out[out.argmax()] -= 1
    return tuple(out.tolist())


def condition(x: np.ndarray) -> np.ndarray:
    """Condition number of the covariance of each trial (n,), x (n, n_channels, n_times); inf when singular."""
    cov = np.empty((len(x), x.shape[1], x.shape[1]))
    for i, trial in enumerate(x):  # one trial at a time stays in the processor's cache
        c = trial - trial.mean(-1, keepdims=True)
        np.matmul(c, c.T, out=cov[i])
    value = np.linalg.eigvalsh(cov)
    return np.where(value[:, 0] > 0, value[:, -1] / np.maximum(value[:, 0], 1e-300), np.inf)


def ill_share(x: np.ndarray) -> float:
    """Share of trials whose covariance has a condition number above 1e5."""
    return float(np.mean(condition(x) > ILL))


# ------------------------------------------------------------------------------------------ one subject


class _Person:
    """Patterns and amplitudes that stay the same over the sessions of a subject."""

    def __init__(self, recording: Recording, twin: TwinConfig, field: Leadfield, rng: np.random.Generator) -> None:
        self.rows = field.rows(recording.channels)
        self.places, self.class_source = _sources(recording)
        self.patterns = np.stack([_pattern(field, self.rows, place, rng) for place in self.places])
        self.positions = [np.stack([field.position[field.dipoles.index(p)] for p in place]) for place in self.places]
        self.alpha = np.stack([_pattern(field, self.rows, (p,), rng) for p in ("POz", "P3", "P4")])
        self.amplitude = float(twin.signal * np.exp(0.2 * rng.standard_normal()))  # some people show more than others
        self.phase = rng.uniform(0, 2 * np.pi, len(HARMONICS))
        self.latency = rng.normal(0.12, 0.01)  # of the visual response (s)
        direction = rng.normal(size=(N_BACKGROUND, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        deep = np.einsum("cdi,di->cd", field.gain[self.rows][:, -N_BACKGROUND:], direction)
        deep /= np.sqrt((deep**2).sum(1).mean())  # rms over channels of the sum: 1
        # all background dipoles have one spectrum, so n_channels processes mixed by R^T have the covariance of all 60
        self.background = np.linalg.qr(deep.T).R.T
        similar = (
            np.abs(np.corrcoef(field.gain[self.rows].reshape(len(self.rows), -1)))
            if len(self.rows) > 1
            else np.ones((1, 1))
        )
        np.fill_diagonal(similar, -1.0)
        self.bridged = tuple(
            int(i) for i in np.unravel_index(similar.argmax(), similar.shape)
        )  # neighbours: bridged by gel


def _sources(recording: Recording) -> tuple[list[tuple[str, ...]], list[int | None]]:
    """(places of each source, source that tells each class apart; None for a class without one)."""
    n = len(recording.classes)
    if recording.paradigm == "ssvep":
        return [("O1", "Oz", "O2")], [0] * n
    if recording.paradigm == "erp":
        return [("Oz",), ("Pz", "Cz")], [None if c == "NonTarget" else 1 for c in recording.classes]
    spare, places, owner = iter(OTHER_PLACES * (1 + n // len(OTHER_PLACES))), [], []
    for name in recording.classes:
        place = PLACES[name] if name in PLACES else next(spare)
        owner.append(len(places) if place else None)
        if place:
            places.append(place)
    return places, owner


def _pattern(field: Leadfield, rows: list[int], place: tuple[str, ...], rng: np.random.Generator) -> np.ndarray:
    """Pattern of dipoles that act together, root mean square 1 over channels; the cortex is folded, so they are not quite radial."""
    total = np.zeros(len(rows))
    for name in place:
        direction = field.direction(name) + 0.3 * rng.standard_normal(3)
        total += field.pattern(name, direction / np.linalg.norm(direction))[rows]
    return total / np.sqrt((total**2).mean())


# ------------------------------------------------------------------------------------------ one session


def _session(
    recording: Recording, twin: TwinConfig, person: _Person, counts: tuple[int, ...], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x, y, M_s) of one session. Activity is made for whole presentations and cut afterwards: neighbours belong together."""
    pieces, n_times, n_channels = recording.pieces, recording.n_times, len(recording.channels)
    blocks = rng.permutation(np.repeat(np.arange(len(counts)), [-(-c // pieces) for c in counts]))
    long = pieces * n_times
    drift = np.exp(twin.drift * rng.standard_normal(n_channels))[:, None] * (
        np.eye(n_channels) + twin.drift * rng.standard_normal((n_channels, n_channels)) / np.sqrt(n_channels)
    )
    # all that the brain does goes through one mixing matrix: one pass over the large array instead of four
    mixing = drift @ np.hstack(
        [
            twin.background * person.background,
            0.4 * twin.background * person.alpha.T,
            person.amplitude * person.patterns.T,
        ]
    )
    activity = [
        _noise(rng, (len(blocks), person.background.shape[1]), long, recording.sfreq, _pink),
        _noise(rng, (len(blocks), len(person.alpha)), long, recording.sfreq, _bump(10.0, 1.0)),
        _ACTIVITY[recording.paradigm](recording, twin, person, blocks, long, rng),
    ]
    x = mixing @ np.concatenate(activity, axis=1)
    hiss = rng.standard_normal(x.shape)
    hiss *= twin.noise
    x += hiss
    x = x.reshape(len(blocks), n_channels, pieces, n_times).swapaxes(1, 2).reshape(-1, n_channels, n_times)
    y = np.repeat(blocks, pieces)
    seen = np.zeros(len(y), dtype=int)  # ordinal of each trial within its class: what exceeds the count is dropped
    for c in range(len(counts)):
        seen[y == c] = np.arange((y == c).sum())
    wanted = seen < np.array(counts)[y]
    if not wanted.all():
        x, y = x[wanted], y[wanted]
    _bridge(x, person.bridged, twin.ill_share, rng)
    return x, y.astype(np.int64), drift


def _bridge(x: np.ndarray, pair: tuple[int, int], share: float, rng: np.random.Generator) -> None:
    """Make one channel a near copy of its neighbour (1e-3 of its amplitude apart) in a share of the trials, in place."""
    if x.shape[1] < 2:
        return
    chosen = rng.permutation(len(x))[: round(share * len(x))]
    copy = x[chosen, pair[0]]
    x[chosen, pair[1]] = copy + 1e-3 * copy.std(-1, keepdims=True) * rng.standard_normal(copy.shape)


def _pink(f: np.ndarray) -> np.ndarray:
    return np.where(f >= 0.5, 1 / np.sqrt(np.maximum(f, 0.5)), 0.0)


def _bump(centre: float, width: float) -> Any:
    return lambda f: np.exp(-0.5 * ((f - centre) / width) ** 2)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], n_times: int, sfreq: float, amplitude: Any) -> np.ndarray:
    """Gaussian noise (*shape, n_times) of unit variance with an amplitude spectrum; a narrow one is amplitude-modulated by itself."""
    m = next_fast_len(n_times + n_times // 8, real=True)  # longer than needed: the ends are not tied to each other
    level = amplitude(rfftfreq(m, 1 / sfreq))
    level[0] = 0.0
    if m % 2 == 0:
        level[-1] = 0.0
    power = (level**2).sum()
    if power == 0:
        return np.zeros((*shape, n_times))
    z = rng.standard_normal((*shape, len(level), 2)).view(np.complex128)[..., 0]
    z *= level * (m / 2 / np.sqrt(power))  # var = 4 sum |z|^2 / m^2 over both parts, each of unit variance
    return irfft(z, m, axis=-1)[..., :n_times]


def _ssvep(
    recording: Recording, twin: TwinConfig, person: _Person, blocks: np.ndarray, long: int, rng: np.random.Generator
) -> np.ndarray:
    # a class that is no number is rest: nothing flickers
    frequency = np.array([float(c) if c.replace(".", "", 1).isdigit() else 0.0 for c in recording.classes])[blocks]
    late = person.latency + 1e-3 * twin.jitter_ms * rng.standard_normal(len(blocks))
    t = recording.start + np.arange(long) / recording.sfreq - late[:, None]
    s = np.zeros((len(blocks), long))
    for h, (size, phase) in enumerate(zip(HARMONICS, person.phase, strict=True), 1):
        audible = (frequency > 0) & (
            h * frequency < recording.sfreq / 2
        )  # harmonics above the Nyquist frequency were filtered before sampling
        s += size * audible[:, None] * np.cos(2 * np.pi * h * frequency[:, None] * t + phase)
    s *= np.exp(0.2 * rng.standard_normal((len(blocks), 1))) / np.sqrt(sum(a * a for a in HARMONICS) / 2)
    return s[:, None]


def _mi(
    recording: Recording, twin: TwinConfig, person: _Person, blocks: np.ndarray, long: int, rng: np.random.Generator
) -> np.ndarray:
    shape = (len(blocks), len(person.places))
    s = sum(size * _noise(rng, shape, long, recording.sfreq, _bump(centre, width)) for centre, width, size in RHYTHM)
    t = recording.start + np.arange(long) / recording.sfreq
    onset = 1 / (1 + np.exp(-(t - 0.3) / 0.1))  # desynchronisation sets in about 0.3 s after the cue
    for c, source in enumerate(person.class_source):
        if source is not None:
            s[blocks == c, source] *= 1 - twin.erd * onset
    return s


def _erp(
    recording: Recording, twin: TwinConfig, person: _Person, blocks: np.ndarray, long: int, rng: np.random.Generator
) -> np.ndarray:
    t = (
        recording.start
        + np.arange(long) / recording.sfreq
        - 1e-3 * twin.jitter_ms * rng.standard_normal((len(blocks), 1))
    )
    s = np.zeros((len(blocks), len(person.places), long))
    s[:, 0] = -np.exp(-0.5 * ((t - person.latency - 0.05) / 0.03) ** 2)
    for c, source in enumerate(person.class_source):
        if source is not None:
            s[blocks == c, source] = 2 * np.exp(-0.5 * ((t[blocks == c] - 0.3 - 0.05 * c) / 0.06) ** 2)
    return s


_ACTIVITY = {"ssvep": _ssvep, "mi": _mi, "erp": _erp}
