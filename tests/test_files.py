"""datasets/files.py: digests, resumable downloads, the offline check, safe unpacking. Served from this machine; no network."""

import functools
import hashlib
import http.server
import io
import os
import socket
import tarfile
import threading
import time
import urllib.request
import zipfile

import pytest

from bench.schema import BenchError, File, MissingData
from datasets import files

CONTENT = bytes(range(256)) * 2000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    ranges, requests, cut = True, [], None

    def do_GET(self):
        self.requests.append(self.headers.get("Range"))
        start = int(self.headers["Range"][6:-1]) if self.ranges and self.headers.get("Range") else 0
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.cut])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    Server.ranges, Server.requests, Server.cut = True, [], None
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield httpd.server_address[1]
    httpd.shutdown()
    httpd.server_close()


def plain(port, url, start):
    """An opener like the production one, without https: only tests have it."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/x", headers={"Range": f"bytes={start}-"} if start else {}
    )
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5)


def declared(**changes):
    return File(
        **{"path": "set/a.bin", "sha256": DIGEST, "size": len(CONTENT), "url": "https://example.invalid/x", **changes}
    )


def test_verified_accepts_and_refuses(tmp_path):
    path = tmp_path / "set" / "a.bin"
    with pytest.raises(MissingData, match="bench prepare"):
        files.verified(tmp_path, declared())
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    assert files.verified(tmp_path, declared()) == path
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(BenchError, match=f"{len(CONTENT) - 1} bytes.*delete it"):
        files.verified(tmp_path, declared())
    path.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(BenchError, match=f"a.bin has sha256 [0-9a-f]{{64}} and {DIGEST} is declared"):
        files.verified(tmp_path, declared())


def test_a_file_is_hashed_once_until_it_changes(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"1")
    first = files.sha256(path)
    monkeypatch.setattr(files.hashlib, "sha256", lambda: pytest.fail("hashed again"))
    assert files.sha256(path) == first
    monkeypatch.undo()
    path.write_bytes(b"22")
    assert files.sha256(path) == hashlib.sha256(b"22").hexdigest()


def test_fetch_says_what_and_under_which_licence(tmp_path, server):
    said = []
    [path] = files.fetch([declared()], tmp_path, said.append, "CC0", functools.partial(plain, server))
    assert path.read_bytes() == CONTENT and not list(tmp_path.rglob("*.part"))
    assert "0.5 MB" in said[0] and "CC0" in said[1]
    files.fetch([declared()], tmp_path, said.append, "CC0", lambda *a: pytest.fail("fetched again"))


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_is_resumed(tmp_path, server, ranges):
    Server.ranges, Server.cut = ranges, 100_000
    with pytest.raises(MissingData, match="run again to resume"):
        files.fetch([declared()], tmp_path, len, opener=functools.partial(plain, server))
    part = tmp_path / "set" / "a.bin.part"
    assert part.stat().st_size == 100_000 and not part.with_suffix("").exists()
    Server.cut = None
    files.fetch([declared()], tmp_path, len, opener=functools.partial(plain, server))
    assert Server.requests == [None, "bytes=100000-"]
    assert part.with_suffix("").read_bytes() == CONTENT


def test_a_wrong_file_is_never_kept(tmp_path, server):
    for wrong in (declared(sha256="0" * 64), declared(size=len(CONTENT) - 5)):
        with pytest.raises(BenchError, match="dropped"):
            files.fetch([wrong], tmp_path, len, opener=functools.partial(plain, server))
        assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_a_file_that_is_there_and_differs_is_reported_not_replaced(tmp_path):
    path = tmp_path / "set" / "a.bin"
    path.parent.mkdir()
    path.write_bytes(b"mine")
    with pytest.raises(BenchError, match="delete it"):
        files.fetch([declared()], tmp_path, len, opener=lambda *a: pytest.fail("fetched"))
    assert path.read_bytes() == b"mine"


def test_only_https(tmp_path):
    with pytest.raises(BenchError, match="https only"):
        files.fetch([declared(url="http://127.0.0.1:9/x")], tmp_path, len)
    with pytest.raises(BenchError, match="https only"):
        files._HttpsOnly().redirect_request(None, None, 302, "", {}, "http://example.invalid/")
    with pytest.raises(MissingData, match="by hand"):
        files.fetch([declared(url="")], tmp_path, len)


def test_no_room_is_said_before_anything_is_fetched(tmp_path):
    with pytest.raises(BenchError, match="MB free"):
        files.fetch([declared(size=10**18)], tmp_path, len, opener=lambda *a: pytest.fail("fetched"))


def test_offline_by_environment_touches_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: pytest.fail("contacted"))
    assert not files.online("192.0.2.1")
    with pytest.raises(MissingData, match="cannot be reached"):
        files.fetch([declared()], tmp_path, len)


def test_offline_is_noticed_soon_and_once(monkeypatch):
    monkeypatch.delenv("BENCH_OFFLINE", raising=False)
    monkeypatch.setattr(files, "_hosts", {})
    monkeypatch.setattr(files, "_behind_proxy", lambda host, port: (host, port))
    with socket.socket() as s:  # a port that was just free: closed
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    start = time.monotonic()
    assert not files.online("127.0.0.1", port)
    monkeypatch.setattr(
        socket, "create_connection", lambda *a, **k: time.sleep(3) or socket.socket()
    )  # a name server that does not answer
    assert not files.online("127.0.0.2", port, timeout=0.2)
    assert time.monotonic() - start < 2
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: pytest.fail("asked twice"))
    assert not files.online("127.0.0.1", port)


def zipped(path, *members):
    with zipfile.ZipFile(path, "w") as z:
        for name, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            z.writestr(info, b"/etc/passwd" if mode else b"content")


def test_extract(tmp_path):
    zipped(tmp_path / "a.zip", ("sub/x.txt", 0), ("y.txt", 0o100644))
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as t:
        info = tarfile.TarInfo("sub/z.txt")
        info.size = 7
        t.addfile(info, io.BytesIO(b"content"))
    out = files.safe_extract(tmp_path / "a.zip", tmp_path / "out") + files.safe_extract(
        tmp_path / "a.tar.gz", tmp_path / "out"
    )
    assert [p.relative_to(tmp_path / "out").as_posix() for p in out] == ["sub/x.txt", "y.txt", "sub/z.txt"]
    assert (tmp_path / "out/sub/z.txt").read_bytes() == b"content"
    with pytest.raises(BenchError, match="limit"):
        files.safe_extract(tmp_path / "a.zip", tmp_path / "small", limit=3)
    (tmp_path / "no").write_bytes(b"plain")
    with pytest.raises(BenchError, match="neither"):
        files.safe_extract(tmp_path / "no", tmp_path / "out")


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/abs/x", "C:\\x", "a\\..\\..\\x"])
def test_a_zip_cannot_leave_its_folder(tmp_path, name):
    zipped(tmp_path / "a.zip", ("fine", 0), (name, 0))
    with pytest.raises(BenchError, match="leaves the folder"):
        files.safe_extract(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out" / "fine").exists()  # nothing is written before everything was checked


def test_links_are_refused(tmp_path):
    zipped(tmp_path / "a.zip", ("link", 0o120777))
    with pytest.raises(BenchError, match="link"):
        files.safe_extract(tmp_path / "a.zip", tmp_path / "out")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
        with tarfile.open(tmp_path / "a.tar", "w") as t:
            info = tarfile.TarInfo("x")
            info.type, info.linkname = kind, "/etc/passwd"
            t.addfile(info)
        with pytest.raises(BenchError, match="link"):
            files.safe_extract(tmp_path / "a.tar", tmp_path / "out")
    # a link that is in the folder already is not followed out of it
    (tmp_path / "in").mkdir()
    os.symlink(tmp_path, tmp_path / "in" / "sub")
    zipped(tmp_path / "b.zip", ("sub/x", 0))
    with pytest.raises(BenchError, match="leaves the folder"):
        files.safe_extract(tmp_path / "b.zip", tmp_path / "in")
