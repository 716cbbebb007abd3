"""Choices of the fields on heads; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import DataConfig, File, option

EEGBCI = {  # the twelve task runs of subject 1, by run: sha256
    3: "3427c8d01bff1380bc9ab9f27a35ece2af5dfadf3e291bbc05eb66e4dadbfe2e",
    4: "3d161f88e1c00632585287d2ce584c2bc0f08862438eb255ea8723e00fac693d",
    5: "8828f4b97931100af136cebf27838248b82f69cf359f7e6c3146a1970a8fb8d9",
    6: "5369364f2c4e81ca141679d6dd2ba6ece61c7eb53d7fae31241b308876e1b6b3",
    7: "6320a941815eb7a0bc632e32c07c88b6e2281a0e2f177e8f49e2d0a16231145c",
    8: "358fb5189220725141968ae285fbe9e3f36210b834ffba71d940af308e3aca68",
    9: "1b642457807be572c31e8bb56a936cbdb554507d66e25e242c9bd1b0c557c53c",
    10: "20de1c7746c2349d16bda5e9f1b0ac7b7ad1581102a2e30dd2ac422696f62fb1",
    11: "d5296b9232b0ad88b7022155cbcde618df44d4b0db046ce3bec54f8f8644207a",
    12: "2b281c9b687b4c4176e83251d74743721f2d6ebd76656a972a3b9c44d9d88cd5",
    13: "dde646236a13d846ca68ee71440f1fd38d818bc50a2f4804a29bcf0f773ad167",
    14: "2110c48e3106898e3dbca47e39b330637afd3d3b8bc2da3ba1e44f4ac1118137",
}
SIZE = 2596896
FOLDER = "physionet_eegbci_s001"


@dataclass
class Config(DataConfig):
    """Tangential electric field at electrodes, in frames of time; a subset of low density is known, the rest is asked for."""

    recording: str = option(
        "dipoles",
        "dipoles in a conducting sphere under a dense cap, a fold is a draw; eegbci: EEG of one person, 64 electrodes, a fold is a run",
        choices=("dipoles", "eegbci"),
    )
    montage: str = option(
        "biosemi256",
        "electrodes of the dipoles' cap, as mne names it",
        choices=("biosemi256", "biosemi128", "biosemi64"),
    )
    known: int | None = option(None, "electrodes of the low-density subset, spread evenly", low=8)
    frames: int | None = option(None, "frames of time, each reconstructed by itself", low=1)
    dipoles: int = option(3, "dipoles of a draw", low=1)
    noise: float = option(0.0, "noise of the known vectors' components over the field's root mean square", low=0.0)
    draws: int = option(8, "folds of the dipoles", low=1)

    adapter: ClassVar[str] = "datasets.tangent_fields.heads.adapter:load"
    kind: ClassVar[str] = "vector_field"
    sources: ClassVar[tuple[str, ...]] = ("real", "simulated", "synthetic")
    licence: ClassVar[str] = "EEGBCI: Open Data Commons Attribution License 1.0 (PhysioNet); the dipoles are simulated"
    citation: ClassVar[str] = (
        "schalk2004bci2000: Schalk et al., IEEE Trans. Biomed. Eng. 51 (2004); Goldberger et al. 2000"
    )

    def available(self) -> tuple[str, ...]:
        return ("real", "synthetic") if self.recording == "eegbci" else ("simulated",)

    def files(self) -> tuple[File, ...]:
        if self.recording != "eegbci":
            return ()
        return tuple(File(f"{FOLDER}/S001R{run:02d}.edf", digest, SIZE) for run, digest in EEGBCI.items())

    def folds(self) -> list[str]:
        if self.recording == "eegbci":
            return [f"R{run:02d}" for run in EEGBCI]
        return [f"draw{i}" for i in range(self.draws)]
