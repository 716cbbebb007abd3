"""Protein data: backbones, scores and contacts against hand-computed cases, PDB files good and bad, decoys, CASP folders, metrics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import pearsonr, spearmanr

from bench import plan
from bench.schema import BenchError, MissingData
from datasets.proteins.backbone import ANGLES, LENGTHS, ideal, internal, place
from datasets.proteins.casp.adapter import load as load_casp
from datasets.proteins.casp.config import Config as Casp
from datasets.proteins.chain import LETTERS, NAMES, Chain, c_beta, from_backbone
from datasets.proteins.contacts import PROBE, areas, distances, exposure, near, wedge
from datasets.proteins.decoys.adapter import load as load_decoys
from datasets.proteins.decoys.adapter import unbroken
from datasets.proteins.decoys.config import Config as Decoys
from datasets.proteins.folds import CLASH, TOUCH, apart, decoys, natives
from datasets.proteins.models import graphs
from datasets.proteins.pdb import read_pdb
from datasets.proteins.scores import cad, lddt
from datasets.proteins.task import DecoyRanking, correlation, per_target, ranks


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def native(n: int = 40, seed: int = 0) -> Chain:
    return natives(1, n, 0.0, rng(seed))[0]


def moved(x: np.ndarray, seed: int = 1) -> np.ndarray:
    return x @ Rotation.random(random_state=seed).as_matrix().T + np.array([3.0, -20.0, 7.0])


def atoms_only(points: np.ndarray, owner: list[int]) -> Chain:
    """A chain whose Voronoi atoms are `points`; its backbone is that of a helix and plays no part."""
    helix = place(*ideal(*np.radians([np.full(max(owner) + 1, -60.0), np.full(max(owner) + 1, -45.0)])))
    n = len(helix)
    return Chain(np.zeros(n, int), helix, [str(i) for i in range(n)], np.asarray(points, float), np.array(owner))


def line(
    serial: int,
    atom: str,
    kind: str,
    label: str,
    p: np.ndarray,
    *,
    chain: str = "A",
    alt: str = " ",
    occupancy: float = 1.0,
) -> str:
    number, code = (label[:-1], label[-1]) if label[-1].isalpha() else (label, " ")
    record = "HETATM" if kind in ("HOH", "MSE") else "ATOM  "
    return (
        f"{record}{serial:5d}  {atom:<3s}{alt}{kind:3s} {chain}{number:>4s}{code}   {p[0]:8.3f}{p[1]:8.3f}{p[2]:8.3f}{occupancy:6.2f}"
        f"  0.00          {atom[0]:>2s}\n"
    )


def text(chain: Chain) -> str:
    """The ATOM records of N, CA and C."""
    rows = [
        line(3 * i + k, atom, NAMES[chain.kinds[i]], chain.labels[i], chain.backbone[i, k])
        for i in range(len(chain))
        for k, atom in enumerate(("N", "CA", "C"))
    ]
    return "".join([*rows, "TER\n", "END\n"])


def written(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


# ------------------------------------------------------------------------------------------ backbones


def test_internal_coordinates_and_back():
    """`place` inverts `internal` up to a rigid motion, also for chains that are no proteins: all distances and the handedness."""
    x = rng().standard_normal((5, 7, 3, 3))
    length, angle, torsion = internal(x)
    y = place(length, angle, torsion)
    flat = [a.reshape(5, -1, 3) for a in (x, y)]
    assert np.abs(distances(flat[0]) - distances(flat[1])).max() < 1e-12
    volume = [np.linalg.det(a[:, 1:4] - a[:, :1]) for a in flat]
    assert np.allclose(*volume, rtol=1e-10)


def test_torsions_are_those_of_ase():
    """phi, psi and omega against an independent dihedral angle (clockwise positive)."""
    from ase import Atoms

    phi, psi = np.radians(rng(2).uniform(-170, 170, (2, 6)))
    x = place(*ideal(phi, psi))
    atoms = Atoms("C18", positions=x.reshape(-1, 3))

    def angle(*index: int) -> float:
        return np.radians(atoms.get_dihedral(*index))

    for i in range(1, 6):
        assert np.isclose(np.exp(1j * angle(3 * i - 1, 3 * i, 3 * i + 1, 3 * i + 2)), np.exp(1j * phi[i]))
        assert np.isclose(np.exp(1j * angle(3 * i - 3, 3 * i - 2, 3 * i - 1, 3 * i)), np.exp(1j * psi[i - 1]))
        assert np.isclose(abs(angle(3 * i - 2, 3 * i - 1, 3 * i, 3 * i + 1)), np.pi)


def test_helix():
    """phi = -60, psi = -45: 3.80 Angstrom between CA, a rise of 1.5 per residue within 0.05, right-handed."""
    ca = place(*ideal(*np.radians([np.full(37, -60.0), np.full(37, -45.0)])))[:, 1]
    assert np.allclose(np.linalg.norm(np.diff(ca, axis=0), axis=1), 3.8, atol=0.01)
    assert np.linalg.norm(ca[36] - ca[0]) / 36 == pytest.approx(1.5, abs=0.05)
    step = np.diff(ca, axis=0)
    assert np.cross(step[5], step[6]) @ (ca[36] - ca[0]) > 0


def test_natives_have_ideal_geometry_and_no_clash():
    chains = natives(6, 50, 0.0, rng())
    x = np.stack([c.backbone for c in chains])
    length, angle, torsion = internal(x)
    assert np.allclose(length, np.resize(LENGTHS, length.shape[-1]))
    assert np.allclose(angle, np.radians(np.resize(ANGLES, angle.shape[-1])))
    assert np.allclose(np.abs(torsion[:, 1::3]), np.pi)
    gap = distances(x[:, :, 1]) + np.where(np.eye(50), np.inf, 0.0)
    assert gap.min() >= CLASH and apart(x).all()
    pair = np.degrees(np.stack([torsion[:, 2::3][:, :-1], torsion[:, 3::3]], -1))
    regular = [np.isclose(pair, c, atol=1e-6).all(-1) for c in ((-60, -45), (-120, 130))]
    assert 0.5 < (regular[0] | regular[1]).mean() < 0.95 and min(r.mean() for r in regular) > 0.1


def test_segments_like_their_residues():
    """Alanine and leucine are more frequent in helices, valine in strands, glycine in loops, about threefold."""
    chains = natives(150, 60, 0.0, rng(3))
    kinds = np.concatenate([c.kinds[1:-1] for c in chains])
    torsion = np.concatenate([np.degrees(internal(c.backbone)[2]) for c in chains]).reshape(150, -1)
    phi, psi = torsion[:, 2::3][:, :-1].ravel(), torsion[:, 3::3].ravel()
    states = [np.isclose(phi, -60) & np.isclose(psi, -45), np.isclose(phi, -120) & np.isclose(psi, 130)]
    states.append(~(states[0] | states[1]))
    share = np.array([[(kinds[s] == LETTERS.index(c)).mean() for c in "AVG"] for s in states])
    assert (share.argmax(0) == [0, 1, 2]).all()
    assert np.sort(share, 0)[2] / np.sort(share, 0)[1] == pytest.approx(3.0, abs=1.0)


def test_decoys_move_the_chosen_torsions_only():
    """Bonds, angles and omega stay; about `share` of the residues change phi and psi; hardly any noise gives the native back."""
    chain = native()
    before = internal(chain.backbone)
    for decoy in decoys(chain, 5, 30.0, 0.25, rng()):
        length, angle, torsion = internal(decoy.backbone)
        assert np.allclose(length, before[0]) and np.allclose(angle, before[1])
        change = np.abs(np.exp(1j * torsion) - np.exp(1j * before[2])) > 1e-9
        assert not change[1::3].any()
        phi, psi = np.r_[False, change[2::3]], np.r_[change[0::3], False]
        assert (phi | psi).sum() in (9, 10) and (phi == psi)[1:-1].all()
        assert apart(decoy.backbone[None]).all() and TOUCH > 0.5
    still = decoys(chain, 2, 0.1, 1e-2, rng())[0]
    assert lddt(chain.backbone[:, 1], still.backbone[:, 1]).mean() > 0.99


def test_noise_level_is_the_standard_deviation():
    """Von Mises noise of level s <= 20 degrees has root mean square s within sampling error; s^2 is uniform's second moment."""
    chain = native(60)
    before = internal(chain.backbone)[2]
    change = [internal(d.backbone)[2] - before for d in decoys(chain, 400, 20.0, 1.0, rng())]
    noise = np.degrees(np.angle(np.exp(1j * np.stack(change))))[:, 2::3]
    assert np.sqrt((noise**2).mean()) == pytest.approx(20 / np.sqrt(3), rel=0.06)


