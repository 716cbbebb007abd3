"""Run MOABB once for a subject and keep the arrays; the only module here that imports MOABB to read recordings.

MOABB checks no digests and does not verify the certificates of the servers it downloads from. So the sha256 of every raw
file is written into a manifest on first use, and a file that changes afterwards is refused; for the first use itself there
is nothing to compare with, except for the declared files of PhysionetMI.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.schema import BenchError, MissingData, fingerprint
from datasets import files
from datasets.eeg.moabb.config import EEGBCI, Config, moabb_version

HOSTS = {"BNCI": "lampx.tugraz.at", "PhysionetMI": "physionet.org"}
ANY_HOST = "zenodo.org"  # where most of the others are; only asked whether there is a network


def host(dataset: str) -> str:
    """The server that is asked before MOABB is let loose, because MOABB itself waits long when offline."""
    return next((h for prefix, h in HOSTS.items() if dataset.startswith(prefix)), ANY_HOST)


def prepare(config: Config, subject: int, root: Path, cache: Path) -> Path:
    """The npz of a subject: read, downloaded if necessary, preprocessed by MOABB, checked and stored."""
    path = config.prepared(cache, subject)
    if path.is_file():
        return path
    if moabb_version() == "absent":
        raise BenchError(f"data={config.name} needs MOABB to read {config.dataset}; pip install moabb")
    raw = config.raw(cache)
    try:
        raw.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"cache={cache} cannot be written ({error.strerror}); set cache or BENCH_CACHE") from None
    local = _declared(config, root, raw)
    manifest = _read(raw)
    local = local or subject in config.fetched(cache)
    if not (local or config.fake() or files.online(host(config.dataset))):
        raise MissingData(
            f"{config.dataset} subject {subject} is not in {raw} and {host(config.dataset)} cannot be reached"
        )
    _compare(raw, manifest)
    with _moabb(raw, local):
        try:
            arrays = extract(config, subject)
        except (
            OSError,
            RuntimeError,
        ) as error:  # what downloads raise: no connection, a page instead of a file, a dead mirror
            raise MissingData(
                f"MOABB could not get {config.dataset} subject {subject}: {type(error).__name__}: {error}"
            ) from error
    if not config.fake():
        _record(raw, subject)
    arrays["fingerprint"] = np.array(fingerprint(*(arrays[k] for k in ("x", "y", "session", "run"))))
    keep(path, arrays)
    return path


def read(config: Config, path: Path) -> dict[str, Any]:
    """The prepared arrays; refused when they are not what was stored."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    if fingerprint(*(arrays[k] for k in ("x", "y", "session", "run"))) != arrays["fingerprint"].item():
        raise BenchError(
            f"{path} was altered after {config.dataset} was prepared; delete it and run `bench prepare data={config.name}`"
        )
    return arrays


