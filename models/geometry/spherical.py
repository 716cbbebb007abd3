"""Functions on the sphere in the real basis of e3nn: harmonics, couplings, rotations. One place to import them from.

`spherical_harmonics` evaluates, `wigner` couples and rotates, `spherical_tables` has degrees, quadrature and the cache.
"""

from models.geometry.spherical_harmonics import NORMALISATIONS, legendre, scale, spherical_harmonics
from models.geometry.spherical_tables import (
    MAX_DEGREE,
    check_coefficients,
    check_degree,
    degrees,
    once,
    orders,
    points,
    quadrature,
)
from models.geometry.wigner import (
    ToPole,
    allowed,
    clebsch_gordan,
    gaunt,
    gaunt_factor,
    selection,
    wigner_3j,
    wigner_d,
)

__all__ = [
    "MAX_DEGREE",
    "NORMALISATIONS",
    "ToPole",
    "allowed",
    "check_coefficients",
    "check_degree",
    "clebsch_gordan",
    "degrees",
    "gaunt",
    "gaunt_factor",
    "legendre",
    "once",
    "orders",
    "points",
    "quadrature",
    "scale",
    "selection",
    "spherical_harmonics",
    "wigner_3j",
    "wigner_d",
]
