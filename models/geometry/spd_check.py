"""Validation of symmetric positive definite input: one sentence that names the argument and the remedy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SYMMETRY_TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-4}
"""Largest accepted |x - x^T| relative to the largest |x|."""
NEGATIVE_TOLERANCE = 1e-8
"""Eigenvalues down to -NEGATIVE_TOLERANCE times the largest are taken for rounding of 0."""


def check_spd(name: str, x: Tensor, definite: bool = True, eigenvalues: Tensor | None = None) -> None:
    """Refuse what is not a batch of real symmetric (positive definite) matrices.

    Parameters
    ----------
    name : str
        The argument's name, used in the message.
    x : Tensor (..., n, n)
        float64 or float32; half precisions are refused because no root of a covariance survives them.
    definite : bool
        Also require positive eigenvalues, by a Cholesky factorisation unless `eigenvalues` is given.
    eigenvalues : Tensor (..., n), optional
        Ascending eigenvalues that the caller has anyway.

    Raises
    ------
    TypeError
        Not a tensor, or complex, integer or half-precision.
    ValueError
        Not square, empty, NaN or Inf, not symmetric, or not positive definite.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} is a {type(x).__name__}; pass a torch.Tensor (torch.as_tensor converts arrays)")
    if x.is_complex():
        raise TypeError(
            f"{name} is complex ({x.dtype}); only real symmetric matrices are supported, "
            "take the real part or the real 2n x 2n form"
        )
    if x.dtype not in SYMMETRY_TOLERANCE:
        raise TypeError(
            f"{name} has dtype {x.dtype}, which cannot hold the root of a covariance; convert it with .double()"
        )
    if x.dim() < 2 or x.shape[-1] != x.shape[-2] or x.numel() == 0:
        raise ValueError(f"{name} has shape {tuple(x.shape)}; pass a non-empty (..., n, n) batch of square matrices")
    with torch.no_grad():
        size = x.abs().amax()
        if not bool(torch.isfinite(size)):
            raise ValueError(f"{name} contains NaN or Inf; remove those trials before this call")
        if bool((x - x.mT).abs().amax() > SYMMETRY_TOLERANCE[x.dtype] * size):
            raise ValueError(f"{name} is not symmetric; pass 0.5 * ({name} + {name}.mT)")
        if definite:
            if eigenvalues is None:
                good = bool((torch.linalg.cholesky_ex(x).info == 0).all())
            else:
                good = bool((eigenvalues[..., 0] > 0).all())
            if not good:
                raise ValueError(
                    f"{name} has a matrix that is not positive definite; "
                    "add eps * I or rectify its eigenvalues (ReEig) first"
                )


def check_not_indefinite(name: str, w: Tensor) -> None:
    """Refuse ascending eigenvalues w (..., n) that are NaN or negative beyond rounding.

    Raises
    ------
    ValueError
        If a matrix is indefinite; an exact or rounded zero eigenvalue is accepted.
    """
    if not bool((w[..., 0] >= -NEGATIVE_TOLERANCE * w[..., -1].abs()).all()):
        raise ValueError(
            f"{name} has a matrix with a negative (or NaN) eigenvalue; "
            "rectify its eigenvalues (ReEig) or add eps * I first"
        )


def check_norm_options(n: int, theta: float = 1.0, momentum: float = 0.1, eps: float = 1e-5) -> None:
    """Refuse choices that no SPD batch normalisation has.

    Raises
    ------
    ValueError
        n < 1, theta = 0, momentum outside [0, 1], eps <= 0.
    """
    if n < 1:
        raise ValueError(f"n is {n}; pass the size of the matrices, at least 1")
    if theta == 0:
        raise ValueError("theta is 0; the power deformation needs a non-zero theta (1 switches it off)")
    if not 0.0 <= momentum <= 1.0:
        raise ValueError(f"momentum is {momentum}; it is the weight of the new batch, between 0 and 1")
    if eps <= 0:
        raise ValueError(f"eps is {eps}; a positive number is needed for batches without variance")


def check_norm_input(layer: nn.Module, x: Tensor, n: int, definite: bool = True) -> None:
    """Refuse what an SPD batch normalisation made for n x n matrices cannot take: see `check_spd`; float64 alone.

    Raises
    ------
    TypeError
        Input or parameters of the layer are not float64.
    ValueError
        As `check_spd`, and for another matrix size.
    """
    check_spd("input", x, definite)
    name = type(layer).__name__
    if x.dtype != torch.float64:
        raise TypeError(
            f"input is {str(x.dtype)[6:]}; {name} works in float64 because roots and logarithms of covariances lose half "
            "the digits, pass x.double()"
        )
    cast = next((p.dtype for p in layer.parameters() if p.dtype != torch.float64), None)
    if cast is not None:
        raise TypeError(f"the parameters of {name} were cast to {cast}; call .double() on the layer")
    if x.shape[-1] != n:
        raise ValueError(
            f"input has {x.shape[-1]} x {x.shape[-1]} matrices but the layer was made for n={n}; make it with n={x.shape[-1]}"
        )
