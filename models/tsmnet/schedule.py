"""The momenta of SPD momentum batch normalisation as a function of the epoch."""

from __future__ import annotations


def momenta(
    k: int, epochs: int, bs: float, bs0: float, tau0: float, official_parity: bool = False
) -> tuple[float, float]:
    """(eta, eta_test): weights of a new batch in the training and in the evaluation statistics, in epoch k = 1, 2, ...

    With E = `epochs` and rho = (bs / bs0)^(1/E) (momentum batch normalisation, Yong et al. 2020),

        eta(k)      = 1 - rho^(E max(E - k, 0) / (E - 1)) + rho^E,
        eta_test(k) = 1 - tau0^(w + (1 - w) bs / bs0),  w = max(E - k, 0) / (E - 1).

    eta falls from 1 (k = 1) to bs / bs0 (k >= E), eta_test from 1 - tau0 to 1 - tau0^(bs / bs0). The released code passes
    1 - eta_test on from the first epoch on, so that its evaluation statistics are almost those of the last batch alone:
    `official_parity`.

    Parameters
    ----------
    bs, bs0 : samples of one domain in a batch; the batch size whose noise is aimed at, >= bs.
    """
    if epochs < 2 or k < 1:
        raise ValueError(f"k={k}, epochs={epochs}: the schedule counts epochs from 1 and needs at least 2 of them")
    if not 0 < bs <= bs0 or not 0 < tau0 < 1:
        raise ValueError(f"bs={bs}, bs0={bs0}, tau0={tau0}: pass 0 < bs <= bs0 and 0 < tau0 < 1")
    w = max(epochs - k, 0) / (epochs - 1)
    ratio = bs / bs0
    eta = 1.0 - ratio**w + ratio  # rho^E = ratio
    eta_test = 1.0 - tau0 ** (w + (1.0 - w) * ratio)
    return eta, 1.0 - eta_test if official_parity else eta_test
