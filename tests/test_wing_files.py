"""Readers of surface solutions: the same wing through every format, and what is wrong with a file in one sentence."""

from __future__ import annotations

import numpy as np
import pytest

from bench.schema import BenchError, MissingData
from datasets.wings.files.adapter import draw, load
from datasets.wings.files.config import Config
from datasets.wings.generate import Recipe, make
from datasets.wings.readers import read_surface
from datasets.wings.sections import NACA
from datasets.wings.surfaces import Surface
from datasets.wings.wing import Grid, Wing, WingFlow

M, N = 16, 5


@pytest.fixture(scope="module")
def wing():
    """A closed half wing with its cap and root left to the image: nodes, quads, cp at faces."""
    flow = WingFlow(Wing(NACA(0.02, 0.4, 0.12), sweep=20), Grid.cosine(M, N))
    cp = flow.solve(4.0).cp[0].ravel()
    faces = flow.body.welded[: M * N].copy()
    return Surface(flow.body.nodes, faces, at_faces={"cp": cp}), flow


def block(values, per=5):
    v = np.ravel(values)
    return "\n".join(" ".join(f"{x:.17g}" for x in v[i : i + per]) for i in range(0, len(v), per)) + "\n"


def by_place(surface):
    s = surface.samples("cp")
    order = np.lexsort(np.round(s["x"], 8).T)
    return s["x"][order], s["value"][order], s["normal"][order]


@pytest.mark.parametrize("ending", [".vtk", ".vtu"])
def test_vtk_and_vtu(wing, tmp_path, ending):
    import meshio

    surface, _ = wing
    path = tmp_path / f"wing{ending}"
    meshio.Mesh(surface.nodes, [("quad", surface.faces)], cell_data={"cp": [surface.at_faces["cp"]]}).write(path)
    read = read_surface(path)
    for one, other in zip(by_place(surface), by_place(read), strict=True):
        assert np.abs(one - other).max() < 1e-12
    read.check()
    assert len(set(read.pieces(100))) == 1, "the trailing edge alone parts the surface"
    assert len(set(read.pieces(40))) == 2, "16 panels turn by more than 40 degrees at the nose"


def test_tecplot_finite_elements_block_and_cell_centred(wing, tmp_path):
    surface, _ = wing
    path = tmp_path / "wing.dat"
    path.write_text(
        'TITLE = "wing"\nVARIABLES = "X", "Y", "Z" "cp"\n# a remark\n'
        f'ZONE T="half, right", N={len(surface.nodes)}, E={len(surface.faces)}, ZONETYPE=FEQUADRILATERAL\n'
        "DATAPACKING=BLOCK, VARLOCATION=([4]=CELLCENTERED)\n"
        + "".join(block(c) for c in surface.nodes.T)
        + block(surface.at_faces["cp"])
        + "\n".join(" ".join(map(str, f + 1)) for f in surface.faces)
    )
    for one, other in zip(by_place(surface), by_place(read_surface(path)), strict=True):
        assert np.abs(one - other).max() < 1e-12


def test_tecplot_ordered_zones_keep_their_grid(tmp_path):
    """Two zones, point packing, a repeat count; faces of a zone do not reach into the next."""
    x, y = np.meshgrid(np.arange(4.0), np.arange(3.0))
    rows = "".join(f"{a:g} {b:g} 0 {a + 10 * b:g}\n" for a, b in zip(x.ravel(), y.ravel(), strict=True))
    path = tmp_path / "two.tec"
    path.write_text(
        f"variables = x y z Cp\nzone I=4, J=3, F=POINT\n{rows}ZONE i=2 j=2\n0 0 5 1 1 0 5 1\n0 1 5 1 1 1 5 1.5\n"
    )
    s = read_surface(path)
    assert s.grids == [(0, 3, 4), (12, 2, 2)] and len(s.faces) == 7 and s.faces[-1].min() == 12
    assert s.at_nodes["Cp"][6] == 12 and np.allclose(s.areas[:, 2], 1)
    assert np.allclose(s.samples("Cp")["value"][0], 5.5)
    path.write_text("VARIABLES = x y z cp\nZONE I=2 J=2\n4*0\n1 0 0 0 0 1 0 0 1 1 0 3\n")
    assert read_surface(path).at_nodes["cp"][3] == 3


