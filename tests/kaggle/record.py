"""Record what a kaggle command line prints, for test_answers: python -m tests.kaggle.record bin/kaggle"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from .loopback import Answers, environment, serve, stop

RECORDED = Path(__file__).with_name("answers.json")
LIST = ["competitions", "submissions", "challenge", "-v"]
ROW = {"ref": 7, "fileName": "submission.csv", "date": "2026-01-01T00:00:00Z", "description": "first, with a comma"}
SCENARIOS: dict[str, tuple[dict, list[str]]] = {
    "accepted": ({}, []),
    "not uploaded": ({"put": 500}, []),
    **{f"submit {status}": ({"start": status}, []) for status in (400, 401, 403, 404, 429, 500)},
    "create 403": ({"create": 403}, []),
    **{f"list {status}": ({"listing": status}, LIST) for status in (401, 403, 404, 429, 500)},
    "listed": ({"submissions": [{**ROW, "status": "COMPLETE", "publicScore": "0.39100"}]}, LIST),
    "none listed": ({}, LIST),
    "no credentials": ({}, []),
    "unreachable": ({}, []),
}


def record(kaggle: str) -> dict[str, dict]:
    """Return exit code, stdout and stderr of every scenario."""
    found = {}
    for name, (behaviour, words) in SCENARIOS.items():
        server = serve(Answers(**behaviour))
        with tempfile.TemporaryDirectory() as home:
            submission = Path(home, "submission.csv")
            submission.write_text("ID,a\n1,0.5\n")
            asking = environment(server, Path(home), "a-key")
            if name == "no credentials":
                del asking["KAGGLE_USERNAME"], asking["KAGGLE_KEY"]
            if name == "unreachable":
                asking["HTTP_PROXY"] = "http://127.0.0.1:9"
            words = words or ["competitions", "submit", "challenge", "-f", str(submission), "-m", "a message"]
            done = subprocess.run([kaggle, "-W", *words], env=asking, capture_output=True, text=True, check=False)
        stop(server)
        stderr = re.sub(r"[\d.]+.?B/s", "1.00kB/s", done.stderr)  # the only thing that differs from run to run
        found[name] = {"code": done.returncode, "stdout": done.stdout, "stderr": stderr}
    return found


if __name__ == "__main__":
    version = subprocess.run([sys.argv[1], "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    recorded = json.loads(RECORDED.read_text()) if RECORDED.is_file() else {}
    recorded[version] = record(sys.argv[1])
    versions = ",\n".join(
        f'"{name}": {{\n' + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in answers.items()) + "}"
        for name, answers in sorted(recorded.items())
    )
    RECORDED.write_text(f"{{{versions}}}\n")
