"""SHS-Net (Li et al., CVPR 2023): oriented normals of point clouds from a local patch and a global sample."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "SHSNet": "models.shs_net.net",
        "PointEncoder": "models.shs_net.encoder",
        "PileConv": "models.shs_net.layers",
        "GraphConv": "models.shs_net.layers",
        "losses": "models.shs_net.loss",
        "CloudSet": "models.shs_net.patches",
        "align": "models.shs_net.patches",
    },
)