def keep(path: Path, arrays: dict[str, Any]) -> None:
    """Write an npz under a temporary name, then rename: readers never see half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    with os.fdopen(handle, "wb") as out:
        np.savez(out, **arrays)
    os.replace(name, path)


def extract(config: Config, subject: int) -> dict[str, Any]:
    """Arrays of one subject by MOABB: `x` (n, n_channels, n_times) float64 uV, `y` labels, `session` and `run` names, facts."""
    from moabb import datasets as catalogue

    cls = getattr(catalogue, config.dataset, None)
    if config.fake():
        from moabb.datasets.fake import FakeDataset

        dataset = FakeDataset(
            event_list=config.classes() if config.events else ("fake1", "fake2", "fake3"), seed=config.twin.seed
        )
    elif cls is None:
        raise BenchError(f"data.dataset={config.dataset} is not in the installed MOABB {moabb_version()}; update MOABB")
    else:
        dataset = cls()
    paradigm = _paradigm(config)
    try:
        epochs, labels, metadata = paradigm.get_data(dataset, subjects=[subject], return_epochs=True)
    except ValueError as error:  # what MOABB and MNE raise for recordings without usable events
        raise BenchError(
            f"{config.dataset} subject {subject}: MOABB cuts no epochs of {', '.join(config.classes())} out of it ({error}); "
            "leave it out of data.subjects"
        ) from error
    x = np.asarray(epochs.get_data(copy=False), dtype=np.float64) * dataset.unit_factor
    if config.crop:
        first, stop = config.crop
        if stop > x.shape[-1]:
            raise BenchError(
                f"data.crop={config.crop}: the epochs of {config.dataset} have {x.shape[-1]} samples; lower the end"
            )
        x = x[..., first:stop]
    code = {name: i for i, name in enumerate(config.classes())}
    return {
        "x": np.ascontiguousarray(x),
        "y": np.array([code[str(v)] for v in labels], dtype=np.int64),
        "session": metadata["session"].to_numpy(dtype=str),
        "run": metadata["run"].to_numpy(dtype=str),
        "sfreq": np.array(float(epochs.info["sfreq"])),
        "ch_names": np.array(epochs.ch_names),
    }


def _paradigm(config: Config) -> Any:
    from moabb import paradigms

    options: dict[str, Any] = {
        "tmin": config.tmin,
        "tmax": config.tmax,
        "resample": config.resample,
        "channels": list(config.channels) or None,
    }
    if config.filter != "paradigm":
        options |= {"fmin": config.fmin, "fmax": config.fmax}
    if config.paradigm not in ("LeftRightImagery", "P300"):
        options |= {"events": config.classes(), "n_classes": len(config.classes())}
    return getattr(paradigms, config.paradigm)(**options)


# ------------------------------------------------------------------------------------------ raw files


def _declared(config: Config, root: Path, raw: Path) -> bool:
    """Lay declared files out where MOABB looks for them, after their digests were compared. False when there are none."""
    declared = config.files()
    if not declared or not all((Path(root) / f.path).is_file() for f in declared):
        return False
    for file in declared:
        source = files.verified(root, file)
        target = raw / "MNE-eegbci-data" / file.url.removeprefix(EEGBCI.rsplit("/files", 1)[0] + "/")
        if target.is_file() and files.sha256(target) == file.sha256:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            target.symlink_to(source.resolve())
        except OSError:  # a file system without links
            shutil.copyfile(source, target)
    return True


@contextlib.contextmanager
def _moabb(raw: Path, local: bool) -> Iterator[None]:
    """MOABB with our folder as its home, so that it neither reads nor writes the person's own settings; quiet.

    With `local` it is told not to ask a mirror first: everything is on disk.
    """
    settings = {
        "MNE_DATA": str(raw),
        "_MNE_FAKE_HOME_DIR": str(raw),
        "MOABB_DOWNLOAD_PROVIDER": "upstream" if local else "auto",
    }
    before = {k: os.environ.get(k) for k in settings}
    os.environ.update(settings)
    logger, random = logging.getLogger("moabb"), np.random.get_state()  # FakeDataset seeds NumPy's global generator
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        import mne

        with mne.utils.use_log_level("ERROR"):
            yield
    finally:
        logger.setLevel(level)
        np.random.set_state(random)
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def _files(raw: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(raw, followlinks=True):
        for name in names:
            if name != "manifest.json" and ".mne" not in Path(folder).parts and not name.endswith((".tmp", ".lock")):
                yield Path(folder) / name


def _read(raw: Path) -> dict[str, Any]:
    path = raw / "manifest.json"
    return json.loads(path.read_text()) if path.is_file() else {"subjects": [], "files": {}}


def _compare(raw: Path, manifest: dict[str, Any]) -> None:
    for name, (size, digest) in manifest["files"].items():
        path = raw / name
        if path.is_file() and (path.stat().st_size != size or files.sha256(path) != digest):
            raise BenchError(
                f"{path} has sha256 {files.sha256(path)} and had {digest} when it was first used; delete it, and "
                f"{raw / 'manifest.json'} if the provider did publish a new version"
            )


def _record(raw: Path, subject: int) -> None:
    manifest = _read(raw)  # again: another process may have added a subject meanwhile
    manifest["subjects"] = sorted({*manifest["subjects"], subject})
    for path in _files(raw):
        name = path.relative_to(raw).as_posix()
        if name not in manifest["files"]:
            manifest["files"][name] = [path.stat().st_size, files.sha256(path)]
    handle, name = tempfile.mkstemp(dir=raw, suffix=".tmp")
    with os.fdopen(handle, "w") as out:
        json.dump(manifest, out, indent=1, sort_keys=True)
    os.replace(name, raw / "manifest.json")


def manifest_files(config: Config, cache: Path) -> dict[str, Any]:
    """Name -> [size in bytes, sha256] of the raw files that were used, as recorded on first use."""
    return _read(config.raw(cache))["files"]
