"""The kaggle package's own command line, run as a child process; kaggle_answers reads what it prints.

Credentials stay with it: kit neither reads nor prints them.
"""

import csv
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from kit.challenge import kaggle_answers
from kit.errors import KitError

COMPETITION = "cell-line-transferability-challenge-cvdd"
_SECRETS = ("KAGGLE_KEY", "KAGGLE_API_TOKEN")


def find_credentials() -> str:
    """Return which credentials the kaggle package would find, by name and never by value; empty if none."""
    if os.environ.get("KAGGLE_API_TOKEN"):
        return "KAGGLE_API_TOKEN"
    if os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY"):
        return "KAGGLE_USERNAME and KAGGLE_KEY"
    home = Path.home() / ".kaggle"
    xdg = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "kaggle"
    folder = Path(os.environ.get("KAGGLE_CONFIG_DIR") or (home if home.exists() else xdg))
    files = [home / "access_token", home / "access_token.txt", folder / "kaggle.json", home / "credentials.json"]
    if "KAGGLE_KERNEL_RUN_TYPE" in os.environ and os.environ.get("KAGGLE_API_V1_TOKEN"):
        files.insert(0, Path(os.environ["KAGGLE_API_V1_TOKEN"]))  # a notebook's own
    return next((path.name for path in files if path.is_file()), "")


def check_access() -> None:
    """Check that an upload can start: kaggle is installed and finds credentials. Only Kaggle can tell whether they are valid.

    Raises:
        KitError: one of them is missing.
    """
    _check_installed()
    if not find_credentials():
        raise KitError(f"no Kaggle credentials: {kaggle_answers.CREDENTIALS_WAYS}")


def submit_file(submission: Path, message: str, competition: str, *, timeout: float = 3600) -> str:
    """Upload a file and return what Kaggle answered.

    Raises:
        KitError: the upload or the submission failed; one line with the reason.
    """
    printed = _run(["competitions", "submit", competition, "-f", str(submission), "-m", message], competition, timeout)
    answer = kaggle_answers.accepted(printed)
    if not answer:
        raise KitError("Kaggle did not accept the submission: no answer")
    return answer


def list_submissions(competition: str, *, timeout: float = 120) -> list[dict[str, str]]:
    """Return the newest submissions to a competition: fileName, date, description, status, publicScore, mostly ref.

    Raises:
        KitError: Kaggle did not answer with a list.
    """
    answer = _run(["competitions", "submissions", competition, "-v"], competition, timeout)
    lines = answer.splitlines()
    heads = [row for row, line in enumerate(lines) if "fileName" in line.split(",")]
    return list(csv.DictReader(lines[heads[0] :])) if heads else []


def _check_installed() -> None:
    if importlib.util.find_spec("kaggle") is None:
        raise KitError("the kaggle package is not installed: pip install kaggle")


def _run(words: list[str], competition: str, timeout: float) -> str:
    _check_installed()
    script = shutil.which("kaggle", path=str(Path(sys.executable).parent))
    command = [script] if script else [sys.executable, "-m", "kaggle"]
    try:
        done = subprocess.run(
            [*command, "-W", *words],  # -W: no word about a newer version among the answers
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise KitError(f"Kaggle did not answer within {timeout:.0f} s") from None
    stdout, stderr = _without_secrets(done.stdout), _without_secrets(done.stderr)
    reason = kaggle_answers.reason(done.returncode, stdout, stderr, competition)
    if reason is not None:
        raise KitError(reason)
    return stdout.strip()


def _without_secrets(text: str) -> str:
    for name in _SECRETS:
        if os.environ.get(name):
            text = text.replace(os.environ[name], "***")
    return text
