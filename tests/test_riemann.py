"""The classical baselines: equal, to the last digit, to direct pyriemann and scikit-learn calls on the same folds."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from pyriemann.classification import MDM, FgMDM
from pyriemann.estimation import Covariances
from pyriemann.spatialfilters import CSP
from pyriemann.tangentspace import TangentSpace
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from bench import plan
from bench.schema import Arrays, Bundle, Classification
from models.riemann.classifiers import scores, searched
from models.riemann.config import Config
from models.riemann.plugin import Riemann

CTX = SimpleNamespace(log=lambda step, **values: None)


def trials(n_classes: int = 2, n: int = 60, d: int = 5, t: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """Centred noise whose mixing depends a little on the class, in float64."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % n_classes
    gain = 1 + 0.25 * (np.arange(d) == y[:, None]) + 0.1 * rng.standard_normal((n, d))
    x = np.linalg.qr(rng.standard_normal((d, d)))[0] @ (gain[:, :, None] * rng.standard_normal((n, d, t)))
    return x - x.mean(-1, keepdims=True), y


def direct(name: str, y: np.ndarray):
    scoring = "roc_auc" if len(set(y)) == 2 else "accuracy"

    def grid(pipeline, space):
        return GridSearchCV(pipeline, space, cv=StratifiedKFold(3, shuffle=True, random_state=42), scoring=scoring)

    ts = TangentSpace(metric="riemann")
    svm = {"svc__C": [0.5, 1.0, 1.5], "svc__kernel": ["linear", "rbf"]}
    filters = {"csp__nfilter": [1, 2, 3, 4, 5]}
    elastic = LogisticRegression(solver="saga", l1_ratio=0.5, intercept_scaling=1000, max_iter=1000, random_state=42)
    return {
        "mdm": lambda: MDM(metric="riemann"),
        "fgmdm": lambda: FgMDM(metric="riemann", tsupdate=False),
        "ts_lr": lambda: make_pipeline(ts, LogisticRegression(C=1.0, max_iter=1000)),
        "ts_svm": lambda: grid(make_pipeline(ts, SVC()), svm),
        "ts_en": lambda: grid(
            make_pipeline(ts, elastic), {"logisticregression__l1_ratio": [0.15, 0.3, 0.45, 0.6, 0.75]}
        ),
        "csp_lda": lambda: grid(
            make_pipeline(CSP(nfilter=6), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")), filters
        ),
        "csp_svm": lambda: grid(make_pipeline(CSP(nfilter=6), SVC()), filters | svm),
    }[name]()


@pytest.mark.filterwarnings("ignore:.*max_iter was reached")
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", ["mdm", "ts_lr", "csp_lda", "fgmdm", "ts_svm", "csp_svm", "ts_en"])
def test_rows_equal_direct_calls_on_the_same_folds(name, n_classes):
    """Accuracy, and ROC-AUC for two classes, of every fold: the same float."""
    x, y = trials(n_classes)
    for train, test in StratifiedKFold(5, shuffle=True, random_state=42).split(x, y):
        bundle = Bundle(
            "eeg_trials",
            Arrays(x[train], y[train]),
            None,
            Arrays(x[test], y[test]),
            n_classes,
            x.shape[1:],
            "S",
            "simulated",
            "",
        )
        method = Riemann(Config(name=name, classifier=name, estimator="cov"))
        method.fit(bundle, CTX)
        result = method.evaluate(bundle, CTX)
        model = direct(name, y).fit(Covariances("cov").transform(x[train]), y[train])
        own = Covariances("cov").transform(x[test])
        measured = {m.name: m.value for m in Classification().score(bundle, result.predictions)}
        assert measured["accuracy"] == float((model.predict(own) == y[test]).mean())
        if n_classes == 2:
            from sklearn.metrics import get_scorer

            assert measured["roc_auc"] == pytest.approx(get_scorer("roc_auc")(model, own, y[test]), abs=1e-12)
        if name not in ("mdm", "ts_lr", "csp_lda") or n_classes > 2:
            break  # all folds of the three that are gated, one of the others


def test_elastic_net_mixes_penalties():
    """The l1 part zeroes weights, so the penalty is the elastic net and not ridge alone."""
    x, y = trials(d=8)
    model, tried = searched("ts_en", 8, 2, 3)
    covs = Covariances("cov").transform(x)
    weights = model.fit(covs, y).best_estimator_[-1].coef_
    assert tried == 5 and (weights == 0).any() and (weights != 0).any()


def test_configurations_tried_and_filters_no_more_than_channels():
    assert [searched(n, 22, 2, 3)[1] for n in ("mdm", "ts_svm", "csp_lda", "csp_svm")] == [1, 6, 8, 48]
    model, tried = searched("csp_lda", 3, 2, 3)
    assert tried == 3 and model.param_grid["csp__nfilter"] == [1, 2, 3]


def test_scores_agree_with_predictions_of_a_vote():
    """One-against-one votes may tie: argmax of the stored scores is the machine's own prediction all the same."""
    rng = np.random.default_rng(1)
    v, y = rng.standard_normal((80, 3)), np.arange(80) % 4
    model = SVC(kernel="rbf").fit(v, y)
    new = rng.standard_normal((400, 3))
    assert (model.decision_function(new).argmax(1) != model.predict(new)).any()
    assert np.array_equal(scores(model, new).argmax(1), model.predict(new))


def test_presets_use_the_plain_sample_covariance():
    for name in ("csp_lda", "csp_svm", "fgmdm", "ts_svm", "ts_en"):
        cell = plan.expand([f"method={name}", "data=ar_sources", "fold=0"])[0]
        assert cell.method.estimator == "cov" and cell.method.classifier == name
