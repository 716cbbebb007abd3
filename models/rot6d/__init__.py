"""Networks that regress rotations, with the representation as a choice (Zhou et al., CVPR 2019)."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "RotationHead": "models.rot6d.head",
        "PairPointNet": "models.rot6d.nets",
        "forward_kinematics": "models.rot6d.kinematics",
    },
)
