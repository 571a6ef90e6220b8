"""CellProfiler's profiles of the challenge's plates: from the Cell Painting Gallery, a copy of its folders, or any files.

The gallery has a folder for each plate, <plate>/<plate><kind>.csv.gz, of several kinds: see KINDS.
"""

import http.client
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tenacity

from kit.challenge.features import feature_files
from kit.errors import KitError, UsageError
from kit.files import existing_folder, write_whole
from kit.images.source.folders import ImageFile, Reader, is_url
from kit.progress import progress
from kit.words import some

GALLERY = "https://cellpainting-gallery.s3.amazonaws.com/cpg0000-jump-pilot/source_4/workspace/profiles/2020_11_04_CPJUMP1"
# Normalized to DMSO, the features chosen over a batch of plates; over all its plates; normalized only. None reads a position.
KINDS = ("_normalized_feature_select_negcon_batch", "_normalized_feature_select_batch", "_normalized_negcon")
PLATES = {
    "U2OS": ("BR00116995", *(f"BR001170{number}" for number in (10, 11, 12, 13, 24, 25, 26))),
    "A549": (*(f"BR0011699{number}" for number in (1, 2, 3, 4)),
             *(f"BR001170{number}" for number in ("08", "09", 15, 16, 17, 19, 50, 51, 52, 53, 54, 55))),
}  # fmt: skip
LINE_OF = {plate: line for line, plates in PLATES.items() for plate in plates}
_SECONDS, _TRIES = 60, 5
_FIRST_WAIT = 0.5  # seconds; doubled from try to try
_GZIP = b"\x1f\x8b"
_WAY_OUT = "run the same command again to continue, or download the files and name their folder with --profiles"


@dataclass(frozen=True, slots=True)
class Found:
    """Files of profiles. gallery: of a kind that the gallery has, so that no step before read the well position."""

    files: tuple[Path, ...]
    gallery: bool


def find_profiles(source: str, plates: Sequence[str], folder: Path) -> Found:
    """Return the profiles of these plates, all of one kind; those of a URL are downloaded to `folder`, once.

    Args:
        source: a URL above the plates' folders; a folder with these, or with the files themselves; a folder or a file of
            features of any tool, which is taken whole.

    Raises:
        UsageError: no such folder. KitError: a plate without profiles, a server that does not answer.
    """
    if is_url(source):
        return Found(_download(source.rstrip("/"), plates, folder), gallery=True)
    if Path(source).is_file():
        return Found(tuple(feature_files(Path(source))), gallery=False)
    here = existing_folder(source, "--profiles is a folder, a file or a URL of profiles")
    for kind in KINDS:
        found = {plate: path for plate in plates if (path := _copy(here, plate, kind))}
        if found:
            _see_all(found, plates, source, kind)
            return Found(tuple(found.values()), gallery=True)
    try:
        return Found(tuple(feature_files(here)), gallery=False)
    except KitError as error:
        example = f"{plates[0]}/{plates[0]}{KINDS[0]}.csv.gz"
        raise KitError(f"{error}, nor the gallery's folders of these plates, such as {example}") from error


def _copy(folder: Path, plate: str, kind: str) -> Path | None:
    name = f"{plate}{kind}.csv.gz"
    return next((path for path in (folder / plate / name, folder / name) if path.is_file()), None)


def _see_all(found: dict[str, Path], plates: Sequence[str], source: str, kind: str) -> None:
    lacking = [plate for plate in plates if plate not in found]
    if lacking:
        raise KitError(
            f"{source} has no {lacking[0]}{kind}.csv.gz: {len(lacking)} of the {len(plates)} plates with an ID have no profiles "
            f"there ({some(lacking)})"
        )


def _download(source: str, plates: Sequence[str], folder: Path) -> tuple[Path, ...]:
    for kind in KINDS:
        first = _kept(source, plates[0], kind, folder)
        if first is None:
            continue
        found = {plates[0]: first}
        for plate in progress(plates[1:], label="profiles", unit="plate"):
            path = _kept(source, plate, kind, folder)
            found |= {} if path is None else {plate: path}
        _see_all(found, plates, source, kind)
        return tuple(found.values())
    raise KitError(f"{source}/{plates[0]} has none of {', '.join(f'{plates[0]}{kind}.csv.gz' for kind in KINDS)}")


def _kept(source: str, plate: str, kind: str, folder: Path) -> Path | None:
    """Return the file of a plate, downloaded unless it is there; None where the server has none."""
    name = f"{plate}{kind}.csv.gz"
    path = folder / name
    if not path.is_file():
        data = _fetch(f"{source}/{plate}/{name}")
        if data is None:
            return None
        if not data.startswith(_GZIP):
            raise KitError(f"{source}/{plate}/{name}: what came is no gzip file; does a proxy or a login page answer? {_WAY_OUT}")
        write_whole(path, data)
    return path


def _fetch(url: str) -> bytes | None:
    """Return what a URL holds, None where nothing is there; s3:// and others are read as images are."""
    if not url.startswith(("http://", "https://")):
        try:
            return Reader()(ImageFile(url))
        except FileNotFoundError:
            return None
    again = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_may_pass),
        stop=tenacity.stop_after_attempt(_TRIES),
        wait=lambda state: _FIRST_WAIT * 2 ** (state.attempt_number - 1),
        reraise=True,
    )
    try:
        return again(_get, url)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise KitError(f"{url}: the server answers {error.code} {error.reason}; {_WAY_OUT}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise KitError(f"{url}: no answer after {_TRIES} tries ({reason}); {_WAY_OUT}") from error
    except ValueError as error:
        raise UsageError(f"{url}: {error}") from error


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
        return answer.read()


def _may_pass(error: BaseException) -> bool:
    """Return whether the next try may succeed: the line broke, or the server is at fault or busy."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500 or error.code == 429
    return isinstance(error, OSError | http.client.HTTPException)
