"""Where the kaggle package finds credentials, and what must not be shown of them. They are read here only to be blotted out."""

import base64
import json
import os
import re
from pathlib import Path

CREDENTIALS_WAYS = (
    "set KAGGLE_API_TOKEN, set KAGGLE_USERNAME and KAGGLE_KEY, put kaggle.json into ~/.kaggle, "
    "or run kaggle auth login (kaggle 2.1.2 and later)"
)
_SECRETS = ("KAGGLE_KEY", "KAGGLE_API_TOKEN")
_SECRET_FIELDS = ("key", "access_token", "refresh_token")
_LEAST = 4  # characters: shorter values are no credentials, and words contain them
_QUERY = re.compile(
    r"((?:https?:/)?/[^\s?'\"]+)\?[^\s'\")]+"
)  # the address that takes an upload is signed: it is a credential too
_HEADER = re.compile(r"(authorization\W{1,4}(?:basic|bearer)\s+)[^\s'\",}]+", re.IGNORECASE)


def find_credentials() -> str:
    """Return which credentials the kaggle package would find, by name and never by value; empty if none."""
    if os.environ.get("KAGGLE_API_TOKEN"):
        return "KAGGLE_API_TOKEN"
    if os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY"):
        return "KAGGLE_USERNAME and KAGGLE_KEY"
    return next((path.name for path in _files() if path.is_file()), "")


def without_secrets(text: str) -> str:
    """Return a text without any credential: keys and tokens of the environment and the files, signed addresses, headers."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, "***")
    return _HEADER.sub(r"\1***", _QUERY.sub(r"\1?***", text))


def _files() -> list[Path]:
    """Return where the kaggle package looks, in its order."""
    home = Path.home() / ".kaggle"
    xdg = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "kaggle"
    folder = Path(os.environ.get("KAGGLE_CONFIG_DIR") or (home if home.exists() else xdg))
    files = [home / "access_token", home / "access_token.txt", folder / "kaggle.json", home / "credentials.json"]
    if "KAGGLE_KERNEL_RUN_TYPE" in os.environ and os.environ.get("KAGGLE_API_V1_TOKEN"):
        files.insert(0, Path(os.environ["KAGGLE_API_V1_TOKEN"]))  # a notebook's own
    if os.path.isfile(os.environ.get("KAGGLE_API_TOKEN", "")):
        files.append(Path(os.environ["KAGGLE_API_TOKEN"]))  # kaggle takes a file's name there too
    return files


def _secrets() -> set[str]:
    users, secrets = {os.environ.get("KAGGLE_USERNAME", "")}, {os.environ.get(name, "") for name in _SECRETS}
    for path in _files():
        try:
            text = path.read_text().strip()
        except (OSError, UnicodeDecodeError):
            continue
        try:
            table = json.loads(text)
        except ValueError:
            table = text
        if isinstance(table, dict):
            users.add(str(table.get("username", "")))
            secrets |= {str(table[field]) for field in _SECRET_FIELDS if table.get(field)}
        else:
            secrets.add(str(table))
    secrets = {secret for secret in secrets if len(secret) >= _LEAST}
    headers = {base64.b64encode(f"{user}:{secret}".encode()).decode() for user in users for secret in secrets}
    return secrets | headers
