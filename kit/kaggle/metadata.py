"""dataset-metadata.json and kernel-metadata.json: what kit writes into them, held to the rules of the kaggle command line.

The rules are those of kaggle 2.2.5 (`dataset_create_new`, `kernels_push`); the tests hold the two together. A title of a
notebook that does not give its address is refused here, where kaggle only warns: Kaggle would file it under another address.
"""

import json
import re
from pathlib import Path
from typing import Any

from kit.errors import KitError, UsageError
from kit.files import write_whole
from kit.kaggle.command import run

DATASET, NOTEBOOK = "dataset-metadata.json", "kernel-metadata.json"
OWNER = "OWNER"  # stands for the user's name in files that are written without knowing it
_LENGTHS = {"slug": (6, 50), "title": (6, 50), "subtitle": (20, 80)}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_LEAST = 5  # characters of a notebook's title and address


def own_name() -> str:
    """Return the user's name at Kaggle, as the kaggle command line knows it.

    Raises:
        KitError: it knows none.
    """
    printed = run(["config", "view"], quiet_seconds=120)
    found = re.search(r"^- username: (\S+)$", printed, re.MULTILINE)
    if found is None or found[1] == "None":
        raise KitError("Kaggle's credentials name no user: give --id OWNER/NAME")
    return found[1]


def full_id(name: str, owner: str | None = None) -> str:
    """Return OWNER/NAME; `owner`, else the user's own, where only a name is given or OWNER stands for it.

    Raises:
        UsageError: it is neither.
    """
    first, slash, last = name.rpartition("/")
    if not _NAME.fullmatch(last) or (slash and not _NAME.fullmatch(first)):
        raise UsageError(f"--id {name}: need NAME or OWNER/NAME, of letters, digits and dashes, as in the address at Kaggle")
    return f"{owner or own_name()}/{last}" if first in ("", OWNER) else name


def read_metadata(path: Path) -> dict[str, Any]:
    """Read one of the files.

    Raises:
        KitError: it is no JSON object.
    """
    try:
        table = json.loads(path.read_text())
    except (ValueError, UnicodeDecodeError) as error:
        raise KitError(f"{path} is not readable as JSON: {error}") from error
    if not isinstance(table, dict):
        raise KitError(f"{path} holds no JSON object")
    return table


def write_metadata(path: Path, table: dict[str, Any]) -> None:
    """Write one of the files, only if it changes: the kaggle command resumes uploads of folders that are as they were."""
    text = json.dumps(table, indent=2) + "\n"
    if not path.is_file() or path.read_text() != text:
        write_whole(path, text)


def check_dataset(table: dict[str, Any]) -> None:
    """Check a data set's metadata.

    Raises:
        UsageError: kaggle would refuse it; the message names every reason.
    """
    wrong = []
    owner, _, slug = str(table.get("id", "")).partition("/")
    if not owner or not _NAME.fullmatch(slug):
        wrong.append(f"id {table.get('id', '')!r}: need OWNER/NAME")
    for name, value in {"slug": slug, "title": table.get("title") or "", "subtitle": table.get("subtitle")}.items():
        least, most = _LENGTHS[name]
        if value is not None and not least <= len(value) <= most:
            called = "name in the id" if name == "slug" else name
            wrong.append(f"{called} {value!r} has {len(value)} characters: need {least} to {most}")
    if len(table.get("licenses") or []) != 1 or not table["licenses"][0].get("name"):
        wrong.append("licenses: need exactly one, such as [{'name': 'other'}]")
    _refuse(DATASET, wrong)


def check_notebook(table: dict[str, Any], folder: Path) -> None:
    """Check a notebook's metadata; errors as `check_dataset`."""
    wrong = []
    owner, _, slug = str(table.get("id", "")).partition("/")
    title = table.get("title") or ""
    if not owner or not _NAME.fullmatch(slug) or len(slug) < _LEAST:
        wrong.append(f"id {table.get('id', '')!r}: need OWNER/NAME with {_LEAST} characters or more in the name")
    if len(title) < _LEAST:
        wrong.append(f"title {title!r} has {len(title)} characters: need {_LEAST} or more")
    elif slug and address_of(title) != slug.lower():
        wrong.append(f"title {title!r} makes the address {address_of(title)}, and the id says {slug}: make them agree")
    if not (folder / str(table.get("code_file") or " ")).is_file():
        wrong.append(f"code_file {table.get('code_file')!r}: no such file in {folder}")
    if table.get("language") != "python" or table.get("kernel_type") not in ("script", "notebook"):
        wrong.append("language and kernel_type: need 'python' and 'notebook'")
    for source in [*(table.get("dataset_sources") or []), *(table.get("kernel_sources") or [])]:
        if not re.fullmatch(r"[^/]+/[^/]+(/[^/]+)?", str(source)):
            wrong.append(f"source {source!r}: need OWNER/NAME")
    _refuse(NOTEBOOK, wrong)


def address_of(title: str) -> str:
    """Return the name that Kaggle makes of a title in plain letters."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _refuse(name: str, wrong: list[str]) -> None:
    if wrong:
        raise UsageError(f"{name}: {'; '.join(wrong)}")
