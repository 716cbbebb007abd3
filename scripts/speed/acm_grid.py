"""Speed of the augmented covariance grid search. Run: python scripts/speed/acm_grid.py

The same nested selection (inner 3-fold stratified, ROC-AUC, refit of the best) on the same trials, one thread, float64:

- peer: MOABB's AugmentedDataset, pyriemann's Covariances("cov"), then TangentSpace + scikit-learn's SVC, or MDM, in GridSearchCV;
- ours: `models/acm` with shared lagged products, one mean per (order, lag) and fold, one Gram matrix for every C.

Trials are simulated (datasets/ar_sources, more channels). The peer's full grid on 22 channels takes hours on one core, so settings
with few channels have the whole 600- (or 100-) point grid and settings with 22 channels a part of it, as each line says. Ratios are
of processor time; `--repeats` interleaves them. "Scores" is the largest difference of any candidate's mean inner score.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import argparse
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.schema import Arrays, Bundle  # noqa: E402
from datasets.ar_sources.adapter import simulate  # noqa: E402
from datasets.ar_sources.config import Config as Resonators  # noqa: E402
from models.acm.config import Config  # noqa: E402
from models.acm.plugin import ACM  # noqa: E402
from scripts.speed.timing import publish  # noqa: E402

TEN = list(range(1, 11))
SETTINGS = [  # classifier, channels, samples, trials of the training set, orders, lags
    ("ts_svm", 4, 500, 40, TEN, TEN),
    ("ts_svm", 22, 1001, 30, [1, 4, 8], [1, 10]),
    ("mdm", 4, 500, 40, TEN, TEN),
    ("mdm", 22, 1001, 40, [1, 2, 4, 7, 10], [1, 5, 10]),
]
C, KERNELS = [0.5, 1.0, 1.5], ["linear", "rbf"]


def trials(channels: int, samples: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """n training trials (n, channels, samples) of two classes that are hard to tell apart, so that scores spread."""
    common = np.linspace(9, 40, channels - 1).tolist()
    config = Resonators(
        name="ar_sources", trials=n // 2, samples=samples, common=common, telling=[24.0, 22.0], radius=0.9, noise=1.0
    )
    x, y, _ = simulate(config, 1)
    return x, y


def peer(kind: str, orders: list[int], lags: list[int]):
    """GridSearchCV over MOABB's and pyriemann's transformers, as in MOABB's nested evaluation."""
    from moabb.pipelines.features import AugmentedDataset
    from pyriemann.classification import MDM
    from pyriemann.estimation import Covariances
    from pyriemann.tangentspace import TangentSpace
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    tail = [MDM(metric="riemann")] if kind == "mdm" else [TangentSpace(metric="riemann"), SVC()]
    grid: dict[str, list] = {"augmenteddataset__order": orders, "augmenteddataset__lag": lags}
    if kind == "ts_svm":
        grid |= {"svc__C": C, "svc__kernel": KERNELS}
    pipeline = make_pipeline(AugmentedDataset(), Covariances("cov"), *tail)
    inner = StratifiedKFold(3, shuffle=True, random_state=42)
    return GridSearchCV(pipeline, grid, cv=inner, scoring="roc_auc")


def ours(kind: str, orders: list[int], lags: list[int]) -> ACM:
    return ACM(Config(name="acm", classifier=kind, orders=orders, lags=lags, c=C, kernels=KERNELS))


def difference(method: ACM, search, kind: str, lags: list[int]) -> float:
    """Largest difference of any candidate's mean inner score."""
    worst = 0.0
    for params, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
        order = params["augmenteddataset__order"]
        lag = lags[0] if order == 1 else params["augmenteddataset__lag"]
        own = {} if kind == "mdm" else {"c": params["svc__C"], "kernel": params["svc__kernel"]}
        worst = max(worst, abs(method.found.scores[order, lag][method.found.candidates.index(own)] - score))
    return worst


def span(values: list[int]) -> str:
    return "1 to 10" if values == TEN else ", ".join(map(str, values))


def row(setting: tuple, repeats: int) -> str:
    """One line of the table."""
    kind, channels, samples, n, orders, lags = setting
    x, y = trials(channels, samples, n)
    bundle = Bundle("eeg_trials", Arrays(x, y), None, Arrays(x, y), 2, x.shape[1:], "S01", "simulated", "")
    checkpoint = SimpleNamespace(load=lambda: None, save=lambda state: None)
    ctx = SimpleNamespace(
        checkpoint=checkpoint, log=lambda step, **v: None, save_figure=lambda n, f: None, late=lambda: False,
        check_deadline=lambda: None,
    )  # fmt: skip
    peer(kind, [1, 2], [1]).fit(x[:, :, :200], y)  # warm-up
    ours(kind, [1, 2], [1]).fit(bundle, ctx)
    times: dict[str, list[float]] = {"peer": [], "ours": []}
    for _ in range(repeats):
        start = time.process_time()
        search = peer(kind, orders, lags).fit(x, y)
        middle = time.process_time()
        method = ours(kind, orders, lags)
        method.fit(bundle, ctx)
        times["peer"].append(middle - start)
        times["ours"].append(time.process_time() - middle)
    ratio = statistics.median(times["peer"]) / statistics.median(times["ours"])
    same = (method.order, method.lag) == tuple(search.best_params_[f"augmenteddataset__{k}"] for k in ("order", "lag"))
    points = len(search.cv_results_["params"])
    name = {"ts_svm": "TS+SVM", "mdm": "MDM"}[kind]
    return (
        f"| {name} | {channels} | {samples} | {n} | {span(orders)} | {span(lags)} | {points} | {ratio:.1f} | "
        f"{difference(method, search, kind, lags):.0e} | "
        f"{'yes' if same else 'no'} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=int, nargs="*", help="settings by index, from 0")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--no-write", action="store_true", help="print only, leave acm_grid.md alone")
    args = parser.parse_args()
    lines = [
        "# Augmented covariance grid with nested selection: how many times faster",
        "",
        (
            "`python scripts/speed/acm_grid.py`, float64, one CPU thread. Peer: MOABB's AugmentedDataset, pyriemann and scikit-learn in "
            "GridSearchCV, same trials, same inner folds. Ratio of processor times. Ten orders and "
            "ten lags are 100 points for MDM and 600 with C and kernel."
        ),
        "",
        "| classifier | channels | samples | trials | orders | lags | points | peer / ours | difference of scores | same choice |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for i, setting in enumerate(SETTINGS):
        if args.only is None or i in args.only:
            lines.append(row(setting, args.repeats))
            print(lines[-1], flush=True)
    publish(lines, __file__, write=not args.no_write)


if __name__ == "__main__":
    main()
