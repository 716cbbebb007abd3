"""Mesh-morphing Gaussian processes (Casenave et al., NeurIPS 2023); maps, modes and processes are in models/geometry."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__, {"CommonDomain": "models.mmgp.domain", "FieldProcesses": "models.mmgp.regression"}
)
