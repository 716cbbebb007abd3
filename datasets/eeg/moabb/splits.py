"""Train and test rows of a fold: MOABB's splitters for recordings, their rule written out for the simulator.

The rule is here a second time because the simulator should not cost an import of MOABB (6 s); a test holds both equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

Pairs = list[tuple[np.ndarray, np.ndarray]]


def in_order(values: np.ndarray) -> list[Any]:
    """Distinct values in order of appearance."""
    return list(dict.fromkeys(np.asarray(values).tolist()))


def by_moabb(
    evaluation: str, y: np.ndarray, subject: np.ndarray, session: np.ndarray, n_folds: int, seed: int
) -> Pairs:
    """(train, test) rows by MOABB's WithinSessionSplitter, CrossSessionSplitter or CrossSubjectSplitter."""
    import pandas as pd
    from moabb.evaluations.splitters import CrossSessionSplitter, CrossSubjectSplitter, WithinSessionSplitter

    splitter = {
        "within_session": lambda: WithinSessionSplitter(n_folds=n_folds, shuffle=True, random_state=seed),
        "cross_session": CrossSessionSplitter,
        "cross_subject": CrossSubjectSplitter,
    }[evaluation]()
    metadata = pd.DataFrame({"subject": subject, "session": session, "run": "0"})
    return [(np.asarray(train), np.asarray(test)) for train, test in splitter.split(y, metadata)]


def by_rule(evaluation: str, y: np.ndarray, subject: np.ndarray, session: np.ndarray, n_folds: int, seed: int) -> Pairs:
    """The same rows without MOABB, up to the order of the pairs."""
    return list(_rule(evaluation, y, subject, session, n_folds, seed))


def _rule(
    evaluation: str, y: np.ndarray, subject: np.ndarray, session: np.ndarray, n_folds: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    every = np.arange(len(y))
    if evaluation == "cross_subject":  # leave one subject out
        for s in in_order(subject):
            yield every[subject != s], every[subject == s]
        return
    for s in in_order(subject):
        own = every[subject == s]
        names = in_order(session[own])
        if evaluation == "cross_session":  # leave one session of the subject out
            for name in names if len(names) > 1 else []:
                yield own[session[own] != name], own[session[own] == name]
            continue
        from sklearn.model_selection import StratifiedKFold

        for name in names:  # stratified parts of one session
            part = own[session[own] == name]
            folds = StratifiedKFold(n_folds, shuffle=True, random_state=np.random.RandomState(seed))
            for train, test in folds.split(part, y[part]):
                yield part[train], part[test]
