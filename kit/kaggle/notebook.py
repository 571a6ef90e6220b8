"""Push a notebook with what it needs attached; fetch the runs that one has left."""

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kit.errors import KitError, UsageError
from kit.files import existing_file
from kit.kaggle.command import run
from kit.kaggle.competition import COMPETITION
from kit.kaggle.metadata import NOTEBOOK, OWNER, address_of, check_notebook, full_id, own_name, read_metadata, write_metadata
from kit.kaggle.record import is_record
from kit.kaggle.stage import Piece, digest_of, files_below
from kit.words import count, some

FOLDER = Path("notebooks")
_FILE_SECONDS = 3600.0  # a file's download may print nothing: kaggle 1.8 says only when it is done
_STATUS = re.compile(r'has status "(?:\w+\.)?(\w+)"')
_UNDONE = ("QUEUED", "RUNNING", "NEW_SCRIPT")
_NOT_ADDED = re.compile(r"^The following are not valid (.+?) and could ?not be added to the kernel: (.+)$", re.MULTILINE)


def push_notebook(name: str, *, ref: str | None = None, datasets: Sequence[str] = (), internet: bool | None = None) -> list[str]:
    """Push a notebook, which runs there at once, and return what to say of it.

    Args:
        name: a file, or the name of one in notebooks/. A *kernel-metadata.json beside it that names it is taken along.
        ref: NAME or OWNER/NAME at Kaggle. datasets: attached instead of those of the metadata. internet: whether it has it.

    Raises:
        KitError: there is no such notebook, its metadata are wrong, or Kaggle refuses it or a source.
    """
    file = existing_file(Path(name) if name.endswith(".ipynb") else FOLDER / f"{name}.ipynb")
    owner = own_name()
    table = _metadata(file) | ({"enable_internet": internet} if internet is not None else {})
    if ref:
        table |= {"id": ref, "title": table["title"] if address_of(table["title"]) == ref.rpartition("/")[2] else _title(ref)}
    table["id"] = full_id(table["id"], owner)
    for key in ("dataset_sources", "kernel_sources"):
        table[key] = [re.sub(rf"^{OWNER}/", f"{owner}/", source) for source in table.get(key) or []]
    if datasets:
        table["dataset_sources"] = [full_id(source, owner) for source in datasets]
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        shutil.copyfile(file, folder / file.name)
        check_notebook(table, folder)
        write_metadata(folder / NOTEBOOK, table)
        printed = run(["kernels", "push", "-p", str(folder)], way_out="Check --id, and that its sources are there")
    lost = [f"{kind} {sources}" for kind, sources in _NOT_ADDED.findall(printed)]
    if lost:
        raise KitError(f"{table['id']} was pushed without its {'; '.join(lost)}: push these first, then the notebook again")
    return [*printed.splitlines()[-1:], f"attached: {some(table['dataset_sources'], 9) or 'no data set'}"]


def pull_runs(ref: str, work: Path, *, replace: bool = False) -> list[str]:
    """Fetch the runs among a notebook's output into WORK/runs and return what to say of them.

    Args:
        ref: NAME or OWNER/NAME. replace: put a run in the place of a different one of the same name.

    Raises:
        KitError: the notebook still runs, Kaggle refuses, or the output holds no run or one that is there already.
    """
    ref = full_id(ref)
    status = _status(ref)
    if status in _UNDONE:
        raise KitError(f"{ref} is {status.lower()}: its output can be fetched when it has ended")
    runs = work / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=work) as folder:
        output = Path(folder) / "output"
        words = ["kernels", "output", ref, "-p", str(output), "-o"]
        printed = run(words, way_out="Check the name in the notebook's address", quiet_seconds=_FILE_SECONDS)
        if "Next page token: " in printed:
            raise KitError(f"the installed kaggle fetches only the first files of {ref}: pip install -U kaggle")
        found = sorted(path.parent for path in output.rglob("run.toml") if not is_record(path.parent))
        if not found:
            files = count(len(files_below(output)), "file")
            raise KitError(f"the output of {ref} ({status.lower()}) holds no run: no run.toml of one among {files}")
        wanted = {ref.rpartition("/")[2] if path == output else path.name: path for path in found}
        if len(wanted) < len(found):
            raise KitError(
                f"the output of {ref} holds two runs of one name: {', '.join(str(path.relative_to(output)) for path in found)}"
            )
        different = [name for name, path in wanted.items() if (runs / name).exists() and not _same(path, runs / name)]
        if different and not replace:
            raise KitError(f"{runs} has another {different[0]} already: --replace puts the notebook's in its place")
        said = [f"{ref}: {status.lower()}"]
        for name, path in wanted.items():
            if not (runs / name).exists() or name in different:
                _put(path, runs / name)
                said.append(f"{runs / name}: {'replaced' if name in different else 'new'}")
            else:
                said.append(f"{runs / name}: the same as here")
        return said


def _metadata(file: Path) -> dict[str, Any]:
    """Return what a metadata file beside a notebook says of it, or what kit says of a notebook without one."""
    for path in sorted(file.parent.glob(f"*{NOTEBOOK}")):
        table = read_metadata(path)
        if table.get("code_file") == file.name:
            return table
    title = _title(file.stem)
    if not address_of(title):
        raise UsageError(f"{file}: its name makes no address at Kaggle; give --id NAME")
    return {
        "id": f"{OWNER}/{address_of(title)}",
        "title": title,
        "code_file": file.name,
        "language": "python",
        "kernel_type": "notebook",
        "is_private": True,
        "enable_gpu": True,
        "enable_internet": False,
        "dataset_sources": [],
        "competition_sources": [COMPETITION],
        "kernel_sources": [],
        "model_sources": [],
    }


def _title(name: str) -> str:
    return re.sub(r"[-_]+", " ", name.rpartition("/")[2])


def _status(ref: str) -> str:
    printed = run(["kernels", "status", ref], way_out="Check the name in the notebook's address", quiet_seconds=120)
    found = _STATUS.search(printed)
    if found is None:
        raise KitError(f"the status of {ref} is not to be read from: {printed[:200]}")
    return found[1].upper()


def _same(one: Path, other: Path) -> bool:
    digests = [digest_of([Piece(name="run", files=files_below(path), archive=True)]) for path in (one, other)]
    return digests[0] == digests[1]


def _put(source: Path, target: Path) -> None:
    """Move a folder to `target`; what was there is deleted only after that."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    source.rename(target)
    shutil.rmtree(old, ignore_errors=True)
