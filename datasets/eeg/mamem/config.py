"""Facts and choices of MAMEM-SSVEP-II (steady-state visual evoked potentials) as preprocessed by the authors of GBW-BN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import DataConfig, File, option
from datasets.eeg.twin_config import TwinConfig

COMMIT = (
    "1ec323214a1f3444afc430c35e2c3b6efd4852c8"  # of jjscc/GBWBN: an address with a commit cannot change its content
)
URL = f"https://raw.githubusercontent.com/jjscc/GBWBN/{COMMIT}/GBWBN_SPDNet/experiments/data/MAMEM"
FOLDER = "mamem_ssvep2_gbwbn"
FREQUENCIES = (12.0, 10.0, 8.57, 7.5, 6.66)  # Hz by label, read off the spectra: the repository does not state them
COUNTS = (20, 20, 24, 20, 16)  # trials by label in each of the five sessions
CHECKSUMS = (  # size in bytes, sha256
    (2332531, "f0038f1f59698c5fbfd11496b7a2e10e534eabd08e2f086acbd88dec73381bb9"),
    (2357800, "6aa75a5a48d19881687bae17ad296be5c9c8ebe9f44d1cace12999441d0ea6ad"),
    (2334310, "51c3cf3b78a3dd320b3ce1778cf9cda264332fe8f0257c8769594e1748710f8f"),
    (2331400, "31fd1af3ad1ee9deac2a25ab46c4f51528a131b6eb3786517aa3afb2dd052e27"),
    (2333346, "71eda11e276ccdc04289b9bc7cdc8b81d2c6b2067b923d283f74f3c931c39394"),
    (2328573, "26d8d2217ca5a721155b840dc1dd25812577ba3b2f89acdc4f155096ba992f44"),
    (2334311, "4c5ff7152cf8d2109c7fc14cf3db0efd82d8105431a0ca31e95ac9e8556e9d3e"),
    (2336802, "253d61feef3ca70393e05962e6ba40ed68351eb46ab9f73e99ef2535765e76dd"),
    (2330624, "3032972728ab118953577b7124068b01514a58c36845ac772a4f9f83f058d64c"),
    (2329050, "f12b61d9c226e7d9a79e975916840958b99a80fa5f26613316a6946e218797b7"),
    (2329548, "dc9aef4918a7f4c249982df3ff6abec158a80d0c6fd8b35e57da17784d51e33d"),
)


@dataclass
class Config(DataConfig):
    """Eleven subjects, one fold each: 500 one-second trials of 8 occipital channels at 125 Hz, five frequencies, five sessions."""

    official_split: bool = option(
        False, "the crossed names of the authors' script: select on session 5, report session 4"
    )
    twin: TwinConfig = option(TwinConfig, "the simulator that stands in")

    stand_in: ClassVar[tuple[str, ...]] = ("twin",)
    adapter: ClassVar[str] = "datasets.eeg.mamem.adapter:load"
    kind: ClassVar[str] = "eeg_trials"
    licence: ClassVar[str] = (
        "the source repository has no licence file and the terms of the original MAMEM data set apply; "
        "research use only, not to be passed on"
    )
    citation: ClassVar[str] = (
        "wang2025gbwbn: Wang, Jin, Chen, Luo, Wu, Learning to Normalize on the SPD Manifold under "
        "Bures-Wasserstein Geometry, CVPR 2025, arXiv 2504.00660; data: Nikolopoulos, MAMEM EEG SSVEP "
        "Dataset II, doi 10.6084/m9.figshare.3153409"
    )

    def folds(self) -> list[str]:
        return [f"S{i:02d}" for i in range(1, len(CHECKSUMS) + 1)]

    def files(self) -> tuple[File, ...]:
        return tuple(
            File(f"{FOLDER}/U{i:03d}.mat", digest, size, f"{URL}/U{i:03d}.mat")
            for i, (size, digest) in enumerate(CHECKSUMS, 1)
        )

    def signal(self, origin: str) -> str:
        if origin != "real":
            return "simulated without a filter, one-second pieces, 125 Hz, reference at infinity"
        return "band and reference as preprocessed by the authors of GBW-BN (not stated), one-second pieces, 125 Hz"

    def check(self) -> None:
        self.twin.check()
