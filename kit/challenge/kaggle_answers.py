"""Parse the output of the kaggle command line, the same for every version kit allows; 1.8.4 to 2.2.5 were recorded.

A refusal is the server's message. Old versions print it alone, up to 2.0 to stdout, from 2.2 on to stderr. 2.2.5 adds a hint
after an empty line, or puts the message below a sentence as "Error: ...".
"""

CREDENTIALS_WAYS = (
    "set KAGGLE_API_TOKEN, set KAGGLE_USERNAME and KAGGLE_KEY, put kaggle.json into ~/.kaggle, "
    "or run kaggle auth login (kaggle 2.1.2 and later)"
)
_NOT_UPLOADED = "Could not submit to competition"  # exit code 0 up to 2.2.4, 1 from 2.2.5 on
_NO_CREDENTIALS = ("Authentication required", "You must authenticate", "Unauthenticated", "Unauthorized")
_CRASHES = ("Traceback", "kaggle --debug")
_NO_CONNECTION = ("ConnectionPool(", "Connection aborted", "Connection reset", "Read timed out")
_TOO_MANY = ("429 Client Error", "Too many requests", "Too Many Requests", "rate limited")
_SERVER_FAULTS = ("on Kaggle's side", " Server Error: ", "Internal error", "Internal server error")


def accepted(stdout: str) -> str:
    """Return the server's answer to a submission that the command line reports as done; empty if there is none."""
    return _last_line(stdout)


def reason(code: int, stdout: str, stderr: str, competition: str) -> str | None:
    """Return one line that says why the command failed; None if it did not."""
    if _NOT_UPLOADED in (_last_line(stdout), _last_line(stderr)):
        return f"Kaggle did not accept the submission: {_NOT_UPLOADED}; the upload was interrupted, try again"
    if not code:
        return None
    text = f"{stdout}\n{stderr}"
    message = _message(stderr) or _message(stdout)
    if any(words in text for words in _NO_CREDENTIALS):
        return f"no Kaggle credentials, or they were not accepted: {CREDENTIALS_WAYS}"
    if any(words in text for words in _CRASHES) or not message:
        return f"the kaggle command failed: {_last_line(stderr) if 'Traceback' in stderr else message or 'no message'}"
    if any(words in text for words in _NO_CONNECTION):
        return f"Kaggle cannot be reached: {message}"
    if any(words in text for words in _TOO_MANY):
        return f"Kaggle refused: {message}. Wait a few minutes and try again"
    if any(words in text for words in _SERVER_FAULTS):
        return f"Kaggle failed: {message}. The fault is on Kaggle's side: try again later"
    return (
        f"Kaggle refused: {message}. Check that {competition} is the right competition (--competition), that it is open, "
        f"and that you accepted its rules at https://www.kaggle.com/competitions/{competition}/rules"
    )


def _message(text: str) -> str:
    """Return the last line before the first empty one, progress bars and warnings left out: the server's message."""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines()]
    lines = [line for line in lines if "B/s]" not in line and not line.startswith("Warning:")]
    while lines and not lines[0]:
        lines.pop(0)
    first = lines[: lines.index("")] if "" in lines else lines
    return first[-1].removeprefix("Error: ").rstrip(".") if first else ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1] if lines else ""
