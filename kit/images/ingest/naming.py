"""What an ingest calls the channels of a plate: --channel-names, CPJUMP1's names for CPJUMP1's plates, or as they come."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from kit.config import CHANNELS
from kit.config.channels import ALL
from kit.errors import KitError, UsageError
from kit.images.metadata import Metadata
from kit.images.names import order_channels
from kit.images.source.plates import Plate
from kit.images.store.container import open_container

Names = Mapping[str, str] | Literal["cpjump1"]  # name in the source -> name in the store, or CPJUMP1's

CPJUMP1: Literal["cpjump1"] = "cpjump1"
OPTION = "--channel-names"
_OFFICIAL = {f"ch{number}": name for number, name in enumerate(CHANNELS, start=1)}
_NUMBERED = re.compile(r"ch\d+")
_USABLE = re.compile(r"\w([\w .()#-]*[\w.()#-])?")
_MADE = re.compile(r"MADE\d{4,}")  # see kit.images.phantom.files
# The 51 plates of CPJUMP1, by the numbers of their barcodes; those imaged again for bleaching have a letter behind it.
_BARCODE = re.compile(r"BR00(\d{6})[A-F]?")
_CPJUMP1_PLATES = ((116991, 117006), (117008, 117013), (117015, 117017), (117019, 117026), (117050, 117055), (118039, 118050))


@dataclass(frozen=True, slots=True)
class Naming:
    """The names of one plate's channels: name in the source -> name in the store, in kit's order, and where they come from."""

    names: dict[str, str]
    source: str
    official: bool = False  # a plate of CPJUMP1 under CPJUMP1's names, which has eight channels
    unnamed: bool = False  # chN stays chN, and nobody asked for that

    @property
    def channels(self) -> tuple[str, ...]:
        """The names in the store."""
        return tuple(self.names.values())

    def text(self) -> str:
        """Return the names and where they come from, for people."""
        pairs = (name if own == name else f"{own} = {name}" for own, name in self.names.items())
        return f"{', '.join(pairs)} ({self.source})"


def parse_names(text: str) -> Names:
    """Return the names of `ch1=DNA,ch2=Actin`, or "cpjump1".

    Raises:
        UsageError: it is neither, or names a channel twice.
    """
    if text.strip().lower() == CPJUMP1:
        return CPJUMP1
    names: dict[str, str] = {}
    for pair in text.split(","):
        own, equals, name = (part.strip() for part in pair.partition("="))
        if not (own and equals and name):
            raise UsageError(
                f"{OPTION} {text!r}: {pair.strip()!r} is no pair: need chN=NAME, separated by commas (names cannot contain one), "
                f"or {CPJUMP1}"
            )
        if own in names:
            raise UsageError(f"{OPTION} {text!r} names {own} twice: {names[own]} and {name}")
        names[own] = name
    check_names(names)
    return names


def check_names(names: Names) -> None:
    """Check names as they were asked for.

    Raises:
        UsageError: one cannot be used, or two channels get the same.
    """
    if isinstance(names, str):
        if names != CPJUMP1:
            raise UsageError(f"{OPTION} {names!r}: need pairs of name in the source and name in the store, or {CPJUMP1}")
        return
    owners: dict[str, str] = {}
    for own, name in names.items():
        if not _USABLE.fullmatch(name) or name == ALL or name.startswith("Metadata"):
            need = "letters, digits, spaces and . _ - ( ) #; not all, nor Metadata..."
            raise UsageError(f"{OPTION} {own}={name}: {name!r} cannot be a channel's name: need {need}")
        if name in owners:
            raise UsageError(f"{OPTION} calls {owners[name]} and {own} both {name}: give each channel a name of its own")
        owners[name] = own


def name_channels(
    plate: Plate, asked: Names | None, metadata: Metadata | None, *, numbered: bool, says: str | None = None
) -> tuple[Plate, Naming]:
    """Return the plate with its channels under the names that the store gives them, and what these are.

    Args:
        asked: --channel-names.
        numbered: the plate's file names number its channels, so that chN says nothing but N; False: a table names them.
        says: where its own names come from, in words; None: from the file names, or the load_data table.

    Raises:
        KitError: CPJUMP1's names were asked for and no channel is ch1 to ch8; two channels get one name; or a table's name
            cannot be used.
    """
    own, why = plate.channels, _why_cpjump1(plate.barcode, asked, metadata)
    by_number = bool(why) and (numbered or asked == CPJUMP1)
    names = {channel: _OFFICIAL.get(channel, channel) if by_number else channel for channel in own}
    if asked == CPJUMP1 and not set(own) & set(_OFFICIAL):
        raise KitError(f"{OPTION} {CPJUMP1} names ch1 to ch8; its channels are {', '.join(own)}")
    source = (
        f"CPJUMP1's names: {why}" if by_number else says or ("as in the file names" if numbered else "as in the load_data table")
    )
    if isinstance(asked, Mapping):
        given = {channel: asked[channel] for channel in own if channel in asked}
        names |= given
        source = OPTION if len(given) == len(own) else f"{', '.join(given)} by {OPTION}, the others {source}" if given else source
    _check_plate(names)
    images = {key: {names[channel]: files[channel] for channel in own if channel in files} for key, files in plate.images.items()}
    by_name = {name: channel for channel, name in names.items()}
    ordered = {by_name[name]: name for name in order_channels(by_name)}
    unnamed = asked is None and numbered and any(_NUMBERED.fullmatch(name) for name in ordered.values())
    official = bool(why) and set(by_name) <= set(CHANNELS)
    return replace(plate, images=images), Naming(ordered, source, official, unnamed)


def how_to_name(barcode: str, naming: Naming) -> str:
    """Return the warning that the channels of a plate have numbers for names, with the option that names them."""
    example = ",".join(f"{own}=NAME{number}" for number, own in enumerate(naming.names, start=1))
    return (
        f"the channels of plate {barcode} are called {', '.join(naming.channels)}, as in its file names; a packed plate keeps "
        f"its names, so give them now: {OPTION} {example} (or {OPTION} {CPJUMP1}: ch1 to ch8 are Mito to Brightfield)"
    )


def lacking_channels(of_plates: Mapping[str, tuple[str, ...]], there: Mapping[str, str]) -> list[str]:
    """Return a line for each plate without any image of a channel that another plate has.

    Args:
        of_plates: plate -> its channels; those of CPJUMP1 are compared with its eight channels instead.
        there: channel -> a plate of the store that has it.
    """
    owners = dict(there)
    for plate, channels in of_plates.items():
        owners |= {channel: plate for channel in channels if channel not in owners}
    lacking = {plate: [name for name in owners if name not in channels] for plate, channels in of_plates.items()}
    return [
        f"warning: {plate} has no images of {', '.join(names)}, which {owners[names[0]]} has"
        for plate, names in lacking.items()
        if names
    ]


def check_packed(barcode: str, folder: Path, asked: Names | None) -> None:
    """Check that a packed plate in the store's `folder` of plates has the names that were asked for.

    Raises:
        UsageError: it has others, and only packing it again would change them.
    """
    names = _OFFICIAL if asked == CPJUMP1 else asked
    if not isinstance(names, Mapping):
        return
    try:
        there = open_container(folder / f"{barcode}.zarr").channels
    except KitError:
        return  # damaged: whoever opens the plate is told
    if any(own in there and name != own for own, name in names.items()) or not set(names.values()) & set(there):
        raise UsageError(
            f"{OPTION}: plate {barcode} is packed with the channels {', '.join(there)}, and packing it again is the only way to "
            f"rename them: delete {folder / barcode}.parquet and .zarr, or leave it out with --plates"
        )


def _why_cpjump1(barcode: str, asked: Names | None, metadata: Metadata | None) -> str:
    """Return why ch1 to ch8 of a plate are CPJUMP1's channels; empty where nothing says so."""
    if asked == CPJUMP1:
        return f"{OPTION} {CPJUMP1}"
    if metadata is not None and metadata.is_known(barcode):
        return "the plate is in experiment-metadata.tsv"
    number = _BARCODE.fullmatch(barcode)
    if number and any(first <= int(number[1]) <= last for first, last in _CPJUMP1_PLATES):
        return "the barcode is one of its plates"
    return "a made plate" if _MADE.fullmatch(barcode) else ""


def _check_plate(names: dict[str, str]) -> None:
    """Check the names that a plate's channels end up with: a table's own are used as they are."""
    owners: dict[str, str] = {}
    for own, name in names.items():
        if not name or "," in name or name.startswith("Metadata"):
            raise KitError(f"{name!r} cannot be a channel's name (empty, a comma, or Metadata...): rename its column")
        if name in owners:
            raise KitError(f"{owners[name]} and {own} are both called {name}: rename one with {OPTION} {own}=...")
        owners[name] = own
