"""The classical classifiers of covariance matrices, and the grids that MOABB's benchmark searches for them.

All take covariances (n, d, d): pyriemann's common spatial patterns diagonalise them as MNE's do trials.
"""

from __future__ import annotations

from typing import Any

GRIDS: dict[str, dict[str, list[Any]]] = {
    "csp_lda": {"csp__nfilter": [1, 2, 3, 4, 5, 6, 7, 8]},
    "csp_svm": {"csp__nfilter": [1, 2, 3, 4, 5, 6, 7, 8], "svc__C": [0.5, 1.0, 1.5], "svc__kernel": ["linear", "rbf"]},
    "ts_svm": {"svc__C": [0.5, 1.0, 1.5], "svc__kernel": ["linear", "rbf"]},
    "ts_en": {"logisticregression__l1_ratio": [0.15, 0.30, 0.45, 0.60, 0.75]},
}


def classifier(name: str, c: float = 1.0) -> Any:
    """The estimator `name`, unfitted: mdm, fgmdm, ts_lr, ts_svm, ts_en, csp_lda or csp_svm; `c` is the C of ts_lr."""
    from pyriemann.classification import MDM, FgMDM
    from pyriemann.spatialfilters import CSP
    from pyriemann.tangentspace import TangentSpace
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    if name == "mdm":
        return MDM(metric="riemann")
    if name == "fgmdm":
        return FgMDM(metric="riemann", tsupdate=False)
    if name == "csp_lda":
        return make_pipeline(CSP(nfilter=6), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"))
    if name == "csp_svm":
        return make_pipeline(CSP(nfilter=6), SVC())
    last = {
        "ts_lr": lambda: LogisticRegression(C=c, max_iter=1000),
        "ts_svm": lambda: SVC(),
        # saga draws samples in random order: the seed is part of the method
        "ts_en": lambda: LogisticRegression(
            solver="saga", l1_ratio=0.5, intercept_scaling=1000.0, max_iter=1000, random_state=42
        ),
    }[name]()
    return make_pipeline(TangentSpace(metric="riemann"), last)


def searched(name: str, n_channels: int, n_classes: int, inner_folds: int, c: float = 1.0) -> tuple[Any, int]:
    """(estimator, configurations tried): a nested grid search, scored as MOABB does, where `name` has a grid."""
    from itertools import starmap
    from math import prod

    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    grid = dict(GRIDS.get(name, {}))
    if "csp__nfilter" in grid:  # no more filters than channels
        grid["csp__nfilter"] = [k for k in grid["csp__nfilter"] if k <= n_channels]
    if not grid:
        return classifier(name, c), 1
    inner = StratifiedKFold(inner_folds, shuffle=True, random_state=42)
    scoring = "roc_auc" if n_classes == 2 else "accuracy"
    search = GridSearchCV(classifier(name, c), grid, cv=inner, scoring=scoring, error_score="raise")
    return search, prod(starmap(lambda _, values: len(values), grid.items()))


def scores(model: Any, covs: Any) -> Any:
    """(n, n_classes) scores of a fitted classifier: log-probabilities, or the decision function of a support vector machine."""
    import numpy as np

    if hasattr(model, "predict_proba"):
        return np.log(np.maximum(model.predict_proba(covs), 1e-12))
    decision = model.decision_function(covs)
    if decision.ndim == 1:
        return np.stack([-decision / 2, decision / 2], axis=1)
    # votes decide a prediction, and ties of votes fall to the first class: argmax must say the same
    rows, chosen = np.arange(len(decision)), np.searchsorted(model.classes_, model.predict(covs))
    decision[rows, chosen] = np.maximum(decision[rows, chosen], np.nextafter(decision.max(1), np.inf))
    return decision
