"""A server on this machine that answers the real kaggle command line as Kaggle would, and remembers what it was sent."""

import hashlib
import json
import os
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

MESSAGES = {
    400: "Submission not allowed: daily limit of 5 reached",
    401: "Unauthenticated",
    403: "You must accept the rules",
    404: "Not found",
    429: "Too many requests: wait a minute",
    500: "Internal error",
    503: "Service unavailable",
}
PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy")
SIGNED = "upload-signature-that-no-one-may-see"
_KEPT = 1 << 20  # bytes of an upload that are kept; of a larger one its hash
_CHUNK = 1 << 20


@dataclass
class Answers:
    """How the server behaves, and what came in. A list of statuses is used up call by call, its last one stays."""

    start: int | list[int] = 200  # status of StartSubmissionUpload
    put: int | list[int] = 200  # status of the upload itself
    create: int | list[int] = 200  # status of CreateSubmission
    listing: int | list[int] = 200  # status of ListSubmissions
    limits: int | list[int] = 200  # status of GetSubmissionLimits
    takes: bool = False  # whether a CreateSubmission that is answered with an error has been taken all the same
    left: int = 4  # submissions left today
    cuts: int = 0  # so many uploads are cut midway
    halves: int = 0  # of so many only the first half is kept, and the answer is 503: to be continued
    slow: float = 0.0  # s before each read of an upload
    hangs: float = 0.0  # s that an upload waits for its answer
    message: str = "Successfully submitted to the challenge"
    echo: bool = False  # errors repeat the header with the credentials
    other: bytes | None = None  # what is fetched instead of what was uploaded
    status: str = "COMPLETE"  # of a new submission
    score: str = "0.39100"
    submissions: list[dict] = field(default_factory=list)
    datasets: dict[str, list[dict]] = field(default_factory=dict)  # owner/slug -> its versions, as they were asked for
    notebooks: list[dict] = field(default_factory=list)
    outputs: dict[str, bytes] = field(default_factory=dict)  # files of a notebook's run
    worker: str = "COMPLETE"  # status of the notebook's run
    room: int = 99  # data sets that fit into the account
    refuses: str = ""  # what a data set or notebook is refused with, in an answer of status 200
    # What came in.
    calls: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    blobs: dict[str, bytes] = field(default_factory=dict)  # token -> bytes
    names: dict[str, str] = field(default_factory=dict)  # token -> file name
    uploaded: bytes = b""
    sha256: str = ""
    created: dict = field(default_factory=dict)
    resumed: list[str] = field(default_factory=list)  # Content-Range of uploads that went on

    def take(self, name: str) -> int:
        """Return the status of the next call of a kind."""
        value = getattr(self, name)
        if isinstance(value, int):
            return value
        return value.pop(0) if len(value) > 1 else value[0]


