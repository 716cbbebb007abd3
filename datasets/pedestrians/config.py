"""Choices of the pedestrian trajectories; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, File, option

FOLDER = "eth_ucy"
SITES: dict[str, str] = {  # recording -> the place, with its own axes, that it was made at
    "eth": "eth", "hotel": "hotel", "zara01": "zara", "zara02": "zara", "zara03": "zara",
    "students001": "univ", "students003": "univ", "uni_examples": "univ",
}  # fmt: skip
_PARTS: dict[str, tuple[tuple[str, str, int], ...]] = {
    "eth": (("biwi_eth", "dbfc303e34bf17a86b235230d6eb42768bef06bcded8b16e9b915a1882a4f5d9", 306229),),
    "hotel": (("biwi_hotel", "4ad3444b2e7c50300ec1458eb5af0df440f18c08ea5197a4a34c0d879cb0411f", 229055),),
    "zara01": (("crowds_zara01", "8d1c236f96a9d07eff53c73b41853d04289c472c299f060c14e30a687085b2d4", 166884),),
    "zara02": (("crowds_zara02", "ca75825d6b1ac8b51143f3746cef039e280de924842d681834a54766bdfb9cd6", 320696),),
    "zara03": (
        ("crowds_zara03_train", "7c4eefaf72c657f9c5b53dfca8a63fdcd02f47369476784eb4f4a5fb719162fe", 118815),
        ("crowds_zara03_val", "9c4878bd88798b85aad7a7d30d7ced1591b5ea22789f1c3762100949f9cfc55b", 43090),
    ),
    "students001": (("students001", "a6d87f278d94136fe39b8be91555487a29ac77259ae403b9dba2d5c18caf7b5b", 879714),),
    "students003": (("students003", "e25798b660634330aa89f8bb259425de720e84d0873902726c1d1f4ccff21d6c", 724279),),
    "uni_examples": (
        ("uni_examples_train", "80267ed12c00fd7ab0fffa523bc91d478ce5ed812f6244ff4977da7243a01cce", 72473),
        ("uni_examples_val", "eb5063a621a25167660e00a73e4f79440ffe32abed76351b6ed3b9fd8dbe0f59", 15754),
    ),
}
FILES = {k: tuple(File(f"{FOLDER}/{n}.txt", sha, size) for n, sha, size in v) for k, v in _PARTS.items()}


@dataclass
class Config(DataConfig):
    """Positions of the next steps of 0.4 s from the last ones. A fold tests on one recording; those of other places train and validate."""

    past: int = option(6, "observed positions, the present one included", low=2)
    future: int = option(6, "positions to be predicted", low=1)
    n_train: int | None = option(None, "training windows drawn at random; null: all", low=8)
    n_val: int | None = option(None, "validation windows; null: all", low=8)
    n_test: int | None = option(None, "test windows; null: all", low=8)
    val_share: float = option(0.2, "last part of each training recording, in time, that validates", low=0.05, high=0.5)
    twin_walkers: int = option(40, "stand-in: pedestrians of each recording", low=4)

    stand_in: ClassVar[tuple[str, ...]] = ("twin_walkers",)
    adapter: ClassVar[str] = "datasets.pedestrians.adapter:load"
    kind: ClassVar[str] = "trajectories"
    licence: ClassVar[str] = (
        "MIT, the licence of the source repository; terms of the original recordings are not stated there"
    )
    citation: ClassVar[str] = (
        "pellegrini2009never: Pellegrini, Ess, Schindler, van Gool, You'll Never Walk Alone, ICCV 2009; "
        "lerner2007crowds: Lerner, Chrysanthou, Lischinski, Crowds by Example, Eurographics 2007; "
        "files: shangfeng2000/PI-STGCN2 on GitHub"
    )

    def folds(self) -> list[str]:
        return list(SITES)

    def files(self) -> tuple[File, ...]:
        return tuple(f for part in FILES.values() for f in part)

    def check(self) -> None:
        if self.past + self.future > 20:
            raise BenchError(
                f"data.past={self.past} and data.future={self.future} make windows of {self.past + self.future} steps; "
                "most pedestrians are seen for less than 20, lower one of them"
            )
