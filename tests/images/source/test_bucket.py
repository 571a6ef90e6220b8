"""From a bucket: a real S3 server on loopback (moto's), seen through a proxy that drops, delays and fails requests."""

import http.server
import os
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from kit.errors import KitError, UsageError
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.images.source import folders
from kit.images.source.folders import Folder, ImageFile, Reader
from kit.images.source.tiff import BadImage
from kit.images.store.work import open_work
from tests.images.made_plates import acquisition_xml, write_metadata, write_plate

pytest.importorskip("s3fs", reason="s3fs is not installed: pip install cellpaint-kit[s3]")
pytest.importorskip("moto.server", reason="moto[server] is not installed: pip install cellpaint-kit[dev]")

BUCKET = "plates"


class Proxy(http.server.ThreadingHTTPServer):
    """Passes requests on to the S3 server, except those that `fail(path, attempt)` answers: a status, "drop" or "short"."""

    daemon_threads = True

    def __init__(self, target: str):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.fail = lambda path, attempt: None
        self.attempts: dict[str, int] = {}
        self.most_at_once = self._at_once = 0
        self._lock = threading.Lock()

    def note(self, path: str) -> int:
        with self._lock:
            self.attempts[path] = self.attempts.get(path, 0) + 1
            return self.attempts[path]

    def enter(self, change: int) -> None:
        with self._lock:
            self._at_once += change
            self.most_at_once = max(self.most_at_once, self._at_once)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.enter(1)
        try:
            self._answer()
        finally:
            self.server.enter(-1)

    do_HEAD = do_GET

    def _answer(self):
        what = self.server.fail(self.path, self.server.note(self.path))
        if what == "drop":
            self.close_connection = True
            self.connection.close()
            return
        if isinstance(what, int):
            code = {404: "NoSuchKey", 403: "AccessDenied", 503: "SlowDown"}.get(what, "InternalError")
            self._send(what, {"Content-Type": "application/xml"}, f"<Error><Code>{code}</Code></Error>".encode())
            return
        status, headers, body = self._fetch()
        if what == "short":
            body = body[: len(body) // 2]
        self._send(status, headers, body)

    def _fetch(self):
        request = urllib.request.Request(self.server.target + self.path, method=self.command)
        try:
            with urllib.request.urlopen(request) as response:
                return response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    def _send(self, status, headers, body):
        self.send_response(status)
        kept = {k: v for k, v in headers.items() if k.lower() in ("content-type", "etag", "last-modified")}
        length = headers.get("Content-Length", len(body)) if self.command == "HEAD" else len(body)
        for key, value in (kept | {"Content-Length": length}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    from moto.server import ThreadedMotoServer

    os.environ["MOTO_S3_DEFAULT_KEY_BUFFER_SIZE"] = str(2**24)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    yield "http://{}:{}".format(*moto.get_host_and_port())
    moto.stop()


@pytest.fixture
def bucket(server, tmp_path, monkeypatch):
    """Two plates in the bucket, two more local copies to compare with; the first carries no position of its own."""
    import s3fs

    local = tmp_path / "images"
    write_plate(local, "BR01", channels=(1, 5))
    write_plate(local, "BR02", channels=(1, 5), xml=acquisition_xml({1: (-0.0003, 0.0003), 2: (0.0003, 0.0003)}))
    for key, value in (("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(key, value)
    writer = s3fs.S3FileSystem(key="x", secret="x", client_kwargs={"endpoint_url": server}, skip_instance_cache=True)
    if writer.exists(BUCKET):
        writer.rm(BUCKET, recursive=True)
    writer.mkdir(BUCKET, acl="public-read")
    prefix = f"{BUCKET}/cpg/images"
    for path in sorted(path for path in local.rglob("*") if path.is_file()):
        writer.put_file(str(path), f"{prefix}/{path.relative_to(local)}", ACL="public-read")
    proxy = Proxy(server)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_address[1]}")
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(key)
    monkeypatch.setattr(folders, "_FIRST_WAIT", 0.01)
    _forget()
    yield f"s3://{prefix}", local, proxy
    proxy.shutdown()
    _forget()


def _forget():
    import s3fs

    folders.list_url.cache_clear()
    s3fs.S3FileSystem.clear_instance_cache()


def snapshot(work: Path) -> dict[str, bytes]:
    return {str(path.relative_to(work)): path.read_bytes() for path in sorted((work / "plates").rglob("*")) if path.is_file()}


def images(path: str) -> bool:
    return "f0" in path and path.endswith(".tiff")


def test_the_store_is_the_same_as_from_disk(bucket, tmp_path):
    url, local, proxy = bucket
    metadata = write_metadata(tmp_path / "m", {"BR01": "U2OS", "BR02": "A549"}, {"A01": "", "B02": "BRD-1"})
    report = ingest(IngestPlan(url, tmp_path / "far", metadata=metadata, jobs=2))
    ingest(IngestPlan(local, tmp_path / "near", metadata=metadata))
    assert snapshot(tmp_path / "far") == snapshot(tmp_path / "near")
    assert report.plates[0].position_source == "plate BR02"
    assert proxy.most_at_once >= 4  # many requests in flight


def test_ranges_of_a_whole_plate_are_counted_from_the_bucket(bucket, tmp_path):
    url, local, proxy = bucket
    report = ingest(IngestPlan(url, tmp_path / "far", scale="plate-percentile", jobs=2))
    assert report.failed == []
    ingest(IngestPlan(local, tmp_path / "near", scale="plate-percentile"))
    assert snapshot(tmp_path / "far") == snapshot(tmp_path / "near")
    sites = open_work(tmp_path / "far").sites
    assert (sites.groupby("Metadata_Plate")["ch5_white"].nunique() == 1).all(), "one range for all images of a plate"
    assert {count for path, count in proxy.attempts.items() if images(path)} >= {2}, "each image is read to count and to pack"


@pytest.mark.parametrize("failure", ["drop", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("short", 500, 503))])
def test_failures_are_tried_again(bucket, tmp_path, failure):
    url, local, proxy = bucket
    proxy.fail = lambda path, attempt: failure if images(path) and attempt <= 2 else None
    report = ingest(IngestPlan(url, tmp_path / "far", jobs=2))
    assert (report.failed, report.plates[0].bad) == ([], [])
    ingest(IngestPlan(local, tmp_path / "near"))
    assert snapshot(tmp_path / "far") == snapshot(tmp_path / "near")
    assert max(proxy.attempts.values()) >= 3


def test_a_missing_key_is_a_missing_image(bucket, tmp_path):
    url, _, proxy = bucket
    proxy.fail = lambda path, attempt: 404 if "r01c01f01" in path else None
    report = ingest(IngestPlan(url, tmp_path / "far", plates=("BR01",)))
    assert (len(report.plates[0].gone), report.plates[0].bad, report.plates[0].sites) == (2, [], 3)
    assert open_work(tmp_path / "far").sites["Metadata_Site"].tolist() == [2, 1, 2]


@pytest.mark.slow
def test_a_file_that_stays_short_is_bad_and_a_dead_server_stops_the_ingest(bucket, tmp_path):
    url, local, proxy = bucket
    proxy.fail = lambda path, attempt: "short" if "r01c01f01p01-ch1" in path else None
    report = ingest(IngestPlan(url, tmp_path / "far", plates=("BR01",), max_bad=0.2))
    assert "bytes, 8 times" in report.plates[0].bad[0]["reason"]
    _forget()
    proxy.fail = lambda path, attempt: 503 if images(path) and "r02" in path else None
    with pytest.raises(KitError, match=r"no answer after 8 tries .* run the same command again"):
        ingest(IngestPlan(url, tmp_path / "later", plates=("BR02",), jobs=1))
    proxy.fail = lambda path, attempt: None
    ingest(IngestPlan(url, tmp_path / "later", plates=("BR02",), jobs=1))
    ingest(IngestPlan(local, tmp_path / "near", plates=("BR02",)))
    assert snapshot(tmp_path / "later") == snapshot(tmp_path / "near")


def test_a_refusal_is_said_at_once(bucket, tmp_path):
    url, _, proxy = bucket
    proxy.fail = lambda path, attempt: 403 if images(path) else None
    report = ingest(IngestPlan(url, tmp_path / "far", plates=("BR01",)))
    assert "denies access" in report.failed[0]


def test_other_urls_work_alike(tmp_path, monkeypatch):
    import fsspec

    monkeypatch.setattr(folders, "_FIRST_WAIT", 0.01)
    write_plate(tmp_path / "images", "BR01", channels=(1,))
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "images"), "/far/images", recursive=True)
    ingest(IngestPlan("memory://far/images", tmp_path / "far"))
    ingest(IngestPlan(tmp_path / "images", tmp_path / "near"))
    assert snapshot(tmp_path / "far") == snapshot(tmp_path / "near")
    with pytest.raises(UsageError, match="holds no plate"):
        ingest(IngestPlan("memory://nowhere", tmp_path / "none"))
    with pytest.raises(UsageError, match="wrong://"):
        Folder("wrong://x").entries()
    plate = Folder("memory://far/images").entries()[0]
    wrong = ImageFile(f"{plate.path}/Images/r01c01f01p01-ch1sk1fk1fl1.tiff", size=5)
    with pytest.raises(BadImage, match="of 5 bytes, 8 times"):
        Reader()(wrong)
