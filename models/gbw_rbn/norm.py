"""The GBW batch normalisation layer."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from models.gbw_rbn.kernels import Normalise, OneStepMean, geodesic_point
from models.geometry.bures import bw_exp, bw_log_identity, bw_transport_from_identity
from models.geometry.eig import INV_SQRT, SQRT, Eig, sym, without_ties
from models.geometry.spd_check import check_norm_input, check_norm_options, check_not_indefinite


class GBWBatchNorm(nn.Module):
    r"""Batch normalisation of SPD matrices under the power-deformed generalised Bures-Wasserstein metric.

    For a batch X_i, metric M, bias G, shift s and power theta (Wang et al., CVPR 2025, arXiv 2504.00660):

    1. Z_i = M^{-1/2} X_i^theta M^{-1/2}, G' = M^{-1/2} G^theta M^{-1/2}
    2. training: B = one fixed-point step of the BW mean of Z_i from their arithmetic mean, v2 = batch
       variance; evaluation: B, v2 = running statistics
    3. W_i = Exp_I(T_{B->I}(Log_B(Z_i)))
    4. W_i <- Exp_I(s / sqrt(v2 + eps) Log_I(W_i))
    5. Y_i = Exp_{G'}(T_{I->G'}(Log_I(W_i)))
    6. output (M^{1/2} Y_i M^{1/2})^{1/theta}
    7. training: running_mean <- geodesic(running_mean, B, momentum),
       running_var <- (1 - momentum) running_var + momentum v2

    Log_I(Exp_I(V)) = 2(|I + V/2| - I) with the matrix absolute value is used throughout, which is exact also
    outside the injectivity domain of the exponential map.

    Parameters
    ----------
    n : int
        Matrix size.
    theta : float
        Power deformation, not 0.
    momentum, eps : float
        Of the running statistics, and of the variance.
    official_parity : bool
        Follow the authors' released code instead of the mathematics, see below.
    learn_metric : bool
        False fixes M = I (plain BW); `metric` is then a buffer.
    mixed_bias : bool
        Step 5 with the transport to G and the exponential map at G', as in the released layer of the residual network
        (Q7): Y_i = Exp_{G'}(T_{I->G}(Log_I(W_i))). The two agree at theta = 1 and M = I.

    Attributes
    ----------
    metric, bias : (n, n) SPD parameters M = I and G = I + 1e-7 diag(1..n); update them on their manifold
        (`MixedRiemannianSGD`), never with weight decay.
    shift : (1,) parameter s = 1.
    running_mean : (n, n) buffer, I. running_var : (1,) buffer, 1.

    Notes
    -----
    What differs between the mathematics (default) and the released code (`official_parity=True`):

    - Variance (Q1): default theta^{-2} mean_i d^2(Z_i, B), which is the mean squared length of the
      transported tangent vectors; the code takes theta^{-2} mean_i d^2(Z_i, I) of the batch that was not
      centred.
    - Repeated eigenvalues (Q4): default f'(lambda); the code zeroes these entries, which at M = I removes the
      off-diagonal gradient of M. Parity reproduces it for the roots of M, the only place where ties are
      exact.
    - Gradients (Q5): by default they flow through the one-step mean and the variance, so the derivative in
      training is the total one; the code detaches both.
    - Running statistics (Q6) are buffers in both modes. The variance has shape (1,): the n entries that the
      code keeps are always equal.
    - Bias (Q7): G' everywhere, in both modes; `mixed_bias` is the other of the two released copies of the layer.
    - Powers (Q10): the derivative of X^theta has exponent theta in both modes; the code's wrong exponent is a
      bug.
    - The statistics live in the deformed space of the current M (Q9) in both modes: they lag behind a moving
      M.

    A training batch of one has B = Z and v2 = 0, so by default its output is G whatever X is, with zero
    gradient in X up to rounding, and the running statistics take v2 = 0; in parity v2 = d^2(Z, I) and the
    output is G as well.

    Singular X (exact zero eigenvalues) is accepted; eigenvalues of B below 1e-14 of the largest are floored
    in B^{-1/2}. For condition numbers above about 1e8 the small eigenvalues of square roots are rounding
    noise: values and gradients stay finite but lose digits there.

    float64 only: the roots square the condition number and float32 has no digits left at 1e5.
    """

    manifolds: ClassVar[dict[str, str]] = {"metric": "spd_bw", "bias": "spd_bw"}
    """Which parameters live on which manifold, for `manifold_groups`."""

    def __init__(
        self,
        n: int,
        theta: float = 1.0,
        momentum: float = 0.1,
        eps: float = 1e-5,
        official_parity: bool = False,
        learn_metric: bool = True,
        mixed_bias: bool = False,
    ):
        super().__init__()
        check_norm_options(n, theta, momentum, eps)
        self.n, self.theta, self.momentum, self.eps = n, float(theta), momentum, eps
        self.official_parity, self.learn_metric, self.mixed_bias = official_parity, learn_metric, mixed_bias
        eye = torch.eye(n, dtype=torch.float64)
        if learn_metric:
            self.metric = nn.Parameter(eye.clone())
        else:
            self.register_buffer("metric", eye.clone())
        # distinct eigenvalues, as in the released code; this layer does not need them
        self.bias = nn.Parameter(eye + 1e-7 * torch.diag(torch.arange(1, n + 1, dtype=torch.float64)))
        self.shift = nn.Parameter(torch.ones(1, dtype=torch.float64))
        self.register_buffer("running_mean", eye.clone())
        self.register_buffer("running_var", torch.ones(1, dtype=torch.float64))

    def extra_repr(self) -> str:
        return (
            f"{self.n}, theta={self.theta}, momentum={self.momentum}, eps={self.eps}, "
            f"official_parity={self.official_parity}, learn_metric={self.learn_metric}, mixed_bias={self.mixed_bias}"
        )

    def _metric_roots(self) -> tuple[Tensor, Tensor]:
        """M^(1/2) and M^(-1/2)."""
        if not self.learn_metric:
            return self.metric, self.metric
        if self.official_parity:
            return Eig(self.metric).apply(without_ties(SQRT), without_ties(INV_SQRT))
        return Eig(self.metric).roots()

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (..., n, n), all leading dimensions being one batch; same shape, float64.

        Raises
        ------
        TypeError
            Not float64 (input, or parameters after a cast).
        ValueError
            Wrong shape, empty, NaN or Inf, not symmetric, or indefinite.
        """
        check_norm_input(self, x, self.n, definite=False)
        theta = self.theta
        batch = x.reshape(-1, self.n, self.n)
        if theta != 1.0:
            powers = Eig(batch)
            check_not_indefinite("input", powers.w)
            batch = powers.power(theta)
        h, c = self._metric_roots()
        bias = self.bias if theta == 1.0 else Eig(self.bias).power(theta)
        bias = c @ bias @ c
        if not self.training:
            mean, var = self.running_mean, self.running_var
        elif self.official_parity:
            with torch.no_grad():
                mean, spectrum = OneStepMean.apply(batch, c)
                roots = torch.linalg.eigvalsh(sym(c @ batch @ c)).clamp_min(0.0).sqrt()
                var = ((roots - 1.0).square().sum(-1).mean() / theta**2).reshape(1)
        else:
            (mean, spectrum), var = OneStepMean.apply(batch, c), None
        if self.training:
            check_not_indefinite("input", spectrum)
        if self.mixed_bias:
            eye = torch.eye(self.n, dtype=batch.dtype, device=batch.device)
            scaled, var, w = Normalise.apply(batch, c, mean, self.shift, var, eye, eye, theta, self.eps)
            moved = bw_transport_from_identity(self.bias, bw_log_identity(scaled))
            out = sym(h @ bw_exp(bias, moved) @ h)
        else:
            out, var, w = Normalise.apply(batch, c, mean, self.shift, var, bias, h, theta, self.eps)
        check_not_indefinite("input", w)
        if self.training:
            with torch.no_grad():
                self.running_mean.copy_(geodesic_point(self.running_mean, mean, self.momentum))
                self.running_var.lerp_(var, self.momentum)
        if theta != 1.0:
            out = Eig(out).power(1.0 / theta)
        return out.reshape(x.shape)
