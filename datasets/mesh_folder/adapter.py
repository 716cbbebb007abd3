"""Folders of meshes as a Bundle; plates in their place where they are absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import BenchError, Bundle, fingerprint
from datasets.mesh_folder import readers
from datasets.mesh_folder.config import Config
from datasets.plates.config import Config as Plates
from datasets.plates.meshes import Meshes
from datasets.plates.task import MeshFields


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """train, test: Meshes without landmarks (method.landmarks=false)."""
    config.fold_number(fold)
    if source == "synthetic":
        from datasets.plates.adapter import load as plates

        bundle = plates(
            Plates(name="plates", train=20, test=6, h=0.2), fold="draw0", source="simulated", root=root, cache=cache
        )
        bundle.origin, bundle.group = "synthetic_twin", fold
        return bundle
    folder = root / config.path
    listed = readers.splits(folder, config.layout)
    parts = {}
    for split in (config.train, config.test):
        if split not in listed:
            raise BenchError(
                f"{folder} has no split {split!r}; it has {', '.join(listed)}: set data.train and data.test"
            )
        parts[split] = _meshes(config, folder, listed[split][: config.limit])
    train, test = parts[config.train], parts[config.test]
    return Bundle(
        kind=config.kind,
        train=train,
        val=None,
        test=test,
        n_out=len(config.fields),
        shape=(len(config.fields),),
        group=config.path,
        origin="real",
        fingerprint=fingerprint(*train.points, *train.fields, train.scalars, *test.points, *test.fields, test.scalars),
        task=MeshFields(),
        card={"licence": config.licence, "source": str(config.path), "citation": config.citation},
    )


def _meshes(config: Config, folder: Path, names: list[str]) -> Meshes:
    """The samples of a split. BenchError names the sample and the field or scalar that it lacks, or whose values are not finite."""
    read = readers.airfrans if config.layout == "airfrans" else readers.plaid
    inputs = ["inlet_velocity", "angle_of_attack"] if config.layout == "airfrans" else config.inputs
    outputs = [] if config.layout == "airfrans" else config.outputs
    points, triangles, fields, given, wanted = [], [], [], [], []
    for name in names:
        x, t, found, scalars = read(folder, name)
        for kind, need, have in (("field", config.fields, found), ("scalar", [*inputs, *outputs], scalars)):
            missing = [n for n in need if n not in have]
            if missing:
                raise BenchError(f"{name} in {folder} has no {kind} {missing[0]!r}; it has {', '.join(have) or 'none'}")
        values = np.stack([found[n] for n in config.fields], 1)
        if not np.isfinite(values).all():
            raise BenchError(
                f"{name} in {folder}: node {int(np.argmin(np.isfinite(values).all(1)))} has a field that is not finite; repair it"
            )
        points.append(x)
        triangles.append(t)
        fields.append(values)
        given.append([scalars[n] for n in inputs])
        wanted.append([scalars[n] for n in outputs])
    return Meshes(
        points,
        triangles,
        np.array(given),
        fields,
        np.array(wanted).reshape(len(names), -1),
        None,
        tuple(config.fields),
        tuple(outputs),
    )