class Handler(BaseHTTPRequestHandler):
    """One request; `server.answers` says how to answer it."""

    protocol_version = "HTTP/1.1"
    rbufsize = 1 << 18

    @property
    def answers(self) -> Answers:
        return self.server.answers

    def log_message(self, *args):
        pass

    def reply(self, status: int, body: dict | bytes | None = None, **headers: str):
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if isinstance(body, bytes) else "application/json")
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def fail(self, status: int):
        said = self.headers.get("Authorization", "") if self.answers.echo else MESSAGES[status]
        self.reply(status, {"code": status, "message": said})

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def do_CONNECT(self):
        self.answers.hosts.add(self.path)
        self.close_connection = True
        self.send_error(403)

    def do_GET(self):
        self.answers.hosts.add(urlsplit(self.path).netloc)
        name = urlsplit(self.path).path.removeprefix("/output/")
        self.answers.calls.append(f"GET {name}")
        self.reply(200, self.answers.outputs[name])

    def do_PUT(self):
        answers = self.answers
        answers.hosts.add(urlsplit(self.path).netloc)
        token = urlsplit(self.path).path.rpartition("/")[2]
        length, asked = int(self.headers.get("Content-Length") or 0), self.headers.get("Content-Range", "")
        if asked:
            answers.resumed.append(asked)
        if asked.startswith("bytes */"):  # how much is there?
            there = len(answers.blobs.get(token, b""))
            done = there == int(asked.rpartition("/")[2])
            self.reply(200 if done else 308, **({} if done or not there else {"Range": f"bytes=0-{there - 1}"}))
            return
        answers.calls.append("PUT")
        cut = answers.cuts > 0
        answers.cuts -= cut
        kept, digest, left = bytearray(answers.blobs.get(token, b"") if asked else b""), hashlib.sha256(), length
        while left > (length // 2 if cut else 0):
            time.sleep(answers.slow)
            piece = self.rfile.read1(min(_CHUNK, left)) if not cut else self.rfile.read1(min(_CHUNK, left - length // 2))
            if not piece:
                return
            left -= len(piece)
            digest.update(piece)
            kept += piece if len(kept) < _KEPT else b""
        answers.blobs[token] = bytes(kept)
        if cut:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if answers.halves:
            answers.halves -= 1
            answers.blobs[token] = answers.blobs[token][: length // 2]
            self.reply(503)
            return
        answers.uploaded, answers.sha256 = bytes(kept), digest.hexdigest()
        time.sleep(answers.hangs)
        self.reply(answers.take("put"))

    def do_POST(self):
        url = urlsplit(self.path)
        method = url.path.rpartition("/")[2]
        sent = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        self.answers.hosts.add(url.netloc)
        self.answers.calls.append(method)
        answer = getattr(self, method, None)
        if not self.headers.get("Authorization"):
            self.fail(401)
        elif answer is None:
            self.reply(404, {"code": 404, "message": f"no method {method}"})
        else:
            answer(sent)

    def refused(self, kind: str) -> bool:
        status = self.answers.take(kind)
        if status != 200:
            self.fail(status)
        return status != 200

    # Competitions.

    def StartSubmissionUpload(self, sent: dict):
        if not self.refused("start"):
            self.reply(200, {"token": "token-1", "createUrl": f"{self.address}/upload/token-1?upload_id={SIGNED}"})
            self.answers.names["token-1"] = sent["fileName"]

    def CreateSubmission(self, sent: dict):
        answers = self.answers
        status = answers.take("create")
        if status == 200 or answers.takes:
            answers.created = sent
            ref = 7 + len(answers.submissions)
            row = {
                "ref": ref,
                "fileName": answers.names["token-1"],
                "date": f"2026-01-01T00:00:{ref:02}Z",
                "description": sent.get("submissionDescription", ""),
                "status": answers.status,
                "publicScore": answers.score,
            }
            answers.submissions.insert(0, row)
            answers.left -= 1
        if status == 200:
            self.reply(200, {"message": answers.message, "ref": answers.submissions[0]["ref"]})
        else:
            self.fail(status)

    def GetSubmissionLimits(self, sent: dict):
        if not self.refused("limits"):
            self.reply(200, {"numToday": 1, **({"numAllowedNow": self.answers.left} if self.answers.left else {})})

    def ListSubmissions(self, sent: dict):
        if not self.refused("listing"):
            self.reply(200, {"submissions": self.answers.submissions})

    def DownloadDataFile(self, sent: dict):
        self.reply(302, Location=f"{self.address}/output/{sent['fileName']}")

    def DownloadSubmission(self, sent: dict):
        self.reply(200, self.answers.uploaded if self.answers.other is None else self.answers.other)

    # Data sets.

    def GetDatasetStatus(self, sent: dict):
        there = f"{sent['ownerSlug']}/{sent['datasetSlug']}" in self.answers.datasets
        self.reply(200, {"status": "ready"}) if there else self.fail(404)

    def StartBlobUpload(self, sent: dict):
        token = f"blob-{len(self.answers.names) + 1}"
        self.answers.names[token] = sent["name"]
        self.reply(200, {"token": token, "createUrl": f"{self.address}/upload/{token}?upload_id={SIGNED}"})

    def CreateDataset(self, sent: dict):
        if len(self.answers.datasets) >= self.answers.room:
            self.reply(200, {"status": "error", "error": "You have used up your private quota."})
            return
        self.answers.datasets.setdefault(f"{sent['ownerSlug']}/{sent['slug']}", [])
        self.keep(f"{sent['ownerSlug']}/{sent['slug']}", sent)

    def CreateDatasetVersion(self, sent: dict):
        self.keep(f"{sent['ownerSlug']}/{sent['datasetSlug']}", {**sent, **sent.get("body", {})})

    def keep(self, ref: str, sent: dict):
        if self.answers.refuses:
            self.reply(200, {"status": "error", "error": self.answers.refuses})
            return
        self.answers.datasets[ref].append({**sent, "files": [file["token"] for file in sent.get("files", [])]})
        self.reply(200, {"status": "ok", "url": f"https://www.kaggle.com/datasets/{ref}", "ref": ref})

    # Notebooks.

    def SaveKernel(self, sent: dict):
        if self.answers.refuses:
            self.reply(200, {"error": self.answers.refuses})
            return
        self.answers.notebooks.append(sent)
        self.reply(200, {"url": f"https://www.kaggle.com/code/{sent['slug']}", "versionNumber": len(self.answers.notebooks)})

    def GetKernelSessionStatus(self, sent: dict):
        self.reply(200, {"status": self.answers.worker})

    def ListKernelSessionOutput(self, sent: dict):
        files = [{"fileName": name, "url": f"{self.address}/output/{name}"} for name in self.answers.outputs]
        self.reply(200, {"files": files, "log": "a log"})


def serve(answers: Answers) -> ThreadingHTTPServer:
    """Start the server on a free port; stop it with `stop`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answers = answers
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


def stop(server: ThreadingHTTPServer) -> None:
    """Stop the server."""
    server.shutdown()
    server.server_close()


def environment(server: ThreadingHTTPServer, home: Path, key: str) -> dict[str, str]:
    """Return the environment in which the command line asks this server, with credentials and nothing of the user's own."""
    own = {name: value for name, value in os.environ.items() if name not in PROXIES and not name.startswith("KAGGLE_")}
    address = f"http://127.0.0.1:{server.server_address[1]}"
    return {
        **own,
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        "HTTP_PROXY": address,
        "HTTPS_PROXY": address,
        "TMPDIR": str(home),  # where the command keeps the state of uploads
        "HOME": str(home),
        "KAGGLE_CONFIG_DIR": str(home),
        "KAGGLE_USERNAME": "someone",
        "KAGGLE_KEY": key,
    }
