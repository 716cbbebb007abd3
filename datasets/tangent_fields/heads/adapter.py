"""Potentials on the head and their tangential gradients: by formula for dipoles in a sphere, by local fits for recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import ORIGIN, Arrays, BenchError, Bundle, fingerprint
from datasets.files import verified
from datasets.tangent_fields.heads.config import Config
from datasets.tangent_fields.heads.task import HeadTask

BAND = (8.0, 12.0)  # Hz, alpha
STEP = 0.125  # s between frames of a recording
START = 2.0  # s, after the filter's edge
NEIGHBOURS = 8  # electrodes of a local fit


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """x (n, 3) float64 positions on the unit sphere; y (n, frames, 3), the field over its root mean square, tangent to it."""
    number = config.fold_number(fold)
    rng = np.random.default_rng([20240118, number])
    assert config.known is not None and config.frames is not None
    if source == "real":
        path = verified(root, config.files()[number])
        points, field = recorded(path, config.frames)
    else:
        points = electrodes(config.montage if config.recording == "dipoles" else "biosemi64")
        field = dipole_field(points, config.dipoles, config.frames, rng)
    if config.known >= len(points):
        raise BenchError(f"data.known={config.known} leaves none of {len(points)} electrodes to ask for; lower it")
    field = field / np.sqrt((field**2).sum(-1).mean())
    known = spread(points, config.known, int(rng.integers(len(points))))
    hidden = np.setdiff1d(np.arange(len(points)), known)
    given = field[known]
    if config.noise:
        noise = config.noise * rng.standard_normal(given.shape)
        given = given + noise - (noise * points[known][:, None]).sum(-1, keepdims=True) * points[known][:, None]
    return Bundle(
        kind=config.kind,
        train=Arrays(points[known], given),
        val=None,
        test=Arrays(points[hidden], field[hidden]),
        n_out=3,
        shape=(3,),
        group=fold,
        origin=ORIGIN[source],
        fingerprint=fingerprint(points[known], given, points[hidden], field[hidden]),
        task=HeadTask(),
        card={
            "licence": config.licence,
            "source": "EEGBCI, subject 1 (PhysioNet)"
            if source == "real"
            else "simulated dipoles in a homogeneous sphere",
            "citation": config.citation,
        },
    )


def electrodes(montage: str) -> np.ndarray:
    """Positions (n, 3) of one of mne's standard montages, on the unit sphere about the centre of the sphere fitted to them."""
    import mne

    place = mne.channels.make_standard_montage(montage).get_positions()["ch_pos"]
    return on_sphere(np.array(list(place.values())))


def on_sphere(points: np.ndarray) -> np.ndarray:
    """Unit vectors from the centre of the least-squares sphere: |x|^2 = 2 c.x + const."""
    a = np.column_stack([2 * points, np.ones(len(points))])
    centre = np.linalg.lstsq(a, (points**2).sum(1), rcond=None)[0][:3]
    away = points - centre
    return away / np.linalg.norm(away, axis=1, keepdims=True)


def spread(points: np.ndarray, count: int, first: int) -> np.ndarray:
    """`count` indices, each the farthest from those before, sorted."""
    chosen = [first]
    distance = np.linalg.norm(points - points[first], axis=1)
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1), out=distance)
    return np.sort(chosen)


def dipole_potential(points: np.ndarray, place: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """Potential (n, F) on the unit sphere, of conductivity 1 / (4 pi), with sources at `place` (S, 3) of moments (F, S, 3).

    The derivative along the moment of Neumann's function 2 / d - ln(1 - r.q + d) of the ball, d = |r - q|, |r| = 1 (Frank 1952).
    """
    apart = points[:, None] - place
    d = np.linalg.norm(apart, axis=-1, keepdims=True)
    inner = (points @ place.T)[..., None]
    gradient = 2 * apart / d**3 + (points[:, None] + apart / d) / (1 - inner + d)
    return np.einsum("nsk,fsk->nf", gradient, moment)


def dipole_field(points: np.ndarray, sources: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Tangential field (n, F, 3) = minus the surface gradient of the potential of dipoles that turn and swing at 10 Hz.

    Sources at 0.3 to 0.6 of the radius in the upper half: a homogeneous sphere has no skull to blur what lies nearer. The gradient
    is by central differences along two tangents (error 1e-8).
    """
    place = rng.standard_normal((sources, 3))
    place[:, 2] = np.abs(place[:, 2])
    place *= (rng.uniform(0.3, 0.6, sources) / np.linalg.norm(place, axis=1))[:, None]
    swing = 2 * np.pi * (10 * np.arange(frames)[:, None] / 100 + rng.random(sources))
    a, b = rng.standard_normal((2, sources, 3))
    moment = np.cos(swing)[..., None] * a + np.sin(swing)[..., None] * b
    axes = np.linalg.svd(points[:, :, None])[0][:, :, 1:]
    step, field = 1e-5, np.zeros((len(points), frames, 3))
    for tangent in (axes[..., 0], axes[..., 1]):
        ahead, behind = (
            dipole_potential(p / np.linalg.norm(p, axis=1, keepdims=True), place, moment)
            for p in (points + step * tangent, points - step * tangent)
        )
        field -= ((ahead - behind) / (2 * step))[..., None] * tangent[:, None]
    return field


def recorded(path: Path, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Electrodes (64, 3) on the unit sphere and the field (64, F, 3) of an EDF file, average reference, alpha band."""
    import mne

    raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
    mne.datasets.eegbci.standardize(raw)
    raw.set_montage("standard_1005", verbose="error")
    raw.set_eeg_reference(verbose="error")
    raw.filter(*BAND, verbose="error")
    place = raw.get_montage().get_positions()["ch_pos"]
    points = on_sphere(np.array([place[name] for name in raw.ch_names]))
    when = np.rint((START + STEP * np.arange(frames)) * raw.info["sfreq"]).astype(int)
    if when[-1] >= raw.n_times:
        raise BenchError(f"data.frames={frames} needs {when[-1] / raw.info['sfreq']:.0f} s of recording; lower it")
    return points, -surface_gradient(points, raw.get_data()[:, when])


def surface_gradient(points: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Tangential gradient (n, F, 3) on the unit sphere of values (n, F), by a plane fitted to each point's nearest electrodes."""
    from scipy.spatial import cKDTree

    near = cKDTree(points).query(points, k=NEIGHBOURS + 1)[1]
    axes = np.linalg.svd(points[:, :, None])[0][:, :, 1:]
    local = (points[near] - points[:, None]) @ axes
    design = np.concatenate([np.ones((*local.shape[:2], 1)), local], axis=-1)
    slope = (np.linalg.pinv(design) @ values[near])[:, 1:]
    return np.einsum("nka,naf->nfk", axes, slope)
