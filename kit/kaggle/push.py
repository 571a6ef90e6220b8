"""Push a store, weights, wheels or runs as data sets: in parts where one would be too large, and each part only if it changed."""

import datetime
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit.errors import KitError, UsageError
from kit.files import existing_folder, write_whole
from kit.images.store.parts import complete_plates
from kit.images.store.work import open_work
from kit.kaggle.dataset import PAUSES, is_there, send
from kit.kaggle.metadata import DATASET, check_dataset, full_id, read_metadata, write_metadata
from kit.kaggle.split import assign_plates
from kit.kaggle.stage import Piece, clear, digest_of, files_below, lay_out, pieces_of
from kit.model.footprint import gb

NAMES = {"store": "cpjump1-store", "weights": "kit-weights", "wheels": "kit-wheels", "runs": "kit-runs"}
PART_GB = 100.0  # of 10**9 bytes: what a private account is sure to hold in one data set
_WEIGHTS = (".pt", ".pth", ".safetensors", ".bin")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One data set: its id, what it holds, and the words for it."""

    ref: str
    pieces: list[Piece]
    said: str

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(piece.size for piece in self.pieces)


@dataclass(slots=True)
class _State:
    """What is known of earlier pushes, beside the layouts: plate -> part, and the digest of what each data set holds."""

    path: Path
    plates: dict[str, int] = field(default_factory=dict)
    pushed: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "_State":
        try:
            table = json.loads(path.read_text()) if path.is_file() else {}
            return cls(path, dict(table.get("plates", {})), dict(table.get("pushed", {})))
        except (ValueError, AttributeError) as error:
            raise KitError(f"{path} is damaged ({error}); delete it, and everything is pushed again") from error

    def write(self) -> None:
        write_whole(self.path, json.dumps({"plates": self.plates, "pushed": self.pushed}, indent=1) + "\n")


def push_dataset(
    kind: str,
    path: Path,
    *,
    name: str | None = None,
    title: str | None = None,
    notes: str = "",
    part_gb: float = PART_GB,
    public: bool = False,
    stage: Path | None = None,
    say: Callable[[str], Any] = lambda line: None,
    pauses: Sequence[float] = PAUSES,
) -> list[str]:
    """Push a folder as one data set, or a store as several, and return their addresses; run again, it goes on.

    Args:
        kind: store (a work folder), weights (a file or folder), wheels (of kit wheels), runs (a run, WORK/runs or WORK).
        name: NAME or OWNER/NAME at Kaggle; of further parts NAME-2 and so on. title, notes: of data set and version.
        part_gb: GB that a part may hold. public: make new data sets public. stage: where archives are made before they are
            uploaded, by default beside `path`; deleted afterwards.

    Raises:
        KitError: `path` does not hold that, a part is too large, there is no room, or Kaggle refuses.
    """
    path = Path(path)
    if kind not in NAMES:
        raise UsageError(f"--dataset {kind}: need one of {', '.join(NAMES)}")
    folder = path.resolve()
    stage = stage or folder.with_name(f"{folder.name}.kaggle")
    state = _State.read(stage / "state.json")
    given = _given(folder)
    ref = full_id(name or given.get("id") or NAMES[kind])
    parts = _store_parts(path, ref, part_gb, state) if kind == "store" else [_one_part(kind, path, ref, part_gb)]
    tables = [_metadata(part, number, given, title) for number, part in enumerate(parts)]
    for table in tables:
        check_dataset(table)
    return [_push(part, table, stage, state, notes, public, say, pauses) for part, table in zip(parts, tables, strict=True)]


def _push(
    part: Part,
    table: dict[str, Any],
    stage: Path,
    state: _State,
    notes: str,
    public: bool,
    say: Callable[[str], Any],
    pauses: Sequence[float],
) -> str:
    digest = digest_of(part.pieces)
    known = state.pushed.get(part.ref, {})
    if known.get("digest") == digest and is_there(part.ref):
        say(f"{part.ref}: unchanged since {known['when']}: {known['url']}")
        return known["url"]
    below = stage / part.ref.replace("/", "_")
    folder = lay_out(part.pieces, below, digest)
    write_metadata(folder / DATASET, table)
    state.write()  # before the upload, so that no plate changes its part
    url = send(part.ref, folder, notes or part.said, public=public, pauses=pauses)
    when = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    state.pushed[part.ref] = {"digest": digest, "url": url, "when": when}
    state.write()
    clear(below)
    say(f"{part.ref}: {part.said}, {gb(part.size)}: {url}")
    return url


def _store_parts(path: Path, ref: str, part_gb: float, state: _State) -> list[Part]:
    """Return the parts of a store: store.toml and some plates each, so that each is a work folder of its own."""
    work = open_work(existing_folder(path))
    if not (path / "store.toml").is_file():
        raise UsageError(f"{path} is a store in parts already: push each of {', '.join(map(str, work.plate_folders))}")
    plates = complete_plates(path)
    if not plates:
        raise KitError(f"{path} has no complete plate to push: run kit ingest to its end")
    files = {plate: _plate_files(path / "plates", plate) for plate in plates}
    sizes = {plate: sum(file.stat().st_size for file in found.values()) for plate, found in files.items()}
    state.plates = assign_plates(sizes, part_gb * 1e9, state.plates)
    parts = []
    for number in sorted(set(state.plates.values())):
        own = [plate for plate in plates if state.plates[plate] == number]
        archive = {name: file for plate in own for name, file in files[plate].items()}
        pieces = [
            Piece(name="store.toml", files={"store.toml": path / "store.toml"}, archive=False),
            Piece(name="plates.zip", files=archive, archive=True),
        ]
        said = (
            f"{len(own)} of {len(plates)} plates, {own[0]} to {own[-1]}" if len(own) > 1 else f"plate {own[0]} of {len(plates)}"
        )
        parts.append(Part(ref=ref if number == 1 else f"{ref}-{number}", pieces=pieces, said=said))
    return parts


def _plate_files(folder: Path, plate: str) -> dict[str, Path]:
    shards = {f"{plate}.zarr/{name}": file for name, file in files_below(folder / f"{plate}.zarr").items()}
    return {**shards, f"{plate}.parquet": folder / f"{plate}.parquet"}


def _one_part(kind: str, path: Path, ref: str, part_gb: float) -> Part:
    """Return weights, wheels or runs as one data set."""
    if kind == "weights" and path.is_file():
        pieces = [Piece(name=path.name, files={path.name: path}, archive=False)]
    elif kind == "runs":
        pieces = _runs(existing_folder(path))
    else:
        pieces = pieces_of(existing_folder(path))
    names = [name for piece in pieces for name in piece.files]
    endings = {"weights": _WEIGHTS, "wheels": (".whl",), "runs": ("run.toml",)}[kind]
    if not any(name.endswith(endings) for name in names):
        raise UsageError(f"{path} holds no {' or '.join(endings)}: nothing to push as {kind}")
    part = Part(ref=ref, pieces=pieces, said=kind)
    if part.size > part_gb * 1e9:
        raise KitError(
            f"{path} takes {gb(part.size)} and a data set holds {gb(part_gb * 1e9)}: push less of it, or raise --part-gb"
        )
    return part


def _runs(path: Path) -> list[Piece]:
    """Return the run folders of a run, of WORK/runs or of WORK, each as an archive."""
    if (path / "run.toml").is_file():
        name = path.resolve().name
        return [Piece(name=f"{name}.zip", files=files_below(path), archive=True)]
    folder = path / "runs" if (path / "store.toml").is_file() else path
    return [piece for piece in pieces_of(existing_folder(folder)) if "run.toml" in piece.files]


def _given(folder: Path) -> dict[str, Any]:
    """Return what a dataset-metadata.json in the folder says."""
    return read_metadata(folder / DATASET) if (folder / DATASET).is_file() else {}


def _metadata(part: Part, number: int, given: dict[str, Any], title: str | None) -> dict[str, Any]:
    name = part.ref.partition("/")[2]
    chosen = title or given.get("title") or (name if number == 0 else name.rpartition("-")[0]).replace("-", " ")
    table = {"licenses": [{"name": "other"}], **given, "id": part.ref}
    return {"title": chosen if number == 0 else f"{chosen} {number + 1}", **{key: table[key] for key in table if key != "title"}}
