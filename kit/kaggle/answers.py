"""Parse the output of the kaggle command line, the same for every version kit allows; 1.8.4 to 2.2.5 were recorded.

A refusal is the server's message. Old versions print it alone, up to 2.0 to stdout, from 2.2 on to stderr. 2.2.5 adds a hint
after an empty line, or puts the message below a sentence as "Error: ...". Some failures exit with 0 and only say so.
"""

import re
from dataclasses import dataclass

from kit.kaggle.credentials import CREDENTIALS_WAYS

_NOT_UPLOADED = "Could not submit to competition"  # exit code 0 up to 2.2.4, 1 from 2.2.5 on
_NOT_FOUND = "Could not find competition"  # as the upload above: 1.8.4 prints it and exits with 0
_ERRORS = ("Dataset creation error: ", "Dataset version creation error: ", "Kernel push error: ")  # all exit with 0
_LOST_FILE = "Upload unsuccessful: "  # up to 2.1 the data set is then made without that file, and the exit code is 0
_NO_CREDENTIALS = ("Authentication required", "You must authenticate", "Unauthenticated", "Unauthorized")
_CRASHES = ("Traceback", "kaggle --debug")
_NO_CONNECTION = ("ConnectionPool(", "Connection aborted", "Connection reset", "Read timed out", "RemoteDisconnected")
_TOO_MANY = ("429 Client Error", "Too many requests", "Too Many Requests", "rate limited")
_SERVER_FAULTS = re.compile(
    r"on Kaggle's side| Server Error: |Internal (server )?error|Service unavailable|Bad gateway|Gateway time-?out|Deadline", re.I
)
_QUOTA = re.compile(
    r"submission (not allowed|allowance|limit)|(daily|maximum) (number of )?submission|daily limit", re.IGNORECASE
)
_BAR = re.compile(r"(\d+)%\|")
CREDENTIALS, QUOTA, TOO_MANY, SERVER, UNREACHABLE, INTERRUPTED, CRASHED, REFUSED = (
    "credentials", "quota", "too many", "server", "unreachable", "interrupted", "crashed", "refused",
)  # fmt: skip
_PASSING = (TOO_MANY, SERVER, UNREACHABLE)
_UNSURE = (SERVER, UNREACHABLE, INTERRUPTED, CRASHED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a command failed: one of the kinds above, what the server or the command said, and how to word it.

    began: whether anything had been uploaded by then, so that what comes after the upload may have been done.
    """

    kind: str
    message: str
    began: bool = False

    @property
    def is_unsure(self) -> bool:
        """Whether the server may have done what was asked although it did not say so; a new try could do it twice."""
        return self.began and self.kind in _UNSURE and self.message != _NOT_UPLOADED

    @property
    def may_pass(self) -> bool:
        """Whether a new try may succeed, and can do nothing twice."""
        return not self.is_unsure and (self.kind == INTERRUPTED or (not self.began and self.kind in _PASSING))

    def text(self, way_out: str = "") -> str:
        """Return one line; `way_out` is what to do about a refusal."""
        again = "" if self.is_unsure else "try again"
        lines = {
            CREDENTIALS: f"no Kaggle credentials, or they were not accepted: {CREDENTIALS_WAYS}",
            QUOTA: f"Kaggle refused: {self.message}. Kaggle counts days in UTC: the next one starts at 00:00 UTC",
            TOO_MANY: f"Kaggle refused: {self.message}. Wait a few minutes and try again",
            SERVER: f"Kaggle failed: {self.message}. The fault is on Kaggle's side{again and f': {again} later'}",
            UNREACHABLE: f"Kaggle cannot be reached: {self.message}",
            INTERRUPTED: f"Kaggle did not accept the upload: {self.message}; it was interrupted{again and f', {again}'}",
            CRASHED: f"the kaggle command failed: {self.message}",
        }
        return lines.get(self.kind) or f"Kaggle refused: {self.message}" + (f". {way_out}" if way_out else "")


def rules_hint(competition: str) -> str:
    """Return what to check when a competition refuses."""
    return (
        f"Check that {competition} is the right competition (--competition), that it is open, "
        f"and that you accepted its rules at https://www.kaggle.com/competitions/{competition}/rules"
    )


def find_failure(code: int, stdout: str, stderr: str) -> Failure | None:
    """Return why a command failed; None if it did not."""
    message, began = _message(stderr) or _message(stdout), percent_sent(stderr) is not None
    if _NOT_UPLOADED in (last_line(stdout), last_line(stderr)):
        return Failure(kind=INTERRUPTED, message=_NOT_UPLOADED, began=began)
    if last_line(stdout).startswith(_NOT_FOUND):
        return Failure(kind=REFUSED, message=last_line(stdout).rstrip("."), began=began)
    for line in stdout.splitlines():
        if line.startswith(_LOST_FILE):
            return Failure(kind=INTERRUPTED, message=line, began=began)
        if error := next((start for start in _ERRORS if line.startswith(start)), None):
            return Failure(kind=_kind(line, line), message=line.removeprefix(error).rstrip("."), began=began)
    if not code:
        return None
    kind = _kind(f"{stdout}\n{stderr}", message)
    if kind == CRASHED:
        message = last_line(stderr) if "Traceback" in stderr else message or "no message"
    return Failure(kind=kind, message=message, began=began)


def percent_sent(stderr: str) -> int | None:
    """Return the newest percentage of the command's progress bar; None where there is none."""
    found = _BAR.findall(stderr)
    return int(found[-1]) if found else None


def accepted(stdout: str) -> str:
    """Return the server's answer to a submission that the command line reports as done; empty if there is none."""
    return last_line(stdout)


def submission_ref(stdout: str) -> str | None:
    """Return the number under which the server keeps a submission; only kaggle 2.2.5 and later print it."""
    found = re.search(r"^Submission ref: (\d+)$", stdout, re.MULTILINE)
    return found[1] if found else None


def last_line(text: str) -> str:
    """Return the last line that is not empty."""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _kind(text: str, message: str) -> str:
    if any(words in text for words in _NO_CREDENTIALS):
        return CREDENTIALS
    if any(words in text for words in _CRASHES) or not message:
        return CRASHED
    if any(words in text for words in _NO_CONNECTION):
        return UNREACHABLE
    if any(words in text for words in _TOO_MANY):
        return TOO_MANY
    if _SERVER_FAULTS.search(text):
        return SERVER
    return QUOTA if _QUOTA.search(message) else REFUSED


def _message(text: str) -> str:
    """Return the last line before the first empty one, progress bars and warnings left out: the server's message."""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines()]
    lines = [line for line in lines if "B/s]" not in line and not line.startswith("Warning:")]
    while lines and not lines[0]:
        lines.pop(0)
    first = lines[: lines.index("")] if "" in lines else lines
    return first[-1].removeprefix("Error: ").rstrip(".") if first else ""