# ------------------------------------------------------------------------------------------ scores


def test_lddt_by_hand():
    """CA at 0, 3, 6, 30 on a line, the third moved by 0.75: of the distances below 15, residues 0 and 1 keep one within all four
    thresholds and one within three, residue 2 keeps both within three."""
    x = np.zeros((4, 3))
    x[:, 0] = 0, 3, 6, 18.5
    y = x.copy()
    y[2, 0], y[3, 0] = 6.75, 19.25
    # residue 3 is 12.5 from residue 2 (kept), 15.5 from residue 1 and 18.5 from residue 0 (not counted)
    assert lddt(x, y) == pytest.approx([0.875, 0.875, (0.75 + 0.75 + 1) / 3, 1.0], abs=1e-12)
    assert np.allclose(lddt(x, np.stack([x, y]))[0], 1.0)


def test_lddt_ignores_rigid_motions_and_reflections():
    chain = native()
    ca, model = chain.backbone[:, 1], decoys(chain, 1, 40.0, 0.5, rng(5))[0].backbone[:, 1]
    score = lddt(ca, model)
    assert 0 < score.min() < score.max() <= 1
    assert np.allclose(lddt(moved(ca), moved(model, 2)), score) and np.allclose(lddt(ca, -model), score)
    assert lddt(ca, ca).min() == 1


