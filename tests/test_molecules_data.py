"""Molecules: the reader of extended-xyz files, the stand-in with known forces, real files where they are."""

import os
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from bench.schema import BenchError, MissingData
from datasets.molecules.adapter import load
from datasets.molecules.config import FILES, LAYOUTS, Config
from datasets.molecules.task import EnergyForces
from datasets.molecules.twin import geometries, morse
from datasets.molecules.xyz import free_atoms, read

ROOT = Path(os.environ.get("BENCH_DATA") or "/nowhere")


def frame(symbols="CO", d=1.1, energy=-3.0, forces=True):
    atoms = Atoms(symbols, [[0, 0, i * d] for i in range(len(symbols))])
    atoms.calc = SinglePointCalculator(atoms, energy=energy, **({"forces": np.ones((len(atoms), 3))} if forces else {}))
    return atoms


def study(tmp_path, tests=(), train=20, **more):
    """A Config of own files: `train` frames of CO, and a test file of the frames given."""
    write(tmp_path / "train.xyz", [frame(d=1.0 + 0.01 * i) for i in range(train)], format="extxyz")
    write(tmp_path / "new.xyz", list(tests) or [frame()], format="extxyz")
    free = [frame("C", energy=-1.0), frame("O", energy=-1.5), frame("N", energy=-1.2)]
    write(tmp_path / "free.xyz", free, format="extxyz")
    own = {"train_file": str(tmp_path / "train.xyz"), "test_files": [str(tmp_path / "new.xyz")]}
    return Config(name="xyz", dataset="xyz", free_file=str(tmp_path / "free.xyz"), **own, **more)


def loaded(config):
    config.check()
    return load(config, fold="0", source="real", root=Path("/"), cache=Path("/nowhere"))


def test_own_files_are_read_with_ase_and_padded(tmp_path):
    bundle = loaded(study(tmp_path, [frame(), frame("COO", energy=-5.0, forces=False)], val=3, train=10))
    assert bundle.origin == "real" and bundle.train.x.shape == (7, 3, 4) and len(bundle.val) == 3
    assert bundle.test.x[0, :, 0].tolist() == [6, 8, 0] and bundle.meta["species"] == [6, 8]
    np.testing.assert_allclose(bundle.test.y[:, 0], [-0.5, -1.0], atol=1e-6)  # energies relative to free atoms
    assert np.isnan(bundle.test.y[1, 1:]).all() and bundle.test.y[0, 7:].tolist() == [0, 0, 0]
    names = {m.name for m in bundle.task.score(bundle, bundle.task.trivial(bundle))}
    assert {"energy_rmse_new", "force_rmse_new", "force_rmse", "energy_mae"} <= names


def test_other_names_of_energy_and_forces(tmp_path):
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.7]])
    atoms.info["REF_energy"], atoms.arrays["REF_forces"] = -1.5, np.full((2, 3), 0.25)
    write(tmp_path / "a.xyz", [atoms], format="extxyz")
    found = read(tmp_path / "a.xyz", "REF_energy", "REF_forces")
    assert found.energy[0] == -1.5 and (found.forces == 0.25).all()
    with pytest.raises(BenchError, match=r"frame 0 .* has no energy; data.energy_key"):
        read(tmp_path / "a.xyz")


