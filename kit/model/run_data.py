"""What a run owns of the store: the plates it draws from, their sites as they are packed, and what was computed over them.

It is resolved when the run starts and kept in WORK/runs/RUN/data.json and in every checkpoint. A resumed run reads it back and
compares it with the store: additions change nothing, removed or repacked sites are refused. C channels.
"""

import json
import logging
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from kit.config import RunConfig
from kit.errors import KitError
from kit.files import write_whole
from kit.images.cells.table import CellsOfSites, read_cells
from kit.images.crops.sampling import WHO, sites_to_draw
from kit.images.store.work import Work
from kit.model.channel_stats import channel_stats
from kit.model.knn import Validation, choose_wells
from kit.words import count, some

log = logging.getLogger(__name__)

SCHEMA = 1
LEVELS = ("black", "white", "sum8", "sumsq8")  # of an image's levels, the same for a store of 8 and of 16 bits
DIGITS = 8  # of a CRC-32
WAY_OUT = "restore the store as it was, or start a new run"
Site = tuple[str, str, int]  # plate, well, site


@dataclass(frozen=True)
class RunData:
    """What a run owns, in the plain values of its JSON file."""

    plates: list[str]
    sites: int  # that have all channels of the run
    mean: list[float]  # [C] of the levels / 255, over all stored sites of the plates
    sd: list[float]
    store: dict  # how the plates were packed: store.toml
    lines: dict[str, str]  # plate -> cell line, where crops.balance or batch_of deals by it
    knn: list[list] | None  # plate, well, site and label of the sites the online k-NN looks at
    pixels: dict[str, dict[str, str]]  # plate -> well -> "site:fingerprint ..." of the sites that are drawn
    cells: str = ""  # a digest of the places of their cells, where crops.around = cell

    def fingerprints(self) -> dict[Site, str]:
        """Return site -> 8 hexadecimal digits for its levels and 8 for its pixels as they are stored, which `bits` changes."""
        pairs = (
            (plate, well, pair.split(":"))
            for plate, wells in self.pixels.items()
            for well in wells
            for pair in wells[well].split()
        )
        return {(plate, well, int(site)): text for plate, well, (site, text) in pairs}

    def validation(self) -> Validation | None:
        """Return the sites of the online k-NN; None without any."""
        return None if self.knn is None else Validation.of(self.knn)


def resolve(work: Work, config: RunConfig) -> RunData:
    """Return what a run of `config` that starts now owns; `work` holds the run's plates alone.

    Raises:
        KitError: no site has all the channels.
    """
    drawn = sites_to_draw(work, config.crops, config.channels)
    if lacking := [plate for plate in work.plates if plate not in set(drawn["Metadata_Plate"])]:
        log.warning("left out, as they lack a channel of %s: %s", ",".join(config.channels), some(lacking))
    sites = work.sites[~work.sites["Metadata_Plate"].isin(lacking)]
    if few := len(sites) - len(sites.index.intersection(work.sites_with(config.channels).index)):
        log.warning("left out, %s without a channel of %s", count(few, "site"), ",".join(config.channels))
    mean_C, sd_C = channel_stats(work, config)
    validation = choose_wells(work, config) if config.train.knn_epochs else None
    by_line = config.crops.dealt_by[1] == "cell_lines"
    return RunData(
        plates=work.plates,
        sites=len(drawn),
        mean=mean_C.tolist(),
        sd=sd_C.tolist(),
        store=asdict(work.settings),
        lines=dict(zip(drawn["Metadata_Plate"], drawn["group"], strict=True)) if by_line else {},
        knn=validation.rows() if validation else None,
        pixels=_fingerprint(work.sites.loc[drawn.index], config.channels),
        cells=_cells(work, drawn) if config.crops.around == "cell" else "",
    )


