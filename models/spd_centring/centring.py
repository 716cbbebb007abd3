"""Centring of SPD matrices at a given mean, in the precision of its arguments."""

from __future__ import annotations

import torch
from torch import Tensor

from models.geometry.bures import bw_exp_identity, bw_log, bw_mean, bw_transport_to_identity
from models.geometry.eig import Eig, sym
from models.geometry.spd_check import check_spd
from models.geometry.spd_metrics import aim_mean

MEAN = {"bw": bw_mean, "aim": aim_mean}


def centre(metric: str, x: Tensor, mean: Tensor) -> Tensor:
    """x (k, n, n) moved so that `mean` (n, n) becomes I; same shape and dtype.

    "bw": Exp_I(T_{B->I}(Log_B(X_i))), step 3 of the GBW layer (Wang et al. 2025, arXiv 2504.00660), which takes the root of
    a product with X_i. "aim": B^(-1/2) X_i B^(-1/2), linear in X_i.
    """
    if metric == "bw":
        return bw_exp_identity(bw_transport_to_identity(mean, bw_log(mean, x)))
    inverse = Eig(mean).inv_sqrt()
    return sym(inverse @ x @ inverse)


@torch.no_grad()
def float32_error(metric: str, x: Tensor) -> tuple[float, float]:
    """Largest relative error over the batch x (k, n, n), float64, of centring it in float32; condition number of the mean.

    The mean is the one that batch normalisations take, one fixed-point or Karcher step from the arithmetic mean; it is computed
    in float64 and rounded, so that the centring alone is compared.

    Raises
    ------
    ValueError
        Unknown metric, or x is not positive definite.
    """
    if metric not in MEAN:
        raise ValueError(f"unknown metric {metric!r}; choose {' or '.join(MEAN)}")
    check_spd("x", x)
    mean = MEAN[metric](x, n_iter=1)
    exact = centre(metric, x, mean)
    rough = centre(metric, x.float(), mean.float()).double()
    error = torch.linalg.matrix_norm(rough - exact) / torch.linalg.matrix_norm(exact)
    w = Eig(mean).w
    return float(error.max()), float(w[-1] / w[0])
