"""The LieBN layer for three Lie groups of SPD matrices."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from models.geometry.eig import Eig, eigh, floored, power, sym
from models.geometry.spd_check import check_norm_input, check_norm_options
from models.geometry.spd_metrics import aim_geodesic, lcm_unchart

METRICS = ("aim", "lem", "lcm")
EARLY_STOP = 0.1
"""Norm of the whitened tangent mean at which the released code leaves the arithmetic mean as it is (parity only)."""


def _cholesky(name: str, x: Tensor) -> Tensor:
    low, info = torch.linalg.cholesky_ex(x)
    if not bool((info == 0).all()):
        raise ValueError(
            f"{name} is not positive definite in float64; add eps * I to the input, or take theta nearer to 0 "
            "(the power raises the condition number to |theta|)"
        )
    return low


def _congruence(low: Tensor, x: Tensor) -> Tensor:
    """L^-1 x L^-T of x (k, n, n) for lower triangular L (n, n)."""
    half = torch.linalg.solve_triangular(low, x, upper=False)
    return sym(torch.linalg.solve_triangular(low, half.mT, upper=False))


class _Dispersion(Function):
    """W_i^p with p = s / sqrt(v2 + eps), and v2 = theta^(-2) mean_i |log W_i|^2, from one eigendecomposition.

    Inputs: W (k, n, n); s (1,); var (1,), or None to compute v2 from the batch; numbers theta, eps; frozen, which takes v2
    as a constant of the gradient.
    Outputs: W^p (k, n, n) and the variance used (1,), a constant. With P = Q^T sym(grad) Q the gradients are
    W: Q (f[w_a, w_b] * P + diag(2 gv log w / (k theta^2 w))) Q^T with the divided differences f of w^p;
    s: gp / sqrt(v2 + eps); gp = sum P_aa w_a^p log w_a, gv = -gp s (v2 + eps)^(-3/2) / 2.
    """

    @staticmethod
    def forward(ctx, x, shift, var, theta, eps, frozen):
        w, q = eigh(x)
        w = floored(w)
        log = w.log()
        ctx.own, ctx.weight = var is None and not frozen, 1.0 / (x.shape[0] * theta * theta)
        var = (log.square().sum() * ctx.weight).reshape(1) if var is None else var.clone()
        scale = (var + eps).rsqrt()
        p = float(shift * scale)
        wp = w.pow(p)
        ctx.p = p
        ctx.save_for_backward(w, q, log, wp, shift, scale)
        ctx.mark_non_differentiable(var)
        ctx.set_materialize_grads(False)
        return (q * wp.unsqueeze(-2)) @ q.mT, var

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, _var):
        if grad is None:
            return (None,) * 6
        w, q, log, wp, shift, scale = ctx.saved_tensors
        inner = q.mT @ sym(grad) @ q
        gp = (inner.diagonal(dim1=-2, dim2=-1) * wp * log).sum()
        gx = None
        if ctx.needs_input_grad[0]:
            inner = power(ctx.p).loewner(w) * inner
            if ctx.own:
                gvar = -0.5 * gp * shift * scale**3
                inner = inner + torch.diag_embed(2.0 * ctx.weight * gvar * log / w)
            gx = q @ inner @ q.mT
        return gx, (gp * scale).reshape(shift.shape), None, None, None, None


class LieBatchNorm(nn.Module):
    r"""LieBN: batch normalisation of SPD matrices by the translations of a Lie group.

    Chen, Song, Liu, Sebe, "A Lie Group Approach to Riemannian Batch Normalization", ICLR 2024 (arXiv 2403.11261). For a
    batch X_i, i = 1..k, with bias G, shift s and power theta:

    1. chart            Z_i = phi(X_i), E = phi(G)
    2. training: B = mean of Z_i; evaluation: B = running mean
    3. centre           W_i = B^{-1} . Z_i           (left translation of the group)
    4. training: v2 = mean squared distance of W_i to the identity; evaluation: running variance
    5. scale            W_i <- Exp_e(s / sqrt(v2 + eps) Log_e(W_i))
    6. bias             Y_i = E . W_i
    7. output           phi^{-1}(Y_i)
    8. training: running_mean <- geodesic(running_mean, B, momentum),
       running_var <- (1 - momentum) running_var + momentum v2

    ====== ========================= ============================== ============================ =====================
    metric phi(X)                    B                              translation by B = L L^T     v2
    ====== ========================= ============================== ============================ =====================
    aim    X^theta                   one Karcher step from the      L^{-1} Z L^{-T}; L Z L^T     mean |log W_i|^2
                                     arithmetic mean                                             / theta^2
    lem    log X                     arithmetic mean                Z - B; Z + B                 mean |W_i|^2
    lcm    strict lower part of L,   arithmetic mean                Z - B; Z + B                 mean |W_i|^2
           log of its diagonal,                                                                  / theta^2
           L L^T = X^theta
    ====== ========================= ============================== ============================ =====================

    In step 5 "aim" takes the matrix power W^{s / sqrt(v2 + eps)}, the others multiply. The Karcher step is
    B = F exp(mean_i log(F^{-1} Z_i F^{-T})) F^T for any F F^T = mean_i Z_i; here F is a Cholesky factor. "lem" has no
    theta: log X^theta = theta log X and the factor cancels in every step, so it is accepted and without effect. For
    theta -> 0 "aim" tends to "lem", and "lcm" to the same map with
    v2 = mean_i (|V_i|^2 / 2 - |diag V_i|^2 / 4), V_i = log X_i - mean log X.

    Parameters
    ----------
    n : int
        Matrix size.
    metric : str
        "aim" (affine-invariant), "lem" (log-Euclidean) or "lcm" (log-Cholesky).
    theta : float
        Power deformation, not 0.
    momentum, eps : float
        Weight of a new batch in the running statistics; added to the variance before its root.
    official_parity : bool
        Follow the authors' released code instead of the mathematics, see below.

    Attributes
    ----------
    bias : (n, n) SPD parameter G, starts at I; update it on its manifold (`MixedRiemannianSGD`), without weight decay.
    shift : (1,) parameter s = 1.
    running_mean : (n, n) buffer, in the chart: the mean of phi(X), not of X (`mean_point` maps it back); starts at phi(I).
    running_var : (1,) buffer, 1.

    Notes
    -----
    What differs between the mathematics (default) and the released code (`official_parity=True`):

    - Gradients: by default they flow through B and v2, so the derivative in training is the total one; the code takes
      both as constants.
    - "aim" mean: the code's library copy has an early stop before its only Karcher step, so where the whitened tangent
      mean has norm <= 0.1 its mean is the arithmetic one (its SPDNet copy has not); by default the step is always taken.
    - "lem", "lcm" running mean: the code starts it at the matrix I also in these charts, which stands for e I ("lem") and
      e^2 I ("lcm", theta = 1); by default it starts at phi(I) = 0. The difference fades with (1 - momentum)^batches.
    - The code clamps eigenvalues at 1e-7 in logarithms and takes eigenvalues within 1e-7 of each other for equal in
      derivatives, absolute thresholds that move badly scaled data; in both modes this layer has neither (`geometry.eig`).
    - Every gradient of a matrix power is the exact one in both modes, that of s included.

    All leading dimensions are one batch (the code keeps separate statistics per channel where there are channels; its
    networks have one).

    A training batch of one has B = Z and v2 = 0: its output is G whatever X is, with zero gradient in X up to rounding, and
    the running variance takes v2 = 0.

    X must be positive definite: log and Cholesky factor do not exist otherwise. Batched eigendecompositions in training:
    "lcm" none for theta = 1 and two otherwise, "lem" two, "aim" two for theta = 1 and four otherwise. "aim" and "lcm" are
    not equivariant under rotations X -> Q X Q^T (the Cholesky factor is not); "lem" is, for G = I.

    float64 only.
    """

    manifolds: ClassVar[dict[str, str]] = {"bias": "spd_aim"}
    """Which parameters live on which manifold, for `manifold_groups`."""

    def __init__(
        self,
        n: int,
        metric: str = "aim",
        theta: float = 1.0,
        momentum: float = 0.1,
        eps: float = 1e-5,
        official_parity: bool = False,
    ):
        super().__init__()
        check_norm_options(n, theta, momentum, eps)
        if metric not in METRICS:
            raise ValueError(f"metric is {metric!r}; choose one of the 3: {', '.join(METRICS)}")
        self.n, self.metric, self.theta, self.momentum, self.eps = n, metric, float(theta), momentum, eps
        self.official_parity = official_parity
        eye = torch.eye(n, dtype=torch.float64)
        self.bias = nn.Parameter(eye.clone())
        self.shift = nn.Parameter(torch.ones(1, dtype=torch.float64))
        at_identity = metric == "aim" or official_parity
        self.register_buffer("running_mean", eye if at_identity else torch.zeros_like(eye))
        self.register_buffer("running_var", torch.ones(1, dtype=torch.float64))

    def extra_repr(self) -> str:
        return (
            f"{self.n}, metric={self.metric}, theta={self.theta}, momentum={self.momentum}, eps={self.eps}, "
            f"official_parity={self.official_parity}"
        )

    def chart(self, name: str, x: Tensor) -> Tensor:
        """phi(x) of SPD x (..., n, n): symmetric for "aim" and "lem", lower triangular for "lcm"."""
        if self.metric == "lem":
            return Eig(x).log()
        z = x if self.theta == 1.0 else Eig(x).power(self.theta)
        if self.metric == "aim":
            return z
        low = _cholesky(name if self.theta == 1.0 else f"the power theta = {self.theta} of {name}", z)
        return low.tril(-1) + torch.diag_embed(low.diagonal(dim1=-2, dim2=-1).log())

    def unchart(self, z: Tensor) -> Tensor:
        """phi^-1(z) (..., n, n): the inverse of `chart`."""
        if self.metric == "lem":
            return Eig(z).exp()
        x = lcm_unchart(z) if self.metric == "lcm" else z
        return x if self.theta == 1.0 else Eig(x).power(1.0 / self.theta)

    @torch.no_grad()
    def mean_point(self) -> Tensor:
        """The running mean as an SPD matrix (n, n), phi^-1(running_mean)."""
        return self.unchart(self.running_mean)

    def _batch_mean(self, z: Tensor) -> Tensor:
        """B (n, n) of chart values z (k, n, n)."""
        mean = z.mean(0)
        if self.metric != "aim":
            return mean
        low = _cholesky("the batch mean", mean)
        tangent = Eig(_congruence(low, z)).log().mean(0)
        if self.official_parity and bool(torch.linalg.matrix_norm(tangent) <= EARLY_STOP):
            return mean
        return sym(low @ Eig(tangent).exp() @ low.mT)

    def _normalise(self, z: Tensor, mean: Tensor, var: Tensor | None, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Steps 3 to 6 on chart values z (k, n, n), and the variance, which is computed if `var` is None."""
        if self.metric == "aim":
            w = _congruence(_cholesky("the mean", mean), z)
            w, var = _Dispersion.apply(w, self.shift, var, self.theta, self.eps, self.official_parity)
            low = _cholesky("the bias", bias)
            return sym(low @ w @ low.mT), var
        w = z - mean
        if var is None:
            own = w.detach() if self.official_parity else w
            theta = self.theta if self.metric == "lcm" else 1.0
            var = (own.square().sum() / (own.shape[0] * theta * theta)).reshape(1)
        return self.shift * (var + self.eps).rsqrt() * w + bias, var

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (..., n, n), all leading dimensions being one batch; same shape, float64.

        Raises
        ------
        TypeError
            Not float64 (input, or parameters after a cast).
        ValueError
            Wrong shape, empty, NaN or Inf, not symmetric, or not positive definite (also a power of it, by rounding).
        """
        check_norm_input(self, x, self.n)
        z = self.chart("input", x.reshape(-1, self.n, self.n))
        bias = self.chart("the bias", self.bias)
        if self.training:
            mean, var = self._batch_mean(z.detach() if self.official_parity else z), None
        else:
            mean, var = self.running_mean, self.running_var
        y, var = self._normalise(z, mean, var, bias)
        out = self.unchart(y)
        if self.training:
            with torch.no_grad():
                if self.metric == "aim":
                    self.running_mean.copy_(aim_geodesic(self.running_mean, mean, self.momentum))
                else:
                    self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var, self.momentum)
        return out.reshape(x.shape)
