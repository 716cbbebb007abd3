"""Choices of the free-spectrum data; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import DataConfig, File, option

FOLDER = "nanograv15"
_HD, _CP, _MORE = (f"{FOLDER}/free_spectrum_30f_{n}" for n in ("hd", "cp", "hd_monopole_dipole"))
_FREQS = "1189fd8c985ffa30d977a309fe82ae08f2300dd893f981233058f5b70e933aaa"
FILES = {
    f"{_HD}/density.npy": ("ed02380bfb7c57249caf1d0357cd556a436e7b0870f8c3db46a529ef0b4f1173", 2400128),
    f"{_HD}/log10rhogrid.npy": ("f06912fdb1ff7644bfb5a6ee09b866fb21c63e6e1986b76fdf65adfb93758615", 80128),
    f"{_HD}/freqs.npy": (_FREQS, 368),
    f"{_CP}/density.npy": ("b3a421b23c1e533d418bccb6127238e157ea95083944bf65e831b8fd059a7ca1", 2400128),
    f"{_CP}/log10rhogrid.npy": ("ac1710e28fe897360732f2c72d006ce11c0b5a1c700e924c86b1f1752bc93a48", 80128),
    f"{_CP}/freqs.npy": (_FREQS, 368),
    f"{_MORE}/density.npy": ("400a09bb54d6578a4d35f5faf581514fa81e9419437dfaeec2b74f8cdc3e6e97", 2400128),
}
PRODUCTS = {
    "hd": (_HD, _HD),
    "cp": (_CP, _CP),
    "hd_mp_dp": (_MORE, _HD),
}  # fold -> folder of the density, of grid and frequencies


@dataclass
class Config(DataConfig):
    """Densities of log10 rho of each frequency, from the collaboration's own Markov chains. A fold is a correlation pattern of these:
    Hellings-Downs, common and uncorrelated, and Hellings-Downs beside a monopole and a dipole."""

    frequencies: int = option(14, "lowest frequencies that are used", low=1, high=30)
    twin_parameters: list[float] = option(lambda: [-14.2, 3.2], "stand-in: log10 A and gamma of its power law")
    twin_seed: int = option(0, "stand-in: of its scatter", low=0)

    stand_in: ClassVar[tuple[str, ...]] = ("twin_parameters", "twin_seed")
    adapter: ClassVar[str] = "datasets.free_spectra.adapter:load"
    kind: ClassVar[str] = "free_spectrum"
    licence: ClassVar[str] = "MIT, the licence of the source repositories PTArcade and ceffyl"
    citation: ClassVar[str] = (
        "agazie2023nanograv: Agazie et al. (NANOGrav), The NANOGrav 15 yr Data Set: Evidence for a Gravitational-wave Background, ApJL 951 "
        "(2023); lamb2023rapid: Lamb, Taylor, van Haasteren, Rapid refitting techniques for Bayesian spectral characterization, PRD "
        "108, 2023"
    )

    def folds(self) -> list[str]:
        return list(PRODUCTS)

    def files(self) -> tuple[File, ...]:
        return tuple(File(path, sha, size) for path, (sha, size) in FILES.items())
