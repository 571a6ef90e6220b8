"""A server on this machine that answers the real kaggle command line as Kaggle would, and remembers what it was sent."""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SERVICE = "/api/v1/competitions.CompetitionApiService/"


@dataclass
class Answers:
    """How the server behaves, and what came in."""

    start: int = 200  # status of StartSubmissionUpload
    put: int = 200  # status of the upload itself
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
            if method == "StartSubmissionUpload":
                port = self.server.server_address[1]
                ok = {"token": "token-1", "createUrl": f"http://127.0.0.1:{port}/upload"}
                error = {"code": answers.start, "message": "You must accept the rules" if answers.start == 403 else "Not found"}
                self.reply(answers.start, ok if answers.start == 200 else error)
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
