"""Published files: check them by sha256, fetch them over https with resume, and unpack archives without surprises.

Standard library only, so that configs and adapters of any kind of data can use it at no cost.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import shutil
import socket
import stat
import tarfile
import threading
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from bench.schema import BenchError, File, MissingData

CHUNK = 1 << 20  # bytes read at once
SPARE = 64 << 20  # bytes that a download leaves free on the disk
CONNECT_S = 2.0  # longest wait for a connection before a machine counts as offline

_seen: dict[str, tuple[int, int, str]] = {}  # path -> (size, mtime_ns, sha256) of files hashed in this process
_hosts: dict[tuple[str, int], bool] = {}  # (host, port) -> answered within CONNECT_S

Opener = Callable[[str, int], Any]


# ------------------------------------------------------------------------------------------ checking


def sha256(path: Path) -> str:
    """Hex sha256 of a file; a file whose size and modification time did not change is hashed once per process."""
    info = path.stat()
    known = _seen.get(str(path))
    if known and known[:2] == (info.st_size, info.st_mtime_ns):
        return known[2]
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(CHUNK):
            digest.update(block)
    _seen[str(path)] = (info.st_size, info.st_mtime_ns, digest.hexdigest())
    return digest.hexdigest()


def verified(root: Path, file: File) -> Path:
    """The path of a declared file, after its size and sha256 were compared with the declared ones.

    Raises
    ------
    MissingData : the file is absent.
    BenchError : it is truncated or altered; the text has both digests and the remedy.
    """
    path = Path(root) / file.path
    if not path.is_file():
        raise MissingData(
            f"{file.path} is not in {root}; run `bench prepare` for this data set or set BENCH_DATA to its folder"
        )
    size = path.stat().st_size
    remedy = "delete it and run `bench prepare` for this data set"
    if file.size and size != file.size:
        raise BenchError(f"{path} has {size} bytes and {file.size} are declared (truncated or altered): {remedy}")
    found = sha256(path)
    if found != file.sha256:
        raise BenchError(f"{path} has sha256 {found} and {file.sha256} is declared (altered): {remedy}")
    return path


# ------------------------------------------------------------------------------------------ the network


def online(host: str, port: int = 443, timeout: float = CONNECT_S) -> bool:
    """Whether `host` (or the https proxy in front of it) accepts a connection within `timeout` seconds.

    Asked once per process and host. BENCH_OFFLINE=1 answers no without touching the network. Name resolution has no
    timeout of its own, hence the thread.
    """
    if os.environ.get("BENCH_OFFLINE", "") not in ("", "0"):
        return False
    if (host, port) not in _hosts:
        target = _behind_proxy(host, port)
        answer: list[bool] = []

        def knock() -> None:
            with contextlib.suppress(OSError):
                socket.create_connection(target, timeout).close()
                answer.append(True)

        thread = threading.Thread(target=knock, daemon=True)
        thread.start()
        thread.join(timeout)
        _hosts[host, port] = bool(answer)
    return _hosts[host, port]


def _behind_proxy(host: str, port: int) -> tuple[str, int]:
    proxy = urllib.request.getproxies().get("https")
    if not proxy or urllib.request.proxy_bypass(host):
        return host, port
    parts = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
    return parts.hostname or host, parts.port or 3128


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """A redirect to anything but https would undo the check of the address."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _require_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_https(url: str) -> None:
    if urllib.parse.urlsplit(url).scheme != "https":
        raise BenchError(f"{url} is not an https address; downloads are made over https only")


def open_https(url: str, start: int) -> Any:
    """Open `url` from byte `start` on. The default opener of `fetch`; it refuses all but https, also after redirects."""
    _require_https(url)
    parts = urllib.parse.urlsplit(url)
    if not online(parts.hostname or "", parts.port or 443):
        raise MissingData(f"{parts.hostname} cannot be reached within {CONNECT_S:g} s (offline?)")
    request = urllib.request.Request(
        url, headers={"User-Agent": "holonomy", **({"Range": f"bytes={start}-"} if start else {})}
    )
    return urllib.request.build_opener(_HttpsOnly).open(request, timeout=60)


def fetch(
    files: Sequence[File], root: Path, say: Callable[[str], Any] = print, licence: str = "", opener: Opener = open_https
) -> list[Path]:
    """Bring every declared file under `root`; those that are there already are only checked.

    A download goes to `<name>.part`, is resumed by a Range request after an interruption, and gets its name only when
    size and sha256 agree. Nothing is overwritten: a file that is there and differs is reported, not replaced.

    Parameters
    ----------
    licence : said to the person before anything is fetched.
    opener : `(url, start) -> response` with `read`, `status` and `headers`; tests serve from a local machine this way.

    Raises
    ------
    MissingData : offline, not offered for download, or the server fails.
    BenchError : wrong digest, not https, no space, no right to write.
    """
    root = Path(root)
    absent = [f for f in files if not (root / f.path).is_file()]
    for f in absent:
        if not f.url:
            raise MissingData(f"{f.path} is not offered for download; put it into {root} by hand")
    if opener is open_https:
        for f in absent:
            _require_https(f.url)
        for host in {urllib.parse.urlsplit(f.url).hostname or "" for f in absent}:
            if not online(host):
                raise MissingData(f"{host} cannot be reached within {CONNECT_S:g} s (offline?)")
    if absent:
        say(f"fetching {len(absent)} of {len(files)} files, {sum(f.size for f in absent) / 1e6:.1f} MB, into {root}")
        if licence:
            say(f"licence: {licence}")
        _room(root, sum(f.size for f in absent))
        for f in absent:
            _download(f, root / f.path, opener)
    return [verified(root, f) for f in files]