def _fingerprint(sites: pd.DataFrame, channels: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Return RunData.pixels of rows of the site table."""

    def crc(columns: Iterable[str]) -> list[str]:
        rows = np.ascontiguousarray(sites[list(columns)].to_numpy(np.int64), dtype="<i8")
        return [f"{zlib.crc32(row):0{DIGITS}x}" for row in rows]

    levels = crc(f"{channel}_{name}" for channel in channels for name in LEVELS)
    stored = crc(f"{channel}_crc" for channel in channels)
    found: dict[str, dict[str, list[str]]] = {}
    for plate, well, site, first, last in zip(*(sites[column] for column in WHO), levels, stored, strict=True):
        found.setdefault(plate, {}).setdefault(well, []).append(f"{site}:{first}{last}")
    return {plate: {well: " ".join(texts) for well, texts in wells.items()} for plate, wells in found.items()}


def _cells(work: Work, sites: pd.DataFrame) -> str:
    cells = CellsOfSites.of(sites, read_cells(work, sorted(set(sites["Metadata_Plate"]))))
    return f"{zlib.crc32(cells.place_K2.tobytes(), zlib.crc32(cells.count_N.tobytes())):0{DIGITS}x}"


def own(run: str, work: Work, config: RunConfig, record: dict | None) -> RunData:
    """Return what a run owns: its record, checked against the store; or resolved now, if the run is new.

    Args:
        record: of the run's newest checkpoint; None without any.

    Raises:
        UsageError: a plate that is not in the store.
        KitError: what the run owns is gone or packed otherwise; a checkpoint without a record of it, from other plates.
    """
    folder = work.run_folder(run)
    if record and "data" in record:
        data = from_dict(record["data"], where=f"a checkpoint of {folder}")
    elif (folder / "run.toml").is_file() and (folder / "data.json").is_file():
        data = read(folder)
    else:
        data = resolve(work.only(config.plates or work.plates), config)
        return _adopt(run, data, work, config, record) if record else data
    changed = what_changed(data, work, config)
    if changed:
        raise KitError(f"run {run} cannot continue: {changed}; {WAY_OUT}")
    return data


def _adopt(run: str, data: RunData, work: Work, config: RunConfig, record: dict) -> RunData:
    """Return what a run owns whose checkpoint has no record of it: kit then took mean and sd over all plates of the store."""
    exactly = record["mean"], record["sd"]
    for plates in (data.plates, work.plates):
        if tuple(np.float32(values).tolist() for values in work.only(plates).channel_stats(config.channels)) == exactly:
            return replace(data, mean=record["mean"], sd=record["sd"])
    raise KitError(
        f"run {run} cannot continue: its checkpoint does not record its plates, and those in {work.path} give a different "
        f"mean and sd; {WAY_OUT}"
    )


def what_changed(data: RunData, work: Work, config: RunConfig) -> str:
    """Return in one line how the store differs from what a run owns; empty if it does not."""
    gone = [plate for plate in data.plates if plate not in work.plates]
    if gone:
        return f"plate {gone[0]}, which it trains on, is no longer in {work.path}"
    as_stored = {"high_pass_fluorescence": 0, "high_pass_brightfield": 0, "clip_percentiles": (0.0, 100.0), "clahe": False}
    views = replace(config.views, **as_stored)  # type: ignore[arg-type]  # mean and sd are not compared
    now = resolve(work.only(data.plates), replace(config, views=views, train=replace(config.train, knn_epochs=0)))
    both = data.lines.keys() & now.lines.keys()
    line = min((plate for plate in both if data.lines[plate] != now.lines[plate]), default=None)
    if line:
        was, became = (lines[line] or "none" for lines in (data.lines, now.lines))
        return f"crops.{config.crops.dealt_by[0]} = cell_lines, and the cell line of plate {line} changed from {was} to {became}"
    if data.cells != now.cells:
        return f"crops.around = cell, and the cells of {work.path} are not those that it began with"
    digits = DIGITS if data.store["bits"] != now.store["bits"] else 2 * DIGITS
    return _other_sites(data.fingerprints(), now.fingerprints(), digits)


def _other_sites(before: dict[Site, str], now: dict[Site, str], digits: int) -> str:
    gone = [site for site in before if site not in now]
    other = [site for site in before if site in now and before[site][:digits] != now[site][:digits]]
    new = [site for site in now if site not in before]
    kinds = {
        "is missing, or lacks a channel": gone,
        "was repacked with different pixels": other,
        "was added after the run started": new,
    }
    for what, sites in kinds.items():
        if sites:
            plate, well, site = sites[0]
            more = f" (and {len(sites) - 1} more)" if len(sites) > 1 else ""
            return f"plate {plate} well {well} site {site} {what}{more}"
    return ""


def write(folder: Path, data: RunData) -> None:
    """Write the run's data.json."""
    write_whole(folder / "data.json", json.dumps(to_dict(data), indent=1) + "\n")


def read(folder: Path) -> RunData:
    """Return what the run's data.json holds.

    Raises:
        KitError: it is damaged.
    """
    path = folder / "data.json"
    try:
        return from_dict(json.loads(path.read_text()), where=str(path))
    except ValueError as error:
        raise KitError(f"{path} is damaged: {error}") from error


def to_dict(data: RunData) -> dict:
    """Return plain values, ready for JSON."""
    return {"schema": SCHEMA, **asdict(data)}


def from_dict(table: dict, *, where: str) -> RunData:
    """Return what `to_dict` gave, back from JSON; `where` names the source in errors.

    Raises:
        KitError: it is damaged, or of another version.
    """
    try:
        values = dict(table)
        schema = values.pop("schema")
        if schema != SCHEMA:
            raise KitError(f"{where} has data of schema {schema}; this version of kit reads {SCHEMA}")
        return RunData(**values)
    except (KeyError, TypeError) as error:
        raise KitError(f"{where} is damaged: {error}") from error