def test_lddt_of_a_lone_residue_is_an_error():
    x = np.array([[0.0, 0, 0], [3, 0, 0], [100, 0, 0]])
    with pytest.raises(ValueError, match=r"residue 3 .* no CA within 15 Angstrom"):
        lddt(x, x)


def test_cad_by_hand():
    """T_01 = 10, T_12 = 30; M_01 = 4 (6 lost), M_12 = 80 (the loss is at most the area), M_02 = 9 (not native, does not count)."""
    t, m = np.zeros((3, 3)), np.zeros((3, 3))
    t[0, 1], t[1, 2] = 10, 30
    m[0, 1], m[1, 2], m[0, 2] = 4, 80, 9
    t, m = t + t.T, m + m.T
    assert cad(t, m, window=0, neighbours=0) == pytest.approx([0.4, 1 - 36 / 40, 0.0])
    assert cad(t, m, window=1, neighbours=0) == pytest.approx([1 - 42 / 50, 1 - 72 / 80, 1 - 66 / 70])
    assert cad(t, m, window=0, neighbours=1) == pytest.approx([1 - 42 / 50, 1 - 72 / 80, 1 - 66 / 70])
    assert (cad(t, t) == 1).all()
    with pytest.raises(ValueError, match="touches no other"):
        cad(np.zeros((2, 2)), np.zeros((2, 2)), window=0)


# ------------------------------------------------------------------------------------------ contacts


def test_two_atoms_touch_in_a_disc():
    """Two balls of radius R at distance d meet in a disc of area pi (R^2 - d^2 / 4)."""
    for d in (1.5, 4.0, 6.1):
        a = areas(atoms_only(np.array([[0.0, 0, 0], [d, 0, 0]]), [0, 1]))
        assert a == pytest.approx(np.pi * (PROBE**2 - d**2 / 4) * (1 - np.eye(2)), abs=1e-9)
    assert areas(atoms_only(np.array([[0.0, 0, 0], [6.3, 0, 0]]), [0, 1])).max() == 0


def test_cubic_lattice_has_square_faces():
    """Inside a simple cubic lattice of spacing 3 every face is a square of area 9: the disc covers it, and diagonal cells do not touch."""
    grid = np.stack(np.meshgrid(*[np.arange(3.0) * 3] * 3, indexing="ij"), -1).reshape(-1, 3)
    # a touch of noise, as Qhull joins the corners of exact cubes in more than one way
    grid = grid + 1e-7 * rng().standard_normal(grid.shape)
    owner = [0] * 27
    owner[13] = 1
    a = areas(atoms_only(grid, owner))
    assert a[0, 1] == pytest.approx(6 * 9, abs=1e-4)