def _room(root: Path, need: int) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(
            f"root={root} cannot be made ({error.strerror}); set root or BENCH_DATA to a writable folder"
        ) from None
    if not os.access(root, os.W_OK):
        raise BenchError(f"root={root} cannot be written; set root or BENCH_DATA to a folder you can write")
    free = shutil.disk_usage(root).free
    if free < need + SPARE:
        raise BenchError(
            f"root={root} has {free / 1e6:.0f} MB free and {(need + SPARE) / 1e6:.0f} MB are needed; make room or set root"
        )


def _download(file: File, path: Path, opener: Opener) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("ab") as out, _alone(out):
        if path.is_file():  # another process finished it while this one waited
            return
        try:
            _receive(file, part, out, opener)
        except (OSError, http.client.HTTPException, MissingData) as error:
            received = part.stat().st_size
            if not received:
                part.unlink()
            if isinstance(error, MissingData):
                raise
            raise MissingData(
                f"{file.url} failed after {received} of {file.size} bytes ({error}); run again to resume"
            ) from None
        out.flush()
        os.fsync(out.fileno())
        size, found = part.stat().st_size, sha256(part)
        if size < file.size:
            raise MissingData(f"{file.url} ended after {size} of {file.size} bytes; run again to resume")
        if size != file.size or found != file.sha256:
            part.unlink()
            raise BenchError(
                f"{file.url} gave {size} bytes with sha256 {found}; {file.size} bytes with {file.sha256} are declared: "
                "it was dropped, the published file has changed"
            )
        os.replace(part, path)


def _receive(file: File, part: Path, out: BinaryIO, opener: Opener) -> None:
    start = part.stat().st_size
    if start >= file.size:  # complete, or damaged: the digest decides
        return
    with opener(file.url, start) as response:
        if start and not _continues(response, start):
            out.truncate(0)  # a server without ranges sends the whole file again
            start = 0
        while block := response.read(CHUNK):
            start += len(block)
            if start > file.size:
                out.write(block)
                return  # longer than declared: do not fill the disk
            out.write(block)


def _continues(response: Any, start: int) -> bool:
    """Whether the answer starts at byte `start`."""
    if getattr(response, "status", None) != 206:
        return False
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return bool(match) and int(match.group(1)) == start


@contextlib.contextmanager
def _alone(handle: BinaryIO) -> Iterator[None]:
    """One process at a time downloads a file; where the file system has no locks, the digest still decides."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)
    except (ImportError, OSError):
        pass
    yield


# ------------------------------------------------------------------------------------------ archives


def safe_extract(archive: Path, target: Path, limit: int = 20 << 30) -> list[Path]:
    """Unpack a zip or tar archive; return the files written.

    Every member is checked before the first is written: absolute paths, `..`, links, devices and a total above `limit`
    bytes are refused. Modes and owners are not taken over.
    """
    archive, target = Path(archive), Path(target)
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as z:
            return _unpack(
                archive,
                target,
                limit,
                [
                    (m.filename, m.file_size, not stat.S_ISLNK(m.external_attr >> 16), lambda m=m: z.open(m))
                    for m in z.infolist()
                    if not m.is_dir()
                ],
            )
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive) as t:
            return _unpack(
                archive,
                target,
                limit,
                [(m.name, m.size, m.isreg(), lambda m=m: t.extractfile(m)) for m in t.getmembers() if not m.isdir()],
            )
    raise BenchError(f"{archive} is neither a zip nor a tar archive; delete it and fetch it again")


def _unpack(
    archive: Path, target: Path, limit: int, members: list[tuple[str, int, bool, Callable[[], Any]]]
) -> list[Path]:
    home = target.resolve()
    if sum(size for _, size, _, _ in members) > limit:
        raise BenchError(f"{archive} unpacks to more than {limit} bytes; raise `limit` if that is meant")
    plan = []
    for name, size, plain, opener in members:
        parts = PurePosixPath(name.replace("\\", "/")).parts
        path = target.joinpath(*parts) if parts else target
        inside = bool(parts) and ".." not in parts and not re.match(r"^(/|[A-Za-z]:)", name.replace("\\", "/"))
        if not plain or not inside or not path.resolve().is_relative_to(home) or path.resolve() == home:
            raise BenchError(
                f"{archive} has the member {name!r}, which is a link or leaves the folder; it was not unpacked"
            )
        plan.append((path, size, opener))
    for path, size, opener in plan:
        path.parent.mkdir(parents=True, exist_ok=True)
        with opener() as source, path.open("wb") as out:
            left = size
            while left > 0 and (block := source.read(min(CHUNK, left))):  # a header that lies cannot fill the disk
                left -= len(block)
                out.write(block)
        if left:
            raise BenchError(f"{archive} is damaged at {path.name}; delete it and fetch it again")
    return [path for path, _, _ in plan]
