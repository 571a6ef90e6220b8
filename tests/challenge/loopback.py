"""A server on this machine that answers the real kaggle command line as Kaggle would, and remembers what it was sent."""

import json
import os
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MESSAGES = {
    400: "Submission not allowed: daily limit of 5 reached",
    401: "Unauthenticated",
    403: "You must accept the rules",
    404: "Not found",
    429: "Too many requests: wait a minute",
    500: "Internal error",
}
PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")


@dataclass
class Answers:
    """How the server behaves, and what came in."""

    start: int = 200  # status of StartSubmissionUpload
    put: int = 200  # status of the upload itself
    create: int = 200  # status of CreateSubmission
    listing: int = 200  # status of ListSubmissions
    message: str = "Successfully submitted to the challenge"
    submissions: list[dict] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    uploaded: bytes = b""
    created: dict = field(default_factory=dict)


def serve(answers: Answers) -> ThreadingHTTPServer:
    """Start the server on a free port; shut it down with .shutdown()."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def reply(self, status: int, body: dict | None = None):
            data = json.dumps(body or {}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def do_PUT(self):
            answers.uploaded = self.body()
            answers.calls.append("PUT")
            self.reply(answers.put)

        def do_POST(self):
            method = self.path.rpartition("/")[2]
            sent = json.loads(self.body() or b"{}")
            answers.calls.append(method)
            asked = {
                "StartSubmissionUpload": answers.start,
                "CreateSubmission": answers.create,
                "ListSubmissions": answers.listing,
            }
            status = asked.get(method, 200) if self.headers.get("Authorization") else 401
            if status != 200:
                self.reply(status, {"code": status, "message": MESSAGES[status]})
            elif method == "StartSubmissionUpload":
                port = self.server.server_address[1]
                self.reply(200, {"token": "token-1", "createUrl": f"http://127.0.0.1:{port}/upload"})
            elif method == "CreateSubmission":
                answers.created = sent
                self.reply(200, {"message": answers.message, "ref": 7})
            elif method == "GetSubmissionLimits":
                self.reply(200, {"numAllowedNow": 4})
            elif method == "ListSubmissions":
                self.reply(200, {"submissions": answers.submissions})
            else:
                self.reply(404, {"code": 404, "message": f"no method {method}"})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def environment(server: ThreadingHTTPServer, home: Path, key: str) -> dict[str, str]:
    """Return the environment in which the command line asks this server, with credentials and nothing of the user's own."""
    own = {name: value for name, value in os.environ.items() if name not in PROXIES and not name.startswith("KAGGLE_")}
    return {
        **own,
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        "HTTP_PROXY": f"http://127.0.0.1:{server.server_address[1]}",
        "HOME": str(home),
        "KAGGLE_CONFIG_DIR": str(home),
        "KAGGLE_USERNAME": "someone",
        "KAGGLE_KEY": key,
    }
