"""Readers of surface solutions: VTK and VTU (through meshio), Tecplot ASCII, STL and OBJ with values in a CSV file, CSV alone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from bench.schema import BenchError, MissingData
from datasets.wings.surfaces import Surface, quads

MESHIO, TECPLOT, SHAPE = (".vtk", ".vtu", ".xdmf", ".ply"), (".dat", ".tec", ".plt", ".tp"), (".stl", ".obj")
ENDINGS = (*MESHIO, *TECPLOT, *SHAPE, ".csv")


def read_surface(path: Path, values: Path | None = None) -> Surface:
    """The surface of a file, by its ending.

    values : CSV with a header for STL and OBJ, whose columns x, y, z say where the others hold (each goes to the nearest face centre,
    and every face must get one), or which has one line for each face or node in the file's order. Default: the file with ending .csv.

    Raises MissingData where there is no file, BenchError naming file and line or element where it cannot be used.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingData(f"{path} is not there; give the path of a surface file")
    ending = path.suffix.lower()
    if ending in MESHIO:
        surface = _meshio(path)
    elif ending in TECPLOT:
        surface = tecplot(path)
    elif ending in SHAPE:
        surface = _meshio(path)
        _attach(surface, Path(values) if values else path.with_suffix(".csv"))
    elif ending == ".csv":
        columns = _csv(path)
        missing = [c for c in "xyz" if c not in columns]
        if missing:
            raise BenchError(f"{path} has no column {missing[0]}; give x, y, z and values, with their names in line 1")
        nodes = np.stack([columns.pop(c) for c in "xyz"], 1)
        surface = Surface(nodes, np.empty((0, 4), np.int64), at_nodes=columns)
    else:
        raise BenchError(f"{path} has the ending {ending}; use one of {', '.join(ENDINGS)}")
    surface.name = str(path)
    surface.check()
    return surface


def _meshio(path: Path) -> Surface:
    import meshio

    try:
        mesh = meshio.read(path)
    except SystemExit as error:  # meshio ends the process where it cannot read
        raise BenchError(f"{path} cannot be read by meshio (exit {error.code}); check that the file is whole") from None
    except Exception as error:
        raise BenchError(
            f"{path} cannot be read by meshio ({error or type(error).__name__}); check that the file is whole"
        ) from None
    corners = {"triangle": 3, "quad": 4}
    found = [(c.type, c.data) for c in mesh.cells]
    other = sorted({kind for kind, _ in found} - {*corners, "vertex", "line"})
    if other:
        raise BenchError(f"{path} has cells of kind {other[0]}; give the surface alone, as triangles and quads")
    keep = [i for i, (kind, _) in enumerate(found) if kind in corners]
    faces = [quads({corners[found[i][0]]: found[i][1]}) for i in keep]
    nodes = np.asarray(mesh.points, dtype=np.float64)
    if nodes.shape[1] == 2:
        nodes = np.concatenate([nodes, np.zeros((len(nodes), 1))], 1)
    at_nodes = {k: np.asarray(v, dtype=np.float64) for k, v in mesh.point_data.items() if np.size(v) == len(nodes)}
    at_faces = {
        k: np.concatenate([np.asarray(v[i], dtype=np.float64).ravel() for i in keep])
        for k, v in mesh.cell_data.items()
        if keep and all(np.size(v[i]) == len(found[i][1]) for i in keep)
    }
    return Surface(nodes, np.concatenate(faces) if faces else quads({}), at_nodes, at_faces)


def _csv(path: Path) -> dict[str, np.ndarray]:
    """Columns of numbers by lower-case name; an empty field is NaN."""
    import pandas

    if not path.is_file():
        raise MissingData(f"{path} is not there; it holds the values, with the names of its columns in line 1")
    try:
        frame = pandas.read_csv(path, skipinitialspace=True)
    except Exception as error:
        raise BenchError(f"{path} cannot be read as CSV ({str(error).splitlines()[0]}); mend it") from None
    out = {}
    for name in frame.columns:
        column = pandas.to_numeric(frame[name], errors="coerce")
        wrong = column.isna() & frame[name].notna()
        if wrong.any():
            raise BenchError(
                f"{path}: line {int(wrong.to_numpy().argmax()) + 2} has {frame[name][wrong].iloc[0]!r} in {name}; give numbers"
            )
        out[str(name).strip().lower()] = column.to_numpy(np.float64)
    return out