def test_a_polygon_in_a_disc():
    """A square of side 2 about 0 within discs of radius 1 (inscribed), 1.2 and 2 (beyond the corners): closed forms."""
    corner = np.array([[1.0, 1], [-1, 1], [-1, -1], [1, -1]])
    for r in (0.5, 1.0, 1.2, 2.0):
        cap = r**2 * np.arccos(1 / r) - np.sqrt(r**2 - 1) if r > 1 else 0.0
        expected = 4.0 if r >= np.sqrt(2) else np.pi * r**2 - 4 * cap
        assert wedge(corner, np.roll(corner, -1, 0), np.full(4, r)).sum() == pytest.approx(expected, abs=1e-12)
    away = corner + 10  # the origin is outside: no common area
    assert wedge(away, np.roll(away, -1, 0), np.full(4, 1.0)).sum() == pytest.approx(0, abs=1e-12)


def test_contacts_and_features_are_invariant():
    """Areas, nearness and exposure after a rigid motion, and areas and counts after a reflection that keeps C-beta in its place."""
    chain = native(30)
    turned = from_backbone(chain.kinds, moved(chain.backbone), "turned")
    assert np.allclose(areas(chain), areas(turned), atol=1e-8) and (areas(chain) == areas(chain).T).all()
    assert (
        np.allclose(near(chain, 10.0), near(turned, 10.0)) and (exposure(chain, 10.0) == exposure(turned, 10.0)).all()
    )
    assert areas(chain).max() < 4 * np.pi * PROBE**2 * 5 and ((areas(chain) > 0).sum(1) >= 1).all()


def test_exposure_by_hand():
    """Two residues along C-beta of the first: up counts the near one, down none; the far one is beyond 13 Angstrom."""
    one = place(*ideal(*np.radians([np.full(1, -60.0), np.full(1, -45.0)])))[0]
    step = c_beta(one) - one[1]
    step /= np.linalg.norm(step)
    x = np.stack([one, one + 11 * step, one + 25 * step])
    count = exposure(from_backbone(np.zeros(3, int), x, "three"), 10.0)
    assert (count == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]).all()
    assert (exposure(from_backbone(np.zeros(3, int), x, "three"), 12.0)[:, 0] == [1, 1, 0]).all()


def test_c_beta():
    """1.53 Angstrom from CA, at tetrahedral angles, and of the hand of L amino acids: N, C, C-beta counter-clockwise seen from H."""
    n, ca, c = native(10).backbone[3]
    b = c_beta(np.stack([n, ca, c])) - ca
    assert np.linalg.norm(b) == pytest.approx(1.53, abs=0.03)
    for other in (n, c):
        u = (other - ca) / np.linalg.norm(other - ca)
        assert np.degrees(np.arccos(u @ b / np.linalg.norm(b))) == pytest.approx(110, abs=4)
    assert np.linalg.det(np.stack([n - ca, c - ca, b])) > 0


# ------------------------------------------------------------------------------------------ files


def test_pdb_file_is_read_as_written(tmp_path):
    """Positions to the thousandth, kinds and labels; ase, which knows no residues, agrees on positions."""
    from ase.io import read

    chain = native(12)
    path = written(tmp_path / "a.pdb", text(chain))
    found = read_pdb(path)
    assert np.abs(found.backbone - chain.backbone).max() < 6e-4 and (found.kinds == chain.kinds).all()
    assert (
        found.labels == chain.labels and len(found.atoms) == 36 and (found.owner == np.repeat(np.arange(12), 3)).all()
    )
    assert np.abs(read(path).positions - found.atoms).max() < 1e-9