@pytest.mark.parametrize("ending", [".stl", ".obj"])
@pytest.mark.parametrize("places", [True, False])
def test_stl_and_obj_with_a_table(wing, tmp_path, ending, places):
    """Values find their triangle by place, or by order where no place is given."""
    import meshio

    surface, _ = wing
    triangles = np.concatenate([surface.faces[:, [0, 1, 2]], surface.faces[:, [0, 2, 3]]])
    cp = np.tile(surface.at_faces["cp"], 2)
    path = tmp_path / f"wing{ending}"
    meshio.Mesh(surface.nodes, [("triangle", triangles)]).write(path)
    centre = surface.nodes[triangles].mean(1)
    order = np.random.default_rng(0).permutation(len(cp)) if places else np.arange(len(cp))
    head = "x,y,z,cp\n" if places else "cp\n"
    rows = np.column_stack([centre, cp])[order] if places else cp[:, None]
    (tmp_path / "wing.csv").write_text(head + "\n".join(",".join(f"{v:.12g}" for v in r) for r in rows))
    read = read_surface(path)
    s = read.samples("cp")
    assert len(s["value"]) == len(cp) and np.abs(np.sort(s["value"]) - np.sort(cp)).max() < 1e-6
    near = np.abs(s["x"][:, None] - centre[None]).sum(-1).argmin(1)
    assert np.abs(s["value"] - cp[near]).max() < 1e-6


def test_creases_part_a_surface():
    """A cube has six smooth pieces, and one when the angle allows a right one."""
    x = np.array([[i, j, k] for i in (0.0, 1.0) for j in (0.0, 1.0) for k in (0.0, 1.0)])
    faces = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    cube = Surface(x, faces, at_faces={"cp": np.zeros(6)})
    cube.check(closed=True)
    assert len(set(cube.pieces(40))) == 6 and len(set(cube.pieces(100))) == 1


def write(folder, name, text):
    (folder / name).write_text(text)
    return folder / name


TRIANGLE = "VARIABLES = x y z cp\nZONE N=4, E={e}, F=FEPOINT, ET=TRIANGLE\n0 0 0 1\n1 0 0 {v}\n0 1 0 1\n0 1 1 1\n{f}\n"


@pytest.mark.parametrize(
    ("name", "text", "closed", "words"),
    [
        ("a.dat", TRIANGLE.format(e=1, v="nan", f="1 2 3"), False, "cp of node 1 is not finite"),
        ("a.dat", TRIANGLE.format(e=2, v=1, f="1 2 3\n1 1 2"), False, "face 1 has no area"),
        ("a.dat", TRIANGLE.format(e=2, v=1, f="1 2 3\n1 2 4"), False, "face 1 is turned against its neighbour"),
        ("a.dat", TRIANGLE.format(e=1, v=1, f="1 2 9"), False, "face 0 names a node that is not there"),
        ("a.dat", TRIANGLE.format(e=1, v=1, f="1 2 3"), True, "is open: an edge of face 0"),
        ("a.dat", TRIANGLE.format(e=4, v=1, f="1 2 3\n1 4 2\n2 4 3\n1 3 4"), True, "is inverted"),
        ("a.dat", TRIANGLE.format(e=2, v=1, f="1 2 3"), False, "announced"),
        ("a.dat", TRIANGLE.format(e=1, v="x1", f="1 2 3"), False, "line 4 has 'x1'"),
        ("a.dat", "VARIABLES = x y cp\nZONE I=2\n0 0 0\n1 1 1\n", False, "x, y and z must be among them"),
        ("a.dat", "VARIABLES = x y z\n", False, "has no ZONE"),
        ("a.csv", "x,y,z,cp\n0,0,0,1\n1,0,0,high\n", False, "line 3 has 'high' in cp"),
        ("a.csv", "x,y,cp\n0,0,1\n", False, "has no column z"),
        ("a.csv", "x,y,z,p\n0,0,1,1\n", False, "has no values named cp; it has p"),
        ("a.foo", "", False, "has the ending .foo"),
    ],
)  # fmt: skip
def test_bad_files_are_named(tmp_path, name, text, closed, words):
    path = write(tmp_path, name, text)
    with pytest.raises(BenchError) as caught:
        surface = read_surface(path)
        surface.check(closed)
        surface.field("cp")
    assert words in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(MissingData, match=r"wing\.vtu is not there"):
        read_surface(tmp_path / "wing.vtu")
    with pytest.raises(BenchError, match="cannot be read by meshio"):
        read_surface(write(tmp_path, "broken.vtu", "<VTKFile"))
    import meshio

    meshio.Mesh(np.eye(4)[:, :3], [("triangle", [[0, 1, 2]])]).write(tmp_path / "s.stl")
    with pytest.raises(MissingData, match=r"s\.csv is not there"):
        read_surface(tmp_path / "s.stl")
    write(tmp_path, "s.csv", "cp\n1\n2\n")
    with pytest.raises(BenchError, match=r"2 lines of values, and the surface 1 faces and 3 nodes"):
        read_surface(tmp_path / "s.stl")


