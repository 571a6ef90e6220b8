"""Sites -> vectors: every site of the store through a frozen backbone, or through a baseline. N sites, D features of a part.

WORK/runs/RUN/features/<barcode>.parquet   one row per site: Metadata_Plate, Metadata_Well, Metadata_Site, f0000 ...
WORK/runs/RUN/features/features.json       which columns are which part, and what made them; written last
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from tqdm import tqdm

from kit.errors import KitError, UsageError
from kit.files import existing_file, write_whole
from kit.profiles.by_cell import AS_TRAINED, ByCell, CellChoice
from kit.profiles.intensity import Intensity
from kit.profiles.runs import existing_run, run_config
from kit.profiles.share import Share, join_share
from kit.profiles.table import PLATE, SITE, WELL, read_facts, write_table
from kit.profiles.texture import texture
from kit.progress import progress
from kit.words import count, nearest, some

if TYPE_CHECKING:
    from kit.images.store.work import Work
    from kit.profiles.backbone import Backbone


@dataclass(frozen=True, slots=True)
class Embedded:
    """What was embedded. skipped: sites that lack a channel, "plate well site (channels)"."""

    run: str
    sites: int
    plates: int
    parts: dict[str, list[int]]
    kept: int = 0  # plates that were there already, made by the same weights
    skipped: list[str] = field(default_factory=list)
    note: str = ""  # of the features

    def text(self) -> str:
        """Return a summary line, and lines with the note and the skipped sites if there are any."""
        parts = ", ".join(f"{name} {stop - start}" for name, (start, stop) in self.parts.items())
        line = f"{self.run}: {count(self.sites, 'site')} of {count(self.plates, 'plate')}, features {parts}"
        line += f" ({count(self.kept, 'plate')} already embedded)" if self.kept else ""
        line += f"\n{self.note}" if self.note else ""
        if not self.skipped:
            return line
        return f"{line}\nskipped {count(len(self.skipped), 'site')} for a missing channel: {some(self.skipped)}"


class Source(Protocol):
    """What turns sites into vectors: a `Backbone`, or the statistics of a baseline (`Intensity`, `Texture`)."""

    @property
    def channels(self) -> tuple[str, ...]: ...
    @property
    def parts(self) -> dict[str, list[int]]: ...
    @property
    def facts(self) -> dict[str, Any]: ...
    def embed_sites(self, plate: str, sites: pd.DataFrame, bar: tqdm) -> np.ndarray: ...


def embed(
    work: "Work",
    run: str,
    *,
    weights: Path | None = None,
    baseline: str | None = None,
    channels: tuple[str, ...] = (),
    tiles: str = "whole",
    cells: CellChoice = AS_TRAINED,
    per_channel: bool = False,
) -> Embedded:
    """Write the features of every site that has all channels of the run; a plate made by the same weights is kept.

    Of several processes, as torchrun starts them, each embeds its share of the plates; what it returns is of all of them.

    Args:
        weights: a checkpoint file to take the backbone from instead of the run's newest checkpoint, or a DINOv2 file that
            others published: then the run need not exist, and its patch filters are spread over `channels`.
        baseline: `random`: the run's architecture at its initial random weights, written as RUN-random; `intensity`: mean
            and standard deviation of each channel's 8-bit levels, written as RUN-intensity, and of the camera counts,
            written as RUN-intensity-raw; `texture`: see `texture.Texture`, written as RUN-texture. For these two the run need
            not exist if `channels` are given.
        per_channel: with published weights: each channel by itself, repeated to the file's channels, features concatenated.
        channels: of a run that does not exist yet; or, for a network that takes any channels (model.stem = mixer, model.bag),
            other channels than the run's, or another order: written as RUN-<channels joined by hyphens>.
        tiles: what the network is shown of a site, see `tiling.parse_tiles`; other than `whole` is written as RUN-<tiles>.
        cells: whether cells are shown instead, one by one, see `by_cell.CellChoice`; where a run was trained around cells they
            are, and for any other this is written as RUN-cells.

    Raises:
        UsageError: no such run or weights file, channels that are not the run's, options that exclude each other, or tiles or
            cells for a baseline that is no network, or larger than the sites.
        KitError: no checkpoint, no site with all channels, or a plate whose cells are not known.
    """
    if weights is not None and baseline is not None:
        raise UsageError("--weights and --baseline exclude each other")
    for option, given in ((f"--tiles {tiles}", tiles != "whole"), ("--cells", cells.asked)):
        if given and baseline in ("intensity", "texture"):
            raise UsageError(f"{option} is for a network: --baseline {baseline} measures the whole site")
    if per_channel and weights is None:
        raise UsageError("--per-channel is for published weights: give their file with --weights")
    share = join_share()
    if baseline in ("intensity", "texture"):
        channels = _channels_of(work, run, channels)
    if baseline == "intensity":
        _write_run(work, f"{run}-intensity-raw", Intensity(work, run, channels, raw=True), share)
        return _write_run(work, f"{run}-intensity", Intensity(work, run, channels, raw=False), share)
    if baseline == "texture":
        by_hand = texture(work, run, channels)
        return replace(_write_run(work, f"{run}-texture", by_hand, share), note=by_hand.note)
    from kit.profiles.tiling import parse_tiles  # torch is needed from here on

    tiling = parse_tiles(tiles)
    source = _open(work, run, weights, baseline, channels, per_channel).tiled(tiling)
    name = (f"{run}-random" if baseline == "random" else run) + source.suffix + cells.suffix(source.config.crops)
    by_cell = ByCell.of(source, cells) if cells.shown(source.config.crops) else None
    done = _write_run(work, name, by_cell or source, share, by_cell)
    notes = [by_cell.note()] if by_cell else []
    notes += [f"licence of {weights.name}: {source.facts['licence']}"] if weights and "licence" in source.facts else []
    return replace(done, note="\n".join(notes))


def _open(
    work: "Work", run: str, weights: Path | None, baseline: str | None, channels: tuple[str, ...], per_channel: bool
) -> "Backbone":
    if weights is not None:
        existing_file(weights, "--weights takes a checkpoint of a run, or a published DINOv2 file")
    from kit.model.checkpoint import is_checkpoint  # torch is needed from here on
    from kit.profiles.opening import open_checkpoint, open_published, open_random, open_run

    if baseline == "random":
        return open_random(work, run, channels)
    if weights is None:
        return open_run(work, run, channels)
    if not is_checkpoint(weights):
        return open_published(work, run, weights, channels, per_channel=per_channel)
    if per_channel:
        raise UsageError(f"--per-channel is for published weights: {weights} is a kit checkpoint, which takes its run's channels")
    return open_checkpoint(work, run, weights, channels)


def _channels_of(work: "Work", run: str, channels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the channels of a run, or those given for one that does not exist."""
    if channels and not work.run_folder(run).is_dir():
        return channels
    existing_run(work, run, or_else="name the channels: with --channels this baseline needs no run")
    of_run = run_config(work, run).channels
    if channels and channels != of_run:
        raise UsageError(f"--channels {','.join(channels)}: run {run} takes {','.join(of_run)}")
    return of_run