def test_what_of_a_pdb_file_is_read(tmp_path):
    """The first model and chain; the better alternative location; no hydrogen, water or second chain; MSE counts as MET; insertion
    codes tell residues apart."""
    x = native(12).backbone
    rows = ["MODEL        1\n"]
    for i, (kind, label) in enumerate((("ALA", "7"), ("MSE", "8"), ("GLY", "8A"))):
        rows += [line(1, a, kind, label, x[i, k]) for k, a in ((0, "N"), (2, "C"))]
        rows += [line(1, "CA", kind, label, x[i, 1] + 9, alt="A", occupancy=0.3)]
        rows += [line(1, "CA", kind, label, x[i, 1], alt="B", occupancy=0.7), line(1, "H", kind, label, x[i, 0] + 0.3)]
    rows += [line(1, "CB", "ALA", "7", x[0, 1] + [0, 0, 1.5]), line(1, "O", "HOH", "90", x[5, 1])]
    rows += [line(1, a, "VAL", "1", x[8, k], chain="B") for k, a in enumerate(("N", "CA", "C"))]
    rows += [
        "ENDMDL\n",
        "MODEL        2\n",
        *(line(1, a, "TRP", "99", x[9, k]) for k, a in enumerate(("N", "CA", "C"))),
    ]
    path = written(tmp_path / "m.pdb", "".join(rows))
    found = read_pdb(path)
    assert [LETTERS[k] for k in found.kinds] == ["A", "M", "G"] and found.labels == ["7", "8", "8A"]
    assert np.abs(found.backbone[:, 1] - x[:3, 1]).max() < 6e-4 and len(found.atoms) == 10
    with pytest.raises(ValueError, match="1 residues with N, CA and C; at least 2"):
        read_pdb(path, chain="B")
    with pytest.raises(ValueError, match="no ATOM record of chain Z"):
        read_pdb(path, chain="Z")


def test_bad_pdb_files(tmp_path):
    """One sentence each: a residue without backbone atoms, one of no known kind, columns that are no numbers, overlapping atoms, no
    protein at all."""
    chain = native(12)
    good = text(chain)
    lines = good.splitlines(keepends=True)
    path = written(tmp_path / "a.pdb", "".join(row for k, row in enumerate(lines) if k != 13))  # CA of residue 5
    kind = NAMES[chain.kinds[4]]
    with pytest.raises(ValueError, match=f"residue {kind} 5 of a.pdb has no atom CA, .* incomplete=drop"):
        read_pdb(path)
    dropped = read_pdb(path, incomplete="drop")
    assert len(dropped) == 11 and "5" not in dropped.labels
    written(path, good.replace(f" {kind} A   5 ", " UNK A   5 "))
    with pytest.raises(ValueError, match=r"UNK 5 of a.pdb is none of the 20 kinds"):
        read_pdb(path)
    written(path, good.replace(lines[4], lines[4][:30] + " nothing" + lines[4][38:]))
    with pytest.raises(ValueError, match="line 5: columns 31 to 60 are no numbers"):
        read_pdb(path)
    same = chain.backbone.copy()
    same[8] = same[2] + 0.1
    blank = Chain.__new__(Chain)  # only to be written: a chain refuses such atoms
    for name, value in (("kinds", chain.kinds), ("backbone", same), ("labels", chain.labels)):
        object.__setattr__(blank, name, value)
    written(path, text(blank))
    with pytest.raises(ValueError, match=r"two atoms of a.pdb overlap, residues .* 3 and .* 9, 0.17 Angstrom apart"):
        read_pdb(path)
    with pytest.raises(ValueError, match="no ATOM record"):
        read_pdb(written(tmp_path / "b.pdb", "HEADER\nEND\n"))
    with pytest.raises(ValueError, match="incomplete='maybe' is unknown"):
        read_pdb(path, incomplete="maybe")


def test_chains_without_frames_are_refused():
    chain = native(10)
    flat, hole = chain.backbone.copy(), chain.backbone.copy()
    flat[4, 2] = flat[4, 1] + 1.04 * (flat[4, 1] - flat[4, 0])
    hole[6, 0] = np.nan
    with pytest.raises(ValueError, match=r"N, CA and C of residue .* 5 of x lie on a line"):
        from_backbone(np.zeros(10, int) + LETTERS.index("G"), flat, "x")
    with pytest.raises(ValueError, match=r"residue .* 7 of x lacks a backbone atom"):
        from_backbone(chain.kinds, hole, "x")


def test_longest_piece_of_a_broken_chain():
    chain = native(20)
    x = chain.backbone.copy()
    x[7:] += 30.0
    piece = unbroken(from_backbone(chain.kinds, x, "broken"))
    assert len(piece) == 13 and np.allclose(piece.backbone, x[7:])


# ------------------------------------------------------------------------------------------ bundles


def small(**choices) -> Decoys:
    return Decoys(**{"name": "d", "train": 3, "val": 2, "test": 3, "decoys": 4, "residues": 20, "splits": 2, **choices})


