"""Choices of the molecules; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.schema import BenchError, DataConfig, File, option

FOLDER = "botnet_molecules"
FILES = {
    f"{FOLDER}/{name}": File(f"{FOLDER}/{name}", sha, size)
    for name, size, sha in [
        ("dataset_3BPA/iso_atoms.xyz", 504, "e12a2465a2612bf38fd5dabdf64d4b57fc58ce9610a858c54ea1142d517c053f"),
        ("dataset_3BPA/train_300K.xyz", 1504880, "d109971fab90e2231ad931a83eb704c8d940f5c7d7a8de27fe3b84ea18634c0a"),
        ("dataset_3BPA/train_mixedT.xyz", 1504818, "bc108532964b2ed259eaaabf82e5dfaffa5bda9ac384fc2afabcce192a49250b"),
        ("dataset_acac/isolated_atoms.xyz", 455, "b74f321b453374621b447d65c60979f70df1b7182c8ee0215388b2c574f33823"),
        ("dataset_acac/test_H_transfer.xyz", 14306, "ea4d76c79cf4cfccd2f93eaf755172b0b648886c4907eb0f82dff07a77530743"),
        ("dataset_acac/test_MD_300K.xyz", 1144100, "2291f3186a3cc6a5e05e92952c84a9237ca53f862d78fd3316a769360719ec43"),
        ("dataset_acac/test_MD_600K.xyz", 1144153, "d5a5bba154ec43f915eb7529f86ec3af60e6f911743859daba030181a0378ff7"),
        ("dataset_acac/test_dihedral.xyz", 43974, "0c2246a593579de5a4450698d5f4ba5802b095824b7f211aa5889339967c6809"),
        ("dataset_acac/train_300K.xyz", 880100, "8f5706d6902360555a5be59395612d2afc3489a75688388a58e7275fdad68af3"),
        ("dataset_ethanol/isolated_atoms.xyz", 608, "a2a662390f31ad623ce493038e680bc34214f88d4432566bf8fbd0761be57583"),
        ("dataset_ethanol/test_MD.xyz", 1110863, "b8726933d5b9083989d8e3cc7013c18e0950cf0cbc6f6cd570fdb9759001031c"),
        (
            "dataset_ethanol/test_eth_meth.xyz",
            1209446,
            "e9109584eb66d2ffe7509dd792c436e4b54bed2583a4de555bda9b2cd4799adf",
        ),
        ("dataset_ethanol/train.xyz", 1115876, "a26a16d8910581fa321fedc3bd3dfe31f2460e8cbfdc7a8f65243f4fd7250dd0"),
    ]
}


@dataclass(frozen=True)
class Layout:
    """Where a set lies: free atoms, training file, test files by name; `holdout`: name of a test set cut from the training file."""

    free: str
    train: str
    tests: dict[str, str]
    holdout: str = ""


LAYOUTS = {
    "acetylacetone": Layout(
        "dataset_acac/isolated_atoms.xyz",
        "dataset_acac/train_300K.xyz",
        {
            "300K": "dataset_acac/test_MD_300K.xyz",
            "600K": "dataset_acac/test_MD_600K.xyz",
            "dihedral": "dataset_acac/test_dihedral.xyz",
            "H_transfer": "dataset_acac/test_H_transfer.xyz",
        },
    ),
    "3bpa": Layout(
        "dataset_3BPA/iso_atoms.xyz",
        "dataset_3BPA/train_300K.xyz",
        {"mixedT": "dataset_3BPA/train_mixedT.xyz"},
        holdout="holdout_300K",
    ),
    "3bpa_published": Layout(  # the tests of the published tables, for those who have the files
        "dataset_3BPA/iso_atoms.xyz",
        "dataset_3BPA/train_300K.xyz",
        {
            "300K": "dataset_3BPA/test_300K.xyz",
            "600K": "dataset_3BPA/test_600K.xyz",
            "1200K": "dataset_3BPA/test_1200K.xyz",
            "dihedral_180": "dataset_3BPA/test_dih_beta180.xyz",
            "dihedral_150": "dataset_3BPA/test_dih_beta150.xyz",
            "dihedral_120": "dataset_3BPA/test_dih_beta120.xyz",
        },
    ),
    "ethanol": Layout(
        "dataset_ethanol/isolated_atoms.xyz",
        "dataset_ethanol/train.xyz",
        {"MD": "dataset_ethanol/test_MD.xyz", "eth_meth": "dataset_ethanol/test_eth_meth.xyz"},
    ),
    "xyz": Layout("", "", {}),
}


@dataclass
class Config(DataConfig):
    """Energies (eV, relative to free atoms) and forces (eV/angstrom) of geometries; each test set is scored by itself."""

    dataset: str = option("acetylacetone", "which molecules; xyz: own files", choices=tuple(LAYOUTS))
    train_file: str = option("", "dataset=xyz: extended-xyz file to learn from, absolute or below $BENCH_DATA")
    test_files: list[str] = option(list, "dataset=xyz: files that are tested, each a test set named after its file")
    free_file: str = option("", "dataset=xyz: energies of free atoms, one frame per element; empty: all zero")
    energy_key: str = option("energy", "name of the energy (eV) in the comment line")
    forces_key: str = option("forces", "name of the column of forces (eV/angstrom)")
    train: int | None = option(None, "training geometries; null: what validation and holdout leave", low=1)
    val: int | None = option(None, "validation geometries, from the training file", low=1)
    holdout: int | None = option(None, "3bpa: geometries of the training file that are tested instead", low=1)
    test: int | None = option(None, "at most so many geometries of each test file, evenly spaced; null: all", low=1)
    splits: int = option(1, "folds: other random choices of training, validation and holdout geometries", low=1)

    adapter: ClassVar[str] = "datasets.molecules.adapter:load"
    kind: ClassVar[str] = "molecules"
    licence: ClassVar[str] = "MIT (davkovacs/BOTNet-datasets); own files: yours"
    citation: ClassVar[str] = (
        "batatia2022design: Batatia et al., The Design Space of E(3)-Equivariant Atom-Centered Interatomic Potentials, "
        "arXiv 2205.06643; 3BPA: Kovacs et al., J. Chem. Theory Comput. 2021"
    )

    def check(self) -> None:
        if self.dataset == "xyz":
            names = [Path(f).stem for f in self.test_files]
            if bool(names) != bool(self.train_file):
                raise BenchError(
                    "data=xyz needs data.train_file and data.test_files: extended-xyz files with energies and forces"
                )
            if len(set(names)) < len(names):
                raise BenchError(
                    f"data.test_files={self.test_files}: two files of one name; test sets are named after their files"
                )
        elif self.train_file or self.test_files or self.free_file:
            raise BenchError(
                f"data.dataset={self.dataset} has its own files; data.train_file and test_files go with data=xyz"
            )

    def layout(self) -> Layout:
        """Paths below the data root (or absolute) of what is read."""
        if self.dataset == "xyz":
            return Layout(self.free_file, self.train_file, {Path(f).stem: f for f in self.test_files} or {"test": ""})
        own = LAYOUTS[self.dataset]
        tests = {name: f"{FOLDER}/{path}" for name, path in own.tests.items()}
        return Layout(f"{FOLDER}/{own.free}", f"{FOLDER}/{own.train}", tests, own.holdout)

    def paths(self) -> list[str]:
        layout = self.layout()
        return [p for p in (layout.free, layout.train, *layout.tests.values()) if p]

    def folds(self) -> list[str]:
        return [str(i) for i in range(self.splits)]

    def files(self) -> tuple[File, ...]:
        return tuple(FILES[p] for p in self.paths() if p in FILES)

    def present(self, root: Path, cache: Path) -> bool:
        return bool(self.paths()) and all((Path(root) / p).is_file() for p in self.paths())

    def where(self, root: Path, cache: Path) -> str:
        return ", ".join(str(Path(root) / p) for p in self.paths())

    def available(self) -> tuple[str, ...]:
        if self.dataset == "xyz":
            return ("real",) if self.train_file else ("synthetic",)
        return self.sources