def test_bad_files_are_one_sentence(tmp_path):
    with pytest.raises(BenchError, match=r"atoms 0 and 1 of geometry 0 .* 0.01 angstrom apart"):
        loaded(study(tmp_path, [frame(d=0.01)]))
    with pytest.raises(BenchError, match="test set new has atomic number 7, which no training geometry has"):
        loaded(study(tmp_path, [frame("CN")]))
    with pytest.raises(BenchError, match="no free-atom energy for atomic number 9"):
        loaded(study(tmp_path, [frame("CF")]))
    with pytest.raises(BenchError, match=r"has 20 geometries: data.train=30"):
        loaded(_with(study(tmp_path), train=30))
    with pytest.raises(BenchError, match="not readable as extended xyz"):
        (tmp_path / "broken.xyz").write_text("2\nProperties=species:S:1:pos:R:3\nC 0 0 0\n")
        read(tmp_path / "broken.xyz")
    with pytest.raises(MissingData, match="is not there"):
        loaded(_with(study(tmp_path), train_file="/nowhere/train.xyz"))
    with pytest.raises(BenchError, match=r"data=xyz needs data.train_file and"):
        Config(name="xyz", dataset="xyz", train_file="a.xyz").check()
    with pytest.raises(BenchError, match="two files of one name"):
        Config(name="xyz", dataset="xyz", train_file="a", test_files=["a/t.xyz", "b/t.xyz"]).check()
    with pytest.raises(BenchError, match="has its own files"):
        Config(name="acetylacetone", train_file="a.xyz").check()


def _with(config, **more):
    for name, value in more.items():
        setattr(config, name, value)
    return config


def test_forces_of_the_stand_in_are_gradients_of_its_energy():
    from ase.build import molecule

    rest = molecule("CH3CH2OH")
    g = geometries(3, 0.1, 5)
    step = np.zeros_like(g.r)
    step[:, 4, 2] = 1e-5
    e = [morse(rest.numbers, rest.positions, g.r + s * step).energy for s in (1, -1)]
    np.testing.assert_allclose(-(e[0] - e[1]) / 2e-5, g.forces[:, 4, 2], atol=1e-7)
    np.testing.assert_allclose(g.forces.sum(1), 0.0, atol=1e-10)


def test_errors_are_in_thousandths_and_by_set():
    config = Config(name="a", train=8, val=2, test=4)
    bundle = load(config, fold="0", source="synthetic", root=Path("/x"), cache=Path("/x"))
    y = bundle.test.y.astype(np.float64)
    shifted = {"energy": y[:, 0] + 0.002, "forces": y[:, 1:].reshape(len(y), -1, 3) - 0.05}
    values = {m.name: m.value for m in bundle.task.score(bundle, shifted)}
    assert values["energy_rmse_600K"] == pytest.approx(2.0, rel=1e-3) and values["force_rmse"] == pytest.approx(
        50.0, rel=1e-3
    )
    assert isinstance(bundle.task, EnergyForces) and bundle.origin == "synthetic_twin"


@pytest.mark.skipif(not (ROOT / "botnet_molecules").is_dir(), reason="the BOTNet files are not under BENCH_DATA")
def test_real_files():
    bundle = load(Config(name="a", val=50), fold="0", source="real", root=ROOT, cache=Path("/nowhere"))
    assert len(bundle.train) == 450 and bundle.train.x.shape[1:] == (15, 4) and bundle.meta["species"] == [1, 6, 8]
    sizes = {n: int((bundle.test.group == n).sum()) for n in bundle.meta["tests"]}
    assert sizes == {"300K": 650, "600K": 650, "dihedral": 45, "H_transfer": 15}
    held = load(
        Config(name="b", dataset="3bpa", val=50, holdout=50, test=20),
        fold="1",
        source="real",
        root=ROOT,
        cache=Path("/nowhere"),
    )
    assert held.meta["tests"] == ["holdout_300K", "mixedT"] and len(held.train) == 400 and held.train.x.shape[1] == 27
    train = {row.tobytes() for row in held.train.x}
    assert not any(row.tobytes() in train for row in held.test.x)
    free = free_atoms(ROOT / "botnet_molecules/dataset_acac/isolated_atoms.xyz")
    assert set(free) == {1, 6, 8}


def test_every_declared_file_belongs_to_a_layout():
    used = {f"botnet_molecules/{p}" for lay in LAYOUTS.values() for p in (lay.free, lay.train, *lay.tests.values())}
    assert set(FILES) <= used
