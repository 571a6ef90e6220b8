"""The report of an ingest: per plate what was found, what was missing, what was set aside."""

import statistics
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from kit.config import CHANNELS
from kit.images.ingest.labels import label_notes
from kit.images.ingest.quality import BLURRED
from kit.images.ingest.well import WellRecord
from kit.images.labels import Labels
from kit.images.source.plates import Plate
from kit.images.source.positions import Positions
from kit.words import count, some, typed

FEW_LEVELS = 32  # grey levels between percentiles 0.5 and 99.5 below which a channel is warned of


@dataclass
class PlateReport:
    """One packed plate."""

    barcode: str
    wells: int
    sites: int
    images: int
    kept: int  # images that an earlier ingest had packed
    channels: tuple[str, ...]
    channels_said: str  # their names and groups and where these come from; empty for CPJUMP1's plates
    position_source: str
    positions: str  # the same in a sentence
    unlabelled: str  # why, where it is
    labels: dict[str, str]  # their source, perturbation and control
    label_notes: list[str]
    missing_wells: list[str]
    missing_sites: list[str]
    missing_channels: list[str]
    bad: list[dict]
    gone: list[str]  # paths that were listed and not there
    doubts: list[str]
    ignored: int
    bytes_in: int
    bytes_out: int
    levels: dict[str, int]  # channel -> median grey levels in use
    spread: dict[str, float]  # channel -> median SD of an image's levels, 0 to 1
    saturated: dict[str, int]  # channel -> pixels
    hot: dict[str, int]  # channel -> pixels replaced; empty: not looked for
    constant: int  # images of one value, stored as zeros
    empty: list[str]  # sites without cells, by their contrast
    blurred: list[str]  # sites far less sharp than the plate
    source: str  # the folder from which on files are named in words
    scale: str  # of the store

    @classmethod
    def of(
        cls,
        plate: Plate,
        positions: Positions,
        records: list[WellRecord],
        table: pd.DataFrame,
        labels: Labels,
        kept: int,
        source: str,
        channels_said: str,
        scale: str,
    ) -> "PlateReport":
        """Summarise a plate from its listing, its records and its table."""
        channels = [channel for channel in plate.channels if f"{channel}_levels" in table]
        images = [image for record in records for image in record.images]
        return cls(
            barcode=plate.barcode,
            wells=table["Metadata_Well"].nunique(),
            sites=len(table),
            images=len(images),
            kept=kept,
            channels=plate.channels,
            channels_said=channels_said,
            position_source=positions.source,
            positions=positions.said,
            unlabelled=labels.why_unlabelled(plate.barcode),
            labels=labels.record(plate.barcode),
            label_notes=label_notes(table, plate.barcode, labels),
            missing_wells=sorted(set(labels.listed(plate.barcode)) - set(plate.wells)),
            missing_sites=[f"{well} site {site}" for well, site in plate.missing_sites()],
            missing_channels=[f"{well} site {site} {channel}" for well, site, channel in plate.missing_channels()],
            bad=[bad for record in records for bad in record.bad],
            gone=[path for record in records for path in record.missing],
            doubts=[path for record in records for path in record.doubts],
            ignored=len(plate.ignored),
            bytes_in=sum(record.bytes_in for record in records),
            bytes_out=sum(record.bytes_out for record in records),
            levels={channel: int(table[f"{channel}_levels"].median()) for channel in channels},
            spread={channel: _spread(images, channel) for channel in channels},
            saturated={channel: int(table[f"{channel}_saturated"].sum()) for channel in channels},
            hot={channel: int(table[f"{channel}_hot"].sum()) for channel in channels if f"{channel}_hot" in table},
            constant=sum(image["least"] == image["most"] for image in images),
            empty=_sites(table[table["empty"]]),
            blurred=_sites(table[(table["focus"] < BLURRED) & ~table["empty"]]),
            source=source,
            scale=scale,
        )

    def record(self) -> dict:
        """Return what is kept of it in the plate's table file."""
        kept = ("position_source", "unlabelled", "labels", "bad", "doubts", "bytes_in", "bytes_out")
        return {key: getattr(self, key) for key in kept}

    def text(self) -> str:
        """Return some lines for people."""
        lines = [
            f"{self.barcode}: {count(self.wells, 'well')}, {count(self.sites, 'site')}, {count(self.images, 'image')} of "
            f"{count(len(self.channels), 'channel')}; "
            f"{megabytes(self.bytes_in)} of TIFF became {megabytes(self.bytes_out)}; {self.positions}"
        ]
        if self.kept:
            lines.append(f"  of these, {count(self.kept, 'image')} had been packed by an earlier run")
        if self.unlabelled:
            lines.append(f"  without labels: {self.unlabelled}")
        lines += [f"  {note}" for note in self.label_notes]
        if self.channels_said:
            lines.append(f"  channels: {self.channels_said}")
        lacking = [name for name in CHANNELS if name not in self.channels]
        if lacking and not self.channels_said:
            lines.append(f"  incomplete: no images of {', '.join(lacking)}")
        for what, items in (
            ("well* of the plate map without images", self.missing_wells),
            ("site* missing", self.missing_sites),
            ("image* missing", self.missing_channels),
            ("image* listed but missing", [self._within(path) for path in self.gone]),
            ("bad image* set aside", [f"{self._within(bad['path'])} ({bad['reason']})" for bad in self.bad]),
            ("site* looking empty", self.empty),
            (f"site* with less than {BLURRED:.0%} of the plate's usual sharpness", self.blurred),
            ("image* with SMin/SMaxSampleValue that do not match the pixels", [self._within(path) for path in self.doubts]),
        ):
            if items:
                lines.append(f"  {len(items)} {what.replace('*', '' if len(items) == 1 else 's')}: {some(items)}")
        if self.ignored:
            lines.append(f"  ignored {count(self.ignored, 'TIFF')} with other planes, time points or names")
        if self.constant:
            lines.append(f"  stored as zeros: {count(self.constant, 'image')} of a single value")
        lines += self._scaling()
        if any(self.saturated.values()):
            lines.append(f"  saturated pixels: {_pixels(self.saturated)}")
        if self.hot:
            lines.append(f"  hot pixels replaced: {_pixels(self.hot) or 'none'}")
        return "\n".join(lines)

    def _scaling(self) -> list[str]:
        lines = ["  grey levels in use (median): " + ", ".join(f"{name} {levels}" for name, levels in self.levels.items())]
        lines.append(
            "  SD of an image's levels, 0 to 1 (median): " + ", ".join(f"{name} {sd:.3f}" for name, sd in self.spread.items())
        )
        few = [name for name, levels in self.levels.items() if levels < FEW_LEVELS]
        if few:
            why = ""
            if self.scale == "image":
                why = ": hot pixels or bright specks stretch the scale; with --scale image-robust, in a new --work, they do not"
            lines.append(f"  warning: fewer than {FEW_LEVELS} grey levels in {', '.join(few)}{why}")
        return lines

    def _within(self, path: str) -> str:
        return path.removeprefix(self.source.rstrip("/") + "/")