def _write_run(work: "Work", name: str, source: Source, share: Share, by_cell: "ByCell | None" = None) -> Embedded:
    """Write the features of this process's plates, and when all plates are there, features.json.

    by_cell: the source again where it shows cells: their number is a column of the features.
    """
    facts, parts = source.facts, source.parts
    folder = work.run_folder(name) / "features"
    what_made_them = {key: value for key, value in facts.items() if key != "licence"} | {"parts": parts}
    made_by = hashlib.sha256(json.dumps(what_made_them, sort_keys=True).encode()).hexdigest()
    sites, skipped = _complete_sites(work, source.channels)
    if share.first:
        _drop_others(folder, made_by)
    share.meet()
    plates = [(folder / f"{plate}.parquet", rows) for plate, rows in sites.groupby(PLATE, sort=True)]
    lacking = [(path, rows) for path, rows in plates if not (path.is_file() and read_facts(path)["sites"] == len(rows))]
    if by_cell:
        by_cell.begin(work.run_folder(name), made_by)
        waiting = {path for path, _ in lacking}
        lacking = [(path, rows) for path, rows in plates if path in waiting or not by_cell.has_kept(path.stem)]
    share.meet()  # every process has seen the same files lacking before one of them writes
    names = tuple(f"f{index:04d}" for index in range(max(stop for _, stop in parts.values())))
    mine = share.of(lacking)
    label = f"embed {name}" if share.world == 1 else f"embed {name}, process 1 of {share.world}"
    with progress(total=sum(len(rows) for _, rows in mine), label=label, unit="site", shown=share.first) as bar:
        for path, rows in mine:
            who = rows[[PLATE, WELL, SITE]].reset_index(drop=True)
            who = by_cell.with_counts(path.stem, who) if by_cell else who
            about = {"schema": 1, "rows": "sites", "made_by": made_by, "sites": len(rows)}
            write_table(who, source.embed_sites(path.stem, rows, bar), names, path, about)
    share.meet()
    if share.first:
        record = {"schema": 1, "run": name, "parts": parts, "made_by": made_by, **facts, "sites_lacking_a_channel": len(skipped)}
        write_whole(folder / "features.json", json.dumps(record, indent=1) + "\n")
    return Embedded(name, len(sites), len(plates), parts, len(plates) - len(lacking), skipped)


def _drop_others(folder: Path, made_by: str) -> None:
    """Delete features of other weights, which must not mix with these, and the record, which is written last."""
    stale = [path for path in folder.glob("*.parquet") if _made_by(path) != made_by]
    for path in [*stale, folder / "features.json"]:
        path.unlink(missing_ok=True)


def _made_by(path: Path) -> str | None:
    try:
        return read_facts(path).get("made_by")
    except KitError:
        return None  # damaged: to be made again


def _complete_sites(work: "Work", channels: tuple[str, ...]) -> tuple[pd.DataFrame, list[str]]:
    """Return the sites that have all channels, by plate, and what the others lack."""
    unknown = [name for name in channels if name not in work.channels]
    if unknown:
        there = f"{nearest(unknown[0], work.channels)}; it has {', '.join(work.channels)}"
        raise UsageError(f"{work.path} has no channel {unknown[0]}{there}")
    sites = work.sites_with(channels)
    if sites.empty:
        raise KitError(f"no site of {work.path} has all of the channels {', '.join(channels)}")
    others = work.sites.drop(index=sites.index)[[PLATE, WELL, SITE, "channels"]]
    skipped = [
        f"{plate} {well} site {site} ({', '.join(name for name in channels if name not in there.split(','))})"
        for plate, well, site, there in others.itertuples(index=False, name=None)
    ]
    return sites, skipped
