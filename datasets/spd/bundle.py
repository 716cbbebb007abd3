"""From SPD matrices and row indices to a Bundle: the same for recordings and simulations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.schema import ORIGIN, Arrays, BenchError, Bundle, fingerprint
from datasets.spd.task import ManyClasses

KIND = "spd_trials"
ILL = 1e5  # condition number above which a matrix counts as ill-conditioned


def condition(x: np.ndarray) -> np.ndarray:
    """Condition numbers (k,) of symmetric x (k, n, n); infinite where the smallest eigenvalue is not positive."""
    w = np.linalg.eigvalsh(x)
    return np.divide(w[:, -1], w[:, 0], out=np.full(len(w), np.inf), where=w[:, 0] > 0)


def unpack(triangles: np.ndarray, n: int) -> np.ndarray:
    """Symmetric matrices (k, n, n) float64 from upper triangles (k, n (n + 1) / 2) in the order of `numpy.triu_indices`.

    Raises
    ------
    BenchError
        Another length, or NaN or Inf: the number of matrices that hold them.
    """
    if triangles.ndim != 2 or triangles.shape[1] != n * (n + 1) // 2:
        raise BenchError(f"triangles have shape {triangles.shape}; n={n} needs (k, {n * (n + 1) // 2})")
    bad = int((~np.isfinite(triangles)).any(1).sum())
    if bad:
        raise BenchError(f"{bad} of {len(triangles)} matrices hold NaN or Inf; remove them from the file")
    x = np.zeros((len(triangles), n, n))
    i, j = np.triu_indices(n)
    x[:, i, j] = x[:, j, i] = triangles
    return x


def regularise(x: np.ndarray, scale: str, eps: float) -> np.ndarray:
    """x / tr x (scale="trace"; a zero matrix stays zero) or x as it is ("none"), plus eps I."""
    if scale == "trace":
        trace = x.trace(axis1=1, axis2=2)[:, None, None]
        x = np.divide(x, trace, out=np.zeros_like(x), where=trace > 0)
    return x + eps * np.eye(x.shape[-1])


def stratified(y: np.ndarray, rows: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(rest, drawn): `share` of the rows drawn at random, classes in proportion. Share 0 draws none."""
    if share == 0:
        return rows, rows[:0]
    from sklearn.model_selection import train_test_split

    try:
        rest, drawn = train_test_split(rows, test_size=share, stratify=y[rows], random_state=seed)
    except ValueError as error:
        raise BenchError(
            f"a share of {share:g} of {len(rows)} matrices cannot hold every class ({error}); raise data.val_share"
        ) from None
    return np.sort(rest), np.sort(drawn)


def bundle(
    x: np.ndarray,
    y: np.ndarray,
    split: Sequence[np.ndarray],
    *,
    n_out: int,
    group: str,
    source: str,
    card: dict[str, Any],
    meta: dict[str, Any],
) -> Bundle:
    """Cut x (k, n, n) float64 and labels y by `split` = (train, val, test) row indices; the fingerprint covers all of it.

    `meta` gets the measured conditioning of the matrices used: `ill_share` above 1e5, `condition_median`,
    `condition_max`; and `test_in_train`, the number of test matrices that are also in the other splits, bit for bit.

    Raises
    ------
    BenchError
        A matrix that is not positive definite: how many, and the remedy.
    """
    used = np.concatenate([np.asarray(part) for part in split])
    kappa = condition(x[used])
    if not np.isfinite(kappa).all():
        raise BenchError(
            f"{int((~np.isfinite(kappa)).sum())} of {len(used)} matrices are not positive definite; raise data.eps"
        )
    seen = {x[i].tobytes() for part in split[:2] for i in part}
    facts = {
        "ill_share": float((kappa > ILL).mean()),
        "condition_median": float(np.median(kappa)),
        "condition_max": float(kappa.max()),
        "test_in_train": sum(x[i].tobytes() in seen for i in split[2]),
    }
    parts = [Arrays(x[i], y[i].astype(np.int64)) for i in split]
    return Bundle(
        kind=KIND,
        train=parts[0],
        val=parts[1] if len(parts[1]) else None,
        test=parts[2],
        n_out=n_out,
        shape=x.shape[1:],
        group=group,
        origin=ORIGIN[source],
        fingerprint=fingerprint(x, y, *(np.asarray(part) for part in split)),
        task=ManyClasses(),
        card=card,
        meta={**meta, **facts},
    )