def study(folder, count=6):
    """A folder as a user would have it: VTU files of generated wings, two incidences for the first wing."""
    import meshio

    lines = ["file,alpha,mach,group"]
    for i in range(count):
        w = make(Recipe(chordwise=12, spanwise=5, incidences=2), (0, 0, i))
        flow = WingFlow(Wing(NACA(0.02, 0.4, 0.1 + 0.01 * i)), Grid.cosine(12, 5))
        cp = flow.solve(w["alpha"]).cp
        for k in range(1 + (i == 0)):
            quads = flow.body.welded[:60]
            meshio.Mesh(flow.body.nodes, [("quad", quads)], cell_data={"cp": [cp[k].ravel()]}).write(
                folder / f"w{i}_{k}.vtu"
            )
            lines.append(f"w{i}_{k}.vtu,{w['alpha'][k]:.3f},0.2,w{i}")
    write(folder, "cases.csv", "\n".join(lines) + "\n")


def test_a_folder_of_solutions_is_a_bundle(tmp_path):
    study(tmp_path)
    config = Config(name="wing_files", path=str(tmp_path), points=40, parts=3, least=12)
    assert config.present(tmp_path, tmp_path) and config.declared()
    seen = []
    for fold in config.folds():
        b = load(config, fold=fold, source="real", root=tmp_path, cache=tmp_path)
        assert b.origin == "real" and b.train.x.shape[1:] == (40, 10) and (b.train.x[..., 8] == 0.2).all()
        assert not set(b.train.group) & set(b.test.group) and not set(b.val.group) & set(b.test.group)
        assert len(b.train) + len(b.val) + len(b.test) == 7
        seen += b.test.group.tolist()
    assert sorted(set(seen)) == list(range(6))
    with pytest.raises(
        BenchError,
        match=r"has 60 places with values in 2 pieces of data\.least=12 points or more, and data\.points=100",
    ):
        load(
            Config(name="f", path=str(tmp_path), points=100, parts=3, least=12),
            fold="0",
            source="real",
            root=tmp_path,
            cache=tmp_path,
        )
    with pytest.raises(BenchError, match="is not one ordered zone"):
        load(
            Config(name="f", path=str(tmp_path), layout="grid", parts=3),
            fold="0",
            source="real",
            root=tmp_path,
            cache=tmp_path,
        )
    write(tmp_path, "cases.csv", "file,alpha\nw0_0.vtu,high\n")
    with pytest.raises(BenchError, match="line 2 has alpha='high'"):
        config.cases()


def test_points_are_drawn_by_area_and_small_pieces_left_out(capsys):
    """Each piece gets its share; a piece whose share is below the least gives nothing, and that is said."""
    size, piece = (
        np.concatenate([np.full(300, 2.0), np.full(200, 1.0), np.full(5, 1.0)]),
        np.repeat([0, 1, 2], [300, 200, 5]),
    )
    pick = draw(size, piece, 160, 16, np.random.default_rng(0), "wing.vtu")
    assert len(set(pick.tolist())) == 160 and np.bincount(piece[pick], minlength=3).tolist() == [120, 40, 0]
    assert "wing.vtu: 1 small pieces are left out, 0.6% of the area" in capsys.readouterr().out
    everything = draw(size[:500], piece[:500], 500, 16, np.random.default_rng(0))
    assert sorted(everything.tolist()) == list(range(500)), "where a piece is used up the others give more"


def test_ordered_zones_as_a_structured_grid(tmp_path):
    """Every node in order, normals of unit length, the shape of the zone known to the methods."""
    for i in range(3):
        w = make(Recipe(chordwise=12, spanwise=5), (0, 0, i))
        rows = np.column_stack([w["x"], w["cp"][0]])
        text = "".join(" ".join(f"{v:.12g}" for v in r) + "\n" for r in rows)
        write(tmp_path, f"{i}.dat", f"VARIABLES=x,y,z,cp\nZONE I=5, J=12\n{text}")
    write(tmp_path, "cases.csv", "file,alpha\n0.dat,1\n1.dat,2\n2.dat,3\n")
    config = Config(name="f", path=str(tmp_path), layout="grid", parts=3)
    b = load(config, fold="0", source="real", root=tmp_path, cache=tmp_path)
    assert b.meta["grid"] == (12, 5) and b.test.x.shape == (1, 60, 10)
    w = make(Recipe(chordwise=12, spanwise=5), (0, 0, 0))
    assert np.abs(b.test.x[0, :, :3] - w["x"]).max() < 1e-9 and np.abs(b.test.y[0] - w["cp"][0]).max() < 1e-6
    assert ((b.test.x[0, :, 3:6] * w["normal"]).sum(1) > 0.9).mean() > 0.8
    cut = Config(name="f", path=str(tmp_path), layout="grid", parts=3, starts=[6])
    b = load(cut, fold="0", source="real", root=tmp_path, cache=tmp_path)
    assert b.meta["starts"] == [6] and (b.test.x[0, :, 6].reshape(12, 5)[:, 0] == np.repeat([0, 1], 6)).all()
