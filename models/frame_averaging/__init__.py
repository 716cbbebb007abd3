"""Frame averaging (Puny et al., ICLR 2022): wrappers for any network, and the network of its n-body experiment."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "FrameAveraging": "models.geometry.frames",
        "GroupAveraging": "models.geometry.frames",
        "PermutationFrameAveraging": "models.geometry.graph_frames",
        "FAGNN": "models.frame_averaging.fa_gnn",
    },
)
