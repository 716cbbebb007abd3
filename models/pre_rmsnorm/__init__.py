"""Pre-RMSNorm and Pre-CRMSNorm transformers (Jiang et al., NeurIPS 2023): modules, and a lossless converter from Pre-LN."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "to_pre_rmsnorm": "models.pre_rmsnorm.convert",
        "to_pre_crmsnorm": "models.pre_rmsnorm.convert",
        "RMSNorm": "models.pre_rmsnorm.norms",
        "CRMSNorm": "models.pre_rmsnorm.norms",
        "pre_ln_block": "models.pre_rmsnorm.blocks",
        "pre_rmsnorm_block": "models.pre_rmsnorm.blocks",
        "pre_crmsnorm_block": "models.pre_rmsnorm.blocks",
    },
)
