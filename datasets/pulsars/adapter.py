"""A simulated array as a Bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Arrays, Bundle, fingerprint
from datasets.pulsars.config import Config
from datasets.pulsars.simulate import simulate
from datasets.pulsars.task import SpectrumTask


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`train`: residuals in s (n,) of all pulsars one after the other, their uncertainties as `y` and the pulsar's number as `group`.

    `meta` is what `simulate` gives; there is no test split: what is scored is the spectrum against the injected one.
    """
    meta = simulate(config, np.random.default_rng([config.seed, config.fold_number(fold)]))
    pulsars = meta["pulsars"]
    x, sigma = (np.concatenate([p[name] for p in pulsars]) for name in ("residuals", "sigma"))
    number = np.repeat(np.arange(len(pulsars)), [len(p["times"]) for p in pulsars])
    places = np.concatenate([np.concatenate([p["times"], p["position"]]) for p in pulsars])
    return Bundle(
        kind=config.kind,
        train=Arrays(x, sigma, number),
        val=None,
        test=None,
        n_out=config.frequencies,
        shape=(),
        group=fold,
        origin="simulated",
        fingerprint=fingerprint(x, sigma, number, places, meta["frequencies"]),
        task=SpectrumTask(),
        card={"licence": config.licence, "source": "simulated as in the experiment; nothing is downloaded"},
        meta=meta,
    )
