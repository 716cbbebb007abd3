"""Read the published densities, or make such ones for a known power law."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import ORIGIN, Arrays, BenchError, Bundle, File, fingerprint
from datasets.files import verified
from datasets.free_spectra.config import FILES, PRODUCTS, Config
from datasets.free_spectra.task import DensityTask

TWIN_SPAN = 16.03 * 365.25 * 86400.0  # s
TWIN_GRID = np.linspace(-15.5, -1.0, 10_000)


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`train.x`: ln density (k, g) of log10 rho, per unit of log10 rho, float64; `meta`: it again, `grid` (g,), `frequencies` (k,) in Hz,
    `span` = 1 / the lowest of them, in s."""
    config.fold_number(fold)
    density, grid, f = _read(fold, Path(root)) if source == "real" else _twin(config, fold)
    density, f = density[: config.frequencies], f[: config.frequencies]
    if not np.allclose(f * (1 / f[0]), np.arange(1, len(f) + 1), rtol=1e-4):
        raise BenchError(f"the frequencies of {fold} are no multiples of the lowest; these files are of another format")
    return Bundle(
        kind=config.kind,
        train=Arrays(density),
        val=None,
        test=None,
        n_out=len(f),
        shape=density.shape[1:],
        group=fold,
        origin=ORIGIN[source],
        fingerprint=fingerprint(density, grid, f),
        task=DensityTask(),
        card={"licence": config.licence, "source": "PTArcade and ceffyl on GitHub", "citation": config.citation},
        meta={"log_density": density, "grid": grid, "frequencies": f, "span": float(1 / f[0])},
    )


def _read(fold: str, root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    folder, beside = PRODUCTS[fold]

    def array(path: str) -> np.ndarray:
        sha, size = FILES[path]
        return np.load(verified(root, File(path, sha, size)), allow_pickle=False).astype(np.float64)

    density = array(f"{folder}/density.npy")[0]
    grid, f = array(f"{beside}/log10rhogrid.npy"), array(f"{beside}/freqs.npy")
    area = np.exp(density).sum(1) * (grid[1] - grid[0])
    if density.shape != (len(f), len(grid)) or np.abs(area - 1).max() > 0.02:
        raise BenchError(
            f"the densities of {fold} do not integrate to 1 on their grid; delete {folder} and fetch it again"
        )
    return density, grid, f


def _twin(config: Config, fold: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normal densities about a power law, wider from frequency to frequency, each over a flat part as of frequencies with no signal."""
    import torch

    from models.pta_flow.spectra import log10_phi

    rng = np.random.default_rng([config.twin_seed, config.fold_number(fold)])
    f = np.arange(1, 31) / TWIN_SPAN
    truth = (
        log10_phi(
            "power_law", torch.from_numpy(f), TWIN_SPAN, torch.tensor(config.twin_parameters, dtype=torch.float64)
        )
        / 2
    ).numpy()
    width = 0.1 + 0.02 * np.arange(30)
    centre = truth + width * rng.standard_normal(30)
    peak = np.exp(-0.5 * ((TWIN_GRID - centre[:, None]) / width[:, None]) ** 2) / (width[:, None] * np.sqrt(2 * np.pi))
    flat = np.where(centre[:, None] > TWIN_GRID, 1 / (centre[:, None] - TWIN_GRID[0]), 1e-12)
    share = np.linspace(0.02, 0.9, 30)[:, None]
    density = (1 - share) * peak + share * flat
    density /= density.sum(1, keepdims=True) * (TWIN_GRID[1] - TWIN_GRID[0])
    return np.log(np.maximum(density, 1e-16)), TWIN_GRID, f