def _attach(surface: Surface, path: Path) -> None:
    """Put the values of a CSV file onto faces or nodes."""
    from scipy.spatial import cKDTree

    columns = _csv(path)
    count = len(next(iter(columns.values()), ()))
    if not {"x", "y", "z"} <= columns.keys():
        if count == len(surface.faces):
            surface.at_faces.update(columns)
        elif count == len(surface.nodes):
            surface.at_nodes.update(columns)
        else:
            raise BenchError(
                f"{path} has {count} lines of values, and the surface {len(surface.faces)} faces and {len(surface.nodes)} nodes; give "
                "columns x, y, z or one line for each"
            )
        return
    places = np.stack([columns.pop(c) for c in "xyz"], 1)
    bad = ~np.isfinite(places).all(1)
    if bad.any():
        raise BenchError(f"{path}: line {int(bad.argmax()) + 2} has no finite place; give x, y, z")
    corners = surface.nodes[surface.faces]
    near = cKDTree(corners[:, :3].mean(1)).query(places)[1]  # STL and OBJ values are on triangles as a rule
    got = np.bincount(near, minlength=len(surface.faces))
    if (got == 0).any():
        raise BenchError(
            f"{path} has no value near face {int((got == 0).argmax())}; give one line for each face, at its centre"
        )
    for name, value in columns.items():
        surface.at_faces[name] = np.bincount(near, weights=value, minlength=len(got)) / got


# ------------------------------------------------------------------------------------------ Tecplot ASCII


def tecplot(path: Path) -> Surface:
    """Tecplot ASCII: ordered zones (I, J) and finite-element zones of triangles or quads, DATAPACKING POINT or BLOCK, several zones.

    The first three variables named x, y, z (any case; also CoordinateX ...) are coordinates. Ordered zones need K = 1 and keep their
    grid; BLOCK zones may have cell-centred variables (VARLOCATION).
    """
    header, zones = _zones(path)
    if not header:
        raise BenchError(f"{path} has no VARIABLES; is it Tecplot ASCII?")
    names = [_coordinate(n) for n in header]
    if not {"x", "y", "z"} <= set(names):
        raise BenchError(f"{path} has the variables {', '.join(header)}; x, y and z must be among them")
    nodes, faces, grids = [], [], []
    at_nodes: dict[str, list[np.ndarray]] = {n: [] for n in names if n not in "xyz"}
    at_faces: dict[str, list[np.ndarray]] = {n: [] for n in at_nodes}
    first = 0
    for number, (keys, line, tokens) in enumerate(zones):
        where = f"{path}: zone {number} (line {line})"
        columns, cells, count, grid = _zone(keys, tokens, names, where)
        nodes.append(np.stack([columns[c] for c in "xyz"], 1))
        faces.append(cells + first)
        if grid:
            grids.append((first, *grid))
        for n in at_nodes:
            (at_faces if len(columns[n]) == len(cells) != count else at_nodes)[n].append(columns[n])
        first += count
    xyz, quad = np.concatenate(nodes), np.concatenate(faces)
    whole = {n: np.concatenate(v) for n, v in at_nodes.items() if v}
    cells_of = {n: np.concatenate(v) for n, v in at_faces.items() if v}
    return Surface(
        xyz,
        quad,
        {n: v for n, v in whole.items() if len(v) == first},
        {n: v for n, v in cells_of.items() if len(v) == len(quad)},
        grids,
        str(path),
    )


def _coordinate(name: str) -> str:
    low = name.lower()
    return low[-1] if re.fullmatch(r"(coordinate)?[xyz]", low) else name


