"""Facts and choices of the SSVEP exoskeleton recordings (Kalunga et al.); imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, File, option
from datasets.eeg.twin_config import TwinConfig

FOLDER = "ssvep_exo_kalunga"
SFREQ = 256.0  # Hz, as recorded
DURATION = 5.0  # s of every trial in the files
CHANNELS = ("Oz", "O1", "O2", "PO3", "POz", "PO7", "PO8", "PO4")
CLASSES = ("rest", "13", "21", "17")  # by label; flicker frequencies in Hz
PER_CLASS = 8  # trials of each class in a session
# by subject: sessions in the files, and those of them (from 1) that the authors leave out
SESSIONS = (2, 2, 2, 2, 2, 2, 3, 3, 2, 6, 4, 3)
EXCLUDED = {8: (1,), 10: (1, 4), 11: (1, 2)}
TWICE = {(7, 1): (3, 2)}  # (subject, session): the same recording as this one
CHECKSUMS = (  # size in bytes, sha256
    (1154642, "28e27459708f1713ccda067f59c14b9967cc125fdb99983eb1e80874d8fd0fd6"),
    (1167497, "1672ac1883584214ec225e74e5edbfe576d3908f0a1157a5386d5a291fa5dd1f"),
    (1172167, "fbcca2331717e8a4dbc7d6ba80ac9ecc548d29fab4a67bdd8a5f9933ecf470f4"),
    (1066488, "4f6b39c7f31a4a69289ff2f3f1c041f7474afa4a9909e74d09c6fbf6a039fd9a"),
    (1208127, "290d32e9ffed89c8b0e7f0af69c806938550a1e9d1859ccda1e755b1209f7463"),
    (1227008, "8d3dfb01f9652c6faa32deb01eb5624c252d5ea05168a41a74f0e207773f975c"),
    (1725822, "15cff4a42d703312388c289558836a37c275f8fae91633a0475324663331388d"),
    (1823844, "27852df787da2f61b98d202c7e503be6d7368fb7f245c5de60095b4451c10c33"),
    (1112023, "283edb66105b479425e6905730713ae1c55a458b1c3143b01d58f7d0fcb8ce7d"),
    (3141563, "25cf3403b3de1a83a824d7117765be7eb22f348062af68a44c05f8446ce3f5c4"),
    (2056586, "ec02a3e55265009d0bc734e8c423ed9a4fb7bf277da6597db8b76d52fad04866"),
    (1838734, "dbbdf996716757e010300544b011615b228b5bed0a8baf9685e16d48fcf99e1e"),
)


@dataclass
class Config(DataConfig):
    """Twelve subjects looking at lights of 13, 17 and 21 Hz or resting: 5-s trials of 8 occipital channels, several sessions."""

    protocol: str = option(
        "last_session",
        "test on a subject's last session, on each of its sessions in turn, or on all sessions of an unseen subject",
        choices=("last_session", "each_session", "cross_subject"),
    )
    authors_exclusions: bool = option(True, "leave out the five sessions that the authors of the data leave out")
    band: list[float] = option(lambda: [4.0, 45.0], "band-pass in Hz: Butterworth of order 4, forwards and backwards")
    tmin: float = option(0.0, "start of a trial after the cue (s)", low=0.0, high=4.5)
    tmax: float = option(5.0, "end of a trial after the cue (s)", low=0.5, high=DURATION)
    resample: float = option(128.0, "samples per second after the band-pass (Hz)", low=16.0, high=SFREQ)
    val_share: float = option(
        0.25, "share of each class of each training session, its last trials, for validation", low=0.0, high=0.9
    )
    twin: TwinConfig = option(TwinConfig, "the simulator that stands in")

    stand_in: ClassVar[tuple[str, ...]] = ("twin",)
    adapter: ClassVar[str] = "datasets.eeg.exo.adapter:load"
    kind: ClassVar[str] = "eeg_trials"
    licence: ClassVar[str] = "CC0 1.0"
    citation: ClassVar[str] = (
        "kalunga2016: Kalunga, Chevallier, Barthelemy, Djouani, Monacelli, Hamam, Online SSVEP-based BCI using Riemannian "
        "geometry, Neurocomputing 191, 2016; data: sylvchev/dataset-ssvep-exoskeleton on GitHub, commit "
        "faf331c1707135a62fcf08db6575d1553c56e196, cut to trials"
    )

    def sessions(self, subject: int) -> list[int]:
        """The sessions of a subject (from 1) that are used."""
        out = EXCLUDED.get(subject, ()) if self.authors_exclusions else ()
        return [s for s in range(1, SESSIONS[subject - 1] + 1) if s not in out]

    def folds(self) -> list[str]:
        """A subject, and with each_session the session that is tested: "S03s2"."""
        subjects = range(1, len(SESSIONS) + 1)
        if self.protocol == "each_session":
            return [f"S{i:02d}s{s}" for i in subjects for s in self.sessions(i)]
        return [f"S{i:02d}" for i in subjects]

    def files(self) -> tuple[File, ...]:
        return tuple(
            File(f"{FOLDER}/subject{i:02d}.npz", digest, size) for i, (size, digest) in enumerate(CHECKSUMS, 1)
        )

    def check(self) -> None:
        self.twin.check()
        if len(self.band) != 2 or not 0 < self.band[0] < self.band[1] < self.resample / 2:
            raise BenchError(
                f"data.band={self.band}: give [low, high] in Hz with 0 < low < high < data.resample / 2 = {self.resample / 2:g}"
            )
        if self.tmax - self.tmin < 0.5:
            raise BenchError(f"data.tmin={self.tmin}, data.tmax={self.tmax}: leave at least 0.5 s of a trial")