def bundle_of(config, fold: str = "0", load=load_decoys, source: str = "simulated", cache: Path = Path(".")):
    return load(config, fold=fold, source=source, root=Path("."), cache=cache)


def test_decoy_bundle():
    """Split by native, labels as lDDT computes them, edges both ways between CA within the radius, nothing shared by folds."""
    b = bundle_of(small())
    test = b.test
    assert b.origin == "simulated" and len(test) == 12 and (test.sizes == 20).all() and len(test.names) == 3
    assert not set(b.train.names) & set(test.names)
    first = test.backbone[:20, 1].astype(float)
    d = distances(first) + np.where(np.eye(20), np.inf, 0)
    mine = test.edges[: test.degrees[0]]
    assert {tuple(e) for e in mine} == {tuple(e) for e in np.argwhere(d < 10)} and (np.diff(mine[:, 0]) >= 0).all()
    assert np.allclose(test.weight[: test.degrees[0]], 1 - d[tuple(mine.T)] / 10, atol=1e-5)
    assert bundle_of(small(), "1").fingerprint != b.fingerprint == bundle_of(small()).fingerprint
    assert bundle_of(small(contacts="voronoi", label="cad")).fingerprint != b.fingerprint


def test_a_target_with_one_decoy():
    chain = native(20)
    with pytest.raises(
        ValueError, match="target T1 has 1 decoy; ranking needs at least 2: add models or remove the target"
    ):
        graphs("T1", chain, [chain], small())
    with pytest.raises(ValueError, match="correlation of 1 decoy is undefined"):
        per_target(np.ones(1), np.ones(1), np.zeros(1))


def test_natives_from_a_folder(tmp_path):
    """Real files take the place of procedural chains: decoys of them keep their bonds; too few files is one sentence."""
    for k, chain in enumerate(natives(5, 24, 0.0, rng())):
        written(tmp_path / f"n{k}.pdb", text(chain))
    config = small(natives=str(tmp_path), train=2, val=1, test=2)
    b = bundle_of(config)
    assert b.origin == "simulated" and all(n.endswith(".pdb") for n in b.test.names) and (b.test.sizes == 24).all()
    with pytest.raises(BenchError, match=r"has 5 \*.pdb files and 8 natives are asked for"):
        bundle_of(small(natives=str(tmp_path)))


def casp_folder(root: Path) -> None:
    """Two training editions and a test edition of two targets with three models; one model is gzipped."""
    import gzip

    for e, edition in enumerate(("CASP10", "CASP11", "CASP12")):
        for t, chain in enumerate(natives(2, 20, 0.0, rng(e))):
            name = f"T{e}{t}"
            written(root / edition / "targets" / f"{name}.pdb", text(chain))
            for k, decoy in enumerate(decoys(chain, 3, 30.0, 0.5, rng(t))):
                path = written(
                    root / edition / "models" / name / f"server{k}_TS1", "PFRMAT TS\nMODEL 1\n" + text(decoy)
                )
                if k == 2:
                    path.with_suffix(".pdb.gz").write_bytes(gzip.compress(path.read_bytes()))
                    path.unlink()


def test_casp_folder(tmp_path):
    """Editions are the splits, the last training target validates, and what is read twice comes from the cache."""
    casp_folder(tmp_path / "casp")
    options = {
        "name": "casp",
        "path": str(tmp_path / "casp"),
        "train": ["CASP10", "CASP11"],
        "test": ["CASP12"],
        "val_share": 0.25,
    }
    config = Casp(**options)
    config.check()
    assert config.folds() == ["CASP12"] and config.present(tmp_path, tmp_path) and config.available() == ("real",)
    b = bundle_of(config, "CASP12", load_casp, "real", tmp_path / "cache")
    assert (
        b.origin == "real"
        and b.val.names == ["CASP11 T11"]
        and b.test.names == ["CASP12 T20", "CASP12 T21"]
        and len(b.test) == 6
    )
    kept = list((tmp_path / "cache" / "casp").glob("*.npz"))
    again = bundle_of(config, "CASP12", load_casp, "real", tmp_path / "cache")
    assert len(kept) == 6 and again.fingerprint == b.fingerprint
    chosen = Casp(**options, label="cad", contacts="voronoi", per_target=2)
    b = bundle_of(chosen, "CASP12", load_casp, "real", tmp_path / "cache")
    assert len(b.test) == 4 and 0 < b.test.y.mean() < 1