def _spread(images: list[dict], channel: str) -> float:
    """Return the median over a channel's images of the SD of their levels over 255."""
    own = [(image["pixels"], image["sum8"], image["sumsq8"]) for image in images if image["channel"] == channel]
    return statistics.median((n * squares - total * total) ** 0.5 / n / 255 for n, total, squares in own)


def _pixels(by_channel: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in by_channel.items() if number)


def _sites(rows: pd.DataFrame) -> list[str]:
    return [f"{well} site {site}" for well, site in zip(rows["Metadata_Well"], rows["Metadata_Site"], strict=True)]


@dataclass(frozen=True)
class IngestReport:
    """The report of a whole ingest."""

    work: Path
    plates: list[PlateReport] = field(default_factory=list)  # by barcode
    already: list[str] = field(default_factory=list)  # complete before
    relabelled: dict[str, list[str]] = field(default_factory=dict)  # of these, given other labels now: notes on them
    regrouped: list[str] = field(default_factory=list)  # of these, their channels put into other groups
    unlabelled: list[str] = field(default_factory=list)  # of these, still without labels
    kept_labels: list[str] = field(default_factory=list)  # of these, not in --labels: they keep the labels they had
    strangers: list[str] = field(default_factory=list)  # plates that have labels and are not there
    lacking: list[str] = field(default_factory=list)  # "warning: <plate> has no images of ..."
    failed: list[str] = field(default_factory=list)  # "<plate>: <reason>"
    verified: int = 0  # images that --verify read again
    damaged: list[str] = field(default_factory=list)  # of these
    seconds: float = 0.0
    notes: tuple[str, ...] = ()  # on the source
    dry: bool = False  # what it would be: nothing was written

    def text(self) -> str:
        """Return the report for people."""
        lines = [*self.notes, *(plate.text() for plate in self.plates)]
        if self.already:
            lines.append(f"already packed: {', '.join(self.already)}")
        if self.relabelled:
            done = "labels to be updated" if self.dry else "labels updated, pixels unchanged"
            lines.append(f"{done}: {', '.join(self.relabelled)}")
            lines += [f"  {barcode}: {note}" for barcode, notes in self.relabelled.items() for note in notes]
        if self.regrouped:
            done = "groups of channels to be updated" if self.dry else "groups of channels updated, pixels unchanged"
            lines.append(f"{done}: {', '.join(self.regrouped)}")
        if self.unlabelled:
            lines.append(
                f"without labels: {', '.join(self.unlabelled)}; add them with kit ingest --work {typed(self.work)} "
                "--labels FILE, or --metadata DIR: this updates the tables and reads no image"
            )
        if self.kept_labels:
            lines.append(f"plates not in --labels, which keep the labels they had: {some(self.kept_labels)}")
        if self.strangers:
            lines.append(f"plates in --labels that are not here: {some(self.strangers)}")
        lines += self.lacking
        lines += [f"{failure}; not packed" for failure in self.failed]
        if self.verified:
            lines.append(f"verified: {count(self.verified, 'image')} read again, {len(self.damaged)} damaged")
        images, mb = sum(p.images - p.kept for p in self.plates), sum(p.bytes_in for p in self.plates) / 1e6
        if self.plates:
            lines.append(
                f"{count(images, 'image')} in {self.seconds:.1f} s ({images / max(self.seconds, 1e-9):.0f} images/s, {mb:.0f} MB)"
            )
        return "\n".join([*lines, "nothing was written"] if self.dry else lines)


def megabytes(size: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    for unit, least in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= least:
            return f"{size / least:.1f} {unit}"
    return f"{size / 1e3:.1f} kB"