def _zones(path: Path) -> tuple[list[str], list[tuple[dict[str, str], int, list[float]]]]:
    """Names of the variables; for each zone its keywords, the line it starts at, and its numbers."""
    names: list[str] = []
    zones: list[tuple[dict[str, str], int, list[float]]] = []
    mode = ""
    for number, raw in enumerate(path.read_text(errors="replace").splitlines(), 1):
        line = raw.split("#", 1)[0].strip()
        upper = line.upper()
        if not line or upper.startswith(("TITLE", "DATASETAUXDATA", "AUXDATA", "TEXT", "FILETYPE")):
            continue
        if upper.startswith("VARIABLES"):
            mode, line = "variables", line.split("=", 1)[-1]
        elif re.match(r"ZONE\b", upper):
            mode = "zone"
            zones.append(({}, number, []))
            line = line[4:]
        elif mode == "zone" and not re.match(r"[-+.\d]", line):
            pass  # keywords of a zone go on
        elif mode == "zone":
            mode = "numbers"
        if mode == "variables":
            names += [a or b for a, b in re.findall(r'"([^"]*)"|([^\s,"=]+)', line)]
        elif mode == "zone":
            for key, quoted, bracket, plain in re.findall(r'(\w+)\s*=\s*(?:"([^"]*)"|(\([^=]*\))|([^\s,]+))', line):
                zones[-1][0][key.upper()] = quoted or bracket or plain
        elif mode == "numbers":
            try:
                for word in line.replace(",", " ").split():
                    times, _, value = word.rpartition("*")  # 3*0.5 is 0.5 three times
                    zones[-1][2].extend([float(value)] * (int(times) if times else 1))
            except ValueError:
                raise BenchError(f"{path}: line {number} has {word!r} where a number is expected; mend it") from None
    if not zones:
        raise BenchError(f"{path} has no ZONE; is it Tecplot ASCII?")
    return names, zones


def _zone(
    keys: dict[str, str], tokens: list[float], names: list[str], where: str
) -> tuple[dict[str, np.ndarray], np.ndarray, int, tuple[int, int] | None]:
    """Columns by name, faces (f, 4), number of nodes, and rows and columns of an ordered zone."""
    kind = (
        keys.get("ZONETYPE") or {"FEPOINT": "FE", "FEBLOCK": "FE"}.get(keys.get("F", "").upper(), "ORDERED")
    ).upper()
    packing = (
        keys.get("DATAPACKING") or {"FEBLOCK": "BLOCK", "BLOCK": "BLOCK"}.get(keys.get("F", "").upper(), "POINT")
    ).upper()
    values = np.asarray(tokens)
    grid = None
    if kind == "ORDERED":
        i, j, k = (int(keys.get(c, 1)) for c in "IJK")
        if k != 1 and 1 not in (i, j):
            raise BenchError(f"{where} is a volume of {i} x {j} x {k} points; give surface zones")
        i, j = sorted((i, j, k), key=lambda n: n == 1)[:2] if k != 1 else (i, j)
        count, grid = i * j, (j, i)
        at = np.arange(count).reshape(j, i)
        faces = np.stack([at[:-1, :-1], at[:-1, 1:], at[1:, 1:], at[1:, :-1]], -1).reshape(-1, 4)
    else:
        try:
            count, cells = int(keys.get("NODES") or keys["N"]), int(keys.get("ELEMENTS") or keys["E"])
        except KeyError as error:
            raise BenchError(
                f"{where} has no {error.args[0]}, the number of its {'nodes' if error.args[0] == 'N' else 'elements'}"
            ) from None
        shape = (keys.get("ET") or kind).upper()
        corners = 3 if "TRI" in shape else 4 if "QUAD" in shape else 0
        if not corners:
            raise BenchError(f"{where} has elements of kind {shape}; give triangles or quads")
        if len(values) < cells * corners:
            raise BenchError(f"{where} ends before its {cells} elements; the file is cut off")
        table = values[len(values) - cells * corners :].reshape(cells, corners)
        values, faces = values[: len(values) - cells * corners], quads({corners: table - 1})
    centred = {
        int(n) - 1
        for part in re.findall(r"\[([\d,\-]+)\]\s*=\s*CELLCENTERED", keys.get("VARLOCATION", ""), re.I)
        for n in _numbers(part)
    }
    sizes = [len(faces) if v in centred else count for v in range(len(names))]
    if len(values) != sum(sizes):
        raise BenchError(
            f"{where} has {len(values)} values and {sum(sizes)} are announced; check its counts or whether it is cut off"
        )
    if packing == "BLOCK":
        parts = np.split(values, np.cumsum(sizes)[:-1])
    else:
        parts = list(values.reshape(count, len(names)).T)
    return dict(zip(names, parts, strict=True)), faces, count, grid


def _numbers(text: str) -> list[int]:
    """4,6-8 -> 4, 6, 7, 8."""
    out: list[int] = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        out += range(int(low), int(high or low) + 1)
    return out