def test_casp_folder_mistakes(tmp_path):
    casp_folder(tmp_path / "casp")
    options = {"name": "casp", "path": str(tmp_path / "casp"), "train": ["CASP10", "CASP11"], "test": ["CASP12"]}
    model = tmp_path / "casp" / "CASP12" / "models" / "T20" / "server0_TS1"
    rows = model.read_text().splitlines(keepends=True)
    model.write_text("".join(r for r in rows if r[22:27].strip() != "4"))
    with pytest.raises(BenchError, match=r"server0_TS1 of CASP12 T20 has no residue 4, .* data.incomplete=drop"):
        bundle_of(Casp(**options), "CASP12", load_casp, "real", tmp_path / "cache")
    b = bundle_of(Casp(**options, incomplete="drop"), "CASP12", load_casp, "real", tmp_path / "cache")
    assert (b.test.sizes == [19, 19, 19, 20, 20, 20]).all()
    model.write_text(
        "".join(r.replace(r[17:20], "GLY" if r[17:20] != "GLY" else "ALA") if r[:4] == "ATOM" else r for r in rows)
    )
    with pytest.raises(BenchError, match="is of another kind than in the native structure"):
        bundle_of(Casp(**options), "CASP12", load_casp, "real", tmp_path / "cache")
    with pytest.raises(MissingData, match=r"CASP9 has no targets/<target>.pdb"):
        Casp(**{**options, "train": ["CASP9"]}).present(tmp_path, tmp_path)
    with pytest.raises(BenchError, match=r"CASP12 is in data.train and in data.test"):
        Casp(**{**options, "train": ["CASP12"]}).check()


def test_paper_experiment_composes():
    cells = plan.expand(["experiment=sgcn/casp", "scale=paper"])
    assert {c.fold for c in cells} == {"CASP12", "CASP13"} and len(cells) == 12


# ------------------------------------------------------------------------------------------ metrics


def test_per_target_numbers_against_scipy():
    g = rng()
    y, guess, target = g.random(30), np.round(g.random(30), 1), np.repeat([0, 1, 2], 10)
    each = per_target(y, guess, target)
    for t in range(3):
        a, b = y[target == t], guess[target == t]
        assert each["pearson"][t] == pytest.approx(pearsonr(a, b)[0]) and each["spearman"][t] == pytest.approx(
            spearmanr(a, b)[0]
        )
    assert correlation(ranks(y), ranks(guess)) == pytest.approx(spearmanr(y, guess)[0])


def test_selection_by_hand():
    """Scores 0.2, 0.4, 0.9 and the second predicted best: 0.5 is lost, and z = (0.4 - 0.5) / sd. A constant prediction ranks nothing."""
    y = np.array([0.2, 0.4, 0.9])
    each = per_target(y, np.array([0.1, 0.3, 0.2]), np.zeros(3))
    assert each["top1_loss"] == pytest.approx([0.5]) and each["z_score"] == pytest.approx([-0.1 / y.std()])
    flat = per_target(y, np.full(3, 0.7), np.zeros(3))
    assert flat["pearson"] == 0 and flat["spearman"] == 0
    equal = per_target(np.full(3, 0.5), y, np.zeros(3))
    assert equal["z_score"] == 0 and equal["pearson"] == 0


def test_task_averages_residues_then_targets():
    """The truth has correlations 1 and errors 0; the trivial predictor ranks nothing; a wrong shape is named."""
    b = bundle_of(small())
    task = DecoyRanking()
    best = {m.name: m.value for m in task.score(b, {"y": b.test.y})}
    assert best["spearman"] == pytest.approx(1) and best["top1_loss"] == 0 and best["mse_local"] == 0
    none = {m.name: m.value for m in task.score(b, task.trivial(b))}
    assert none["spearman"] == none["pearson"] == none["pearson_local"] == 0 and none["mse"] > 0
    shifted = {m.name: m.value for m in task.score(b, {"y": b.test.y + 0.1})}
    assert shifted["mse"] == pytest.approx(0.01) and shifted["pearson"] == pytest.approx(1)
    assert "models" in task.figures(b, {"y": b.test.y})
    with pytest.raises(ValueError, match="the residues of the test split need"):
        task.score(b, {"y": b.test.y[:-1]})
