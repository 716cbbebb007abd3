"""Gradient-normalised smoothness (Semenov, Jaggi, Doikov, ICLR 2026): Newton's method with approximate Hessians, and baselines.

`from models.gns import GNS` is the optimiser for torch.
"""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__, {"GNS": "models.gns.optimizer", "gns": "models.gns.newton", "Problem": "models.gns.newton"}
)
