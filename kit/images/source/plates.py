"""The image files of one plate, by well, site and channel, as their names say (see conventions.py)."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from kit.errors import KitError
from kit.images.names import order_channels, well_position
from kit.images.source.conventions import (
    HARMONY,
    PLANE_FOLDER,
    TIME_FOLDER,
    Convention,
    ImageName,
    is_thumbnail,
    is_tiff,
    read_name,
)
from kit.images.source.folders import Entry, Folder, ImageFile
from kit.words import count, some

WRITE_A_TABLE = "write a load_data.csv (see docs/data.md)"


@dataclass(frozen=True)
class Plate:
    """The image files of one plate: (well, site) -> channel -> file. Sites are field numbers."""

    barcode: str
    folder: str
    images: dict[tuple[str, int], dict[str, ImageFile]]
    ignored: list[str] = field(default_factory=list)
    convention: Convention | None = None  # of its file names; None: a table names the files

    @property
    def wells(self) -> tuple[str, ...]:
        return tuple(sorted({well for well, _ in self.images}, key=well_position))

    @property
    def fields(self) -> tuple[int, ...]:
        return tuple(sorted({site for _, site in self.images}))

    @property
    def channels(self) -> tuple[str, ...]:
        return order_channels(channel for files in self.images.values() for channel in files)

    def files(self) -> list[ImageFile]:
        """Return every image file, by well, site and channel."""
        channels = self.channels  # once: it looks at every image
        return [files[channel] for _, files in sorted(self.images.items()) for channel in channels if channel in files]

    def missing_sites(self) -> list[tuple[str, int]]:
        """Return the (well, site) that other wells have and this well lacks."""
        fields = self.fields
        return [(well, site) for well in self.wells for site in fields if (well, site) not in self.images]

    def missing_channels(self) -> list[tuple[str, int, str]]:
        """Return the (well, site, channel) that the plate has elsewhere and this site lacks."""
        channels = self.channels
        return [(*key, channel) for key, files in sorted(self.images.items()) for channel in channels if channel not in files]


@dataclass(frozen=True, slots=True)
class Pick:
    """The one plane and time point to take of a z-stack or time series; None: there is only one."""

    plane: int | None = None
    time: int | None = None

    def takes(self, name: ImageName) -> bool:
        """Return whether an image of that name is to be taken."""
        return self.plane in (None, name.plane) and self.time in (None, name.time)


ALL = Pick()
Named = tuple[ImageName, Entry]


def list_plate(barcode: str, folder: Folder, pick: Pick = ALL) -> Plate:
    """Return the image files of a plate's image folder, in one listing. TIFFs of other names are listed in `ignored`.

    A file whose name has no channel number is given as its only channel, "": see `kit.images.source.source`.

    Raises:
        KitError: the names follow two conventions or are those of two plates, two files are the same image, or one image has
            several planes or time points and `pick` does not say which.
    """
    named, ignored = _read_names(folder)
    _check_alike(named)
    kept = [item for item in named if pick.takes(item[0])]
    if named and not kept:
        raise KitError(_none_picked([name for name, _ in named], pick))
    _check_single(kept)
    images: dict[tuple[str, int], dict[str, ImageFile]] = {}
    for name, entry in kept:
        channel = "" if name.channel is None else f"ch{name.channel}"
        images.setdefault((name.well, name.site), {})[channel] = ImageFile(entry.path, entry.size)
    ignored += [entry.name for name, entry in named if not pick.takes(name)]
    return Plate(barcode, folder.path, images, ignored, named[0][0].convention if named else None)


def _read_names(folder: Folder) -> tuple[list[Named], list[str]]:
    """Return the images by name, and the names of other TIFFs."""
    named, others, convention = [], [], HARMONY
    for entry, plane, time in _entries(folder):
        name = read_name(entry.name, convention)
        if name is not None:
            convention = name.convention  # the next name is most likely of the same kind
            if plane is not None or time is not None:
                name = replace(name, plane=name.plane if plane is None else plane, time=name.time if time is None else time)
            named.append((name, entry))
        elif is_tiff(entry.name) and not is_thumbnail(entry.name):
            others.append(entry.name)
    if len({name.plane is None for name, _ in named}) == 2:  # beside the steps of a z-stack lies its projection
        named = [(name if name.plane is not None else replace(name, plane=0), entry) for name, entry in named]
    return named, others


def _entries(folder: Folder, plane: int | None = None, time: int | None = None) -> Iterator[tuple[Entry, int | None, int | None]]:
    """Yield the files, with the plane and time point that the folders say."""
    for entry in folder.entries():
        if not entry.is_folder:
            yield entry, plane, time
        elif match := TIME_FOLDER.fullmatch(entry.name):
            yield from _entries(folder / entry.name, plane, int(match["time"]))
        elif match := PLANE_FOLDER.fullmatch(entry.name):
            yield from _entries(folder / entry.name, int(match["plane"]), time)


def _check_alike(named: list[Named]) -> None:
    """Check that all names are of one convention and one plate."""
    if not named:
        return
    first, at = named[0]
    for name, entry in named:
        if name.convention is not first.convention:
            raise KitError(
                f"the names of two microscopes, {at.name} ({first.convention.name}) and {entry.name} "
                f"({name.convention.name}): one folder a plate, or {WRITE_A_TABLE}"
            )
        if name.plate != first.plate:
            raise KitError(f"the files of two plates, {at.name} and {entry.name}: one folder a plate, or {WRITE_A_TABLE}")
        if (name.channel is None) != (first.channel is None):
            raise KitError(f"names with a channel and without, {at.name} and {entry.name}: {WRITE_A_TABLE}")


def _check_single(named: list[Named]) -> None:
    """Check that every image has one plane, one time point and one file."""
    seen: dict[tuple, Named] = {}
    for name, entry in named:
        other = seen.setdefault((name.well, name.site, name.channel), (name, entry))
        if other[1] is entry:
            continue
        if other[0].plane != name.plane:
            raise KitError(_stack([name.plane for name, _ in named], "plane", other[1], entry))
        if other[0].time != name.time:
            raise KitError(_stack([name.time for name, _ in named], "time", other[1], entry))
        raise KitError(f"two files of the same image, {other[1].path} and {entry.path}: move one away, or {WRITE_A_TABLE}")


def _stack(numbers: list[int | None], option: str, one: Entry, two: Entry) -> str:
    there = sorted({number for number in numbers if number is not None})
    kind, noun = ("a z-stack", "plane") if option == "plane" else ("a time series", "time point")
    advice = "project it first, or take one plane" if option == "plane" else "take one time point"
    example = f"{one.name} and {two.name}" if one.name != two.name else f"{one.path} and {two.path}"
    numbered = some([str(number) for number in there])
    return f"{kind} of {count(len(there), noun)} ({numbered}), {example}: {advice} with --{option} {there[0]}"


def _none_picked(names: list[ImageName], pick: Pick) -> str:
    for option, wanted, there in (
        ("--plane", pick.plane, {name.plane for name in names}),
        ("--time", pick.time, {name.time for name in names}),
    ):
        if wanted is not None and wanted not in there:
            numbers = sorted(number for number in there if number is not None)
            said = f"its images have {some([str(n) for n in numbers])}" if numbers else "its file names do not say"
            return f"{option} {wanted}: no such image; {said}"
    return f"--plane {pick.plane} --time {pick.time}: no image has both"
