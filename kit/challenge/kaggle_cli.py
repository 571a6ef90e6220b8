"""The kaggle package's own command line, run as a child process, its answers and failures said in one line.

It exits 0 after some failures, so its words count too. Credentials stay with it: kit neither reads nor prints them.
"""

import csv
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from kit.errors import KitError

COMPETITION = "cell-line-transferability-challenge-cvdd"
CREDENTIALS_WAYS = (
    "run kaggle auth login, set KAGGLE_API_TOKEN, set KAGGLE_USERNAME and KAGGLE_KEY, or put kaggle.json into ~/.kaggle"
)
_SECRETS = ("KAGGLE_KEY", "KAGGLE_API_TOKEN")


def find_credentials() -> str:
    """Return which credentials the kaggle package would find, by name and never by value; empty where there are none."""
    if os.environ.get("KAGGLE_API_TOKEN"):
        return "KAGGLE_API_TOKEN"
    if os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY"):
        return "KAGGLE_USERNAME and KAGGLE_KEY"
    home = Path.home() / ".kaggle"
    folder = Path(os.environ.get("KAGGLE_CONFIG_DIR", home))
    files = (home / "access_token", folder / "kaggle.json", home / "credentials.json")
    return next((path.name for path in files if path.is_file()), "")


def submit_file(submission: Path, message: str, competition: str, *, timeout: float = 3600) -> str:
    """Upload a file and return what Kaggle answered.

    Raises:
        KitError: the upload or the submission failed; one line with the reason.
    """
    answer = _run(["competitions", "submit", competition, "-f", str(submission), "-m", message], competition, timeout)
    if "Could not" in answer or not answer:  # it exits 0 even so
        raise KitError(f"Kaggle did not take the submission: {_last_line(answer) or 'no answer'}")
    return _last_line(answer)


def list_submissions(competition: str, *, timeout: float = 120) -> list[dict[str, str]]:
    """Return the newest submissions to a competition: fileName, date, description, status, publicScore, mostly ref.

    Raises:
        KitError: Kaggle did not answer with a list.
    """
    answer = _run(["competitions", "submissions", competition, "-v"], competition, timeout)
    lines = answer.splitlines()
    heads = [row for row, line in enumerate(lines) if "fileName" in line.split(",")]
    return list(csv.DictReader(lines[heads[0] :])) if heads else []


def _run(words: list[str], competition: str, timeout: float) -> str:
    if importlib.util.find_spec("kaggle") is None:
        raise KitError("the kaggle package is not installed: pip install kaggle")
    script = shutil.which("kaggle", path=str(Path(sys.executable).parent))
    command = [script] if script else [sys.executable, "-m", "kaggle"]
    try:
        done = subprocess.run(
            [*command, *words], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False
        )
    except subprocess.TimeoutExpired:
        raise KitError(f"Kaggle did not answer within {timeout:.0f} s") from None
    if done.returncode:
        raise KitError(_reason(_without_secrets(done.stdout + "\n" + done.stderr), competition))
    return _without_secrets(done.stdout).strip()


def _reason(text: str, competition: str) -> str:
    """Return one line for a failure. Of a refusal (403, 404) the command line prints the server's message alone."""
    last = _last_line(text)
    if "Authentication required" in text or "Unauthorized" in text:
        return f"no Kaggle credentials, or they were not accepted: {CREDENTIALS_WAYS}"
    if "Traceback" in text or not last:
        return f"the kaggle command failed: {last or 'no message'}"
    return (
        f"Kaggle refused: {last.rstrip('.')}. Is {competition} the competition (--competition names another), did you accept its "
        f"rules at https://www.kaggle.com/competitions/{competition}/rules, and is it open?"
    )


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _without_secrets(text: str) -> str:
    for name in _SECRETS:
        if os.environ.get(name):
            text = text.replace(os.environ[name], "***")
    return text
