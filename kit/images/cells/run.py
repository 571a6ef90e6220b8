"""kit cells: the cells of every plate, found in its pixels or as another tool's table says. A plate is the unit of resuming."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm import tqdm

from kit.errors import KitError, UsageError
from kit.images.cells.find import Finder, finder
from kit.images.cells.locations import read_locations
from kit.images.cells.table import WHO, has_cells, read_cells, write_cells
from kit.progress import progress
from kit.words import count, some

if TYPE_CHECKING:
    from kit.images.store.work import Work

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CellsReport:
    """What `kit cells` has done. how: where the cells come from; kept: plates that had them already; notes: further lines."""

    how: str
    plates: list[str]  # a line each
    kept: int
    notes: list[str]

    def text(self) -> str:
        """Return the lines for people."""
        kept = [f"{count(self.kept, 'plate')} had them already"] if self.kept else []
        return "\n".join([self.how, *self.plates, *kept, *self.notes])


def find_cells(
    work: "Work", *, nuclei: str | None = None, bodies: str | None = None, plates: Sequence[str] = (), jobs: int = 1
) -> CellsReport:
    """Find the cells of the plates in their pixels and write `table.cells_path` of each; plates that have them are kept.

    Args:
        nuclei, bodies: channels, see `find.finder`. plates: only these. jobs: threads, a site each.

    Raises:
        UsageError: no such channel or plate. KitError: no plate has a cell.
    """
    chosen = work.only(plates) if plates else work
    how = finder(chosen, nuclei, bodies)
    sites = chosen.sites_with(how.channels)
    lacking = [plate for plate in chosen.plates if plate not in set(sites["Metadata_Plate"])]
    there = [plate for plate in chosen.plates if plate not in lacking]
    waiting = [plate for plate in there if not has_cells(work, plate, how.about)]
    rows = sites[sites["Metadata_Plate"].isin(waiting)]
    with progress(total=len(rows), label=f"cells of {how.nuclei}", unit="site", shown=bool(waiting)) as bar:
        for plate in waiting:
            _find_plate(work, plate, rows[rows["Metadata_Plate"] == plate], how, bar, jobs)
    squares = f", squares of {how.square} x {how.square} px added up" if how.square > 1 else ""
    said = f"nuclei of {how.nuclei}{f', bodies of {how.bodies}' if how.bodies else ''}{squares}"
    notes = [f"without {' or '.join(how.channels)}, so without cells: plate {some(lacking)}"] if lacking else []
    return _report(work, said, there, len(there) - len(waiting), notes)


def place_cells(
    work: "Work", locations: Path, *, images: Path | None = None, site_px: int | None = None, plates: Sequence[str] = ()
) -> CellsReport:
    """Take the cells of the plates from another tool's table, see `locations.read_locations`; they replace those found before.

    Raises:
        UsageError: no such file or plate, or a missing option. KitError: the table cannot be used or does not fit the store.
    """
    chosen = work.only(plates) if plates else work
    found = read_locations(chosen, locations, images, site_px)
    there = sorted(set(found.cells["Metadata_Plate"]))
    waiting = [plate for plate in there if not has_cells(work, plate, found.about)]
    for plate in waiting:
        write_cells(work, plate, found.cells[found.cells["Metadata_Plate"] == plate], found.about)
    others = [plate for plate in chosen.plates if plate not in there]
    notes = [*found.notes, *([f"no row of plate {some(others)}: its cells are as before, or unknown"] if others else [])]
    return _report(work, f"cells of {locations.name}", there, len(there) - len(waiting), notes)


def _find_plate(work: "Work", plate: str, sites: pd.DataFrame, how: Finder, bar: tqdm, jobs: int) -> None:
    keys = list(sites[WHO].itertuples(index=False, name=None))

    def cells_of(key: tuple[str, str, int]) -> pd.DataFrame | None:
        try:
            site_CHW = work.read_site(*key, channels=how.channels)
        except KitError as error:
            log.warning("no cells of plate %s well %s site %s: %s", *key, error)
            return None
        cells = how(site_CHW)
        for place, name in enumerate(WHO):
            cells.insert(place, name, key[place])
        return cells

    pool, tables = ThreadPoolExecutor(jobs), []
    try:
        for table in pool.map(cells_of, keys):
            tables.append(table)
            bar.update(1)
    finally:
        pool.shutdown(cancel_futures=True)  # a Ctrl-C ends it within a site
    read = [table for table in tables if table is not None]
    if not read:
        raise KitError(f"plate {plate}: none of its {count(len(keys), 'site')} could be read")
    cells = pd.concat(read, ignore_index=True).astype({WHO[2]: "int64"})  # those of a site without cells have no type
    write_cells(work, plate, cells, how.about, len(keys) - len(read))


def _report(work: "Work", how: str, plates: list[str], kept: int, notes: list[str]) -> CellsReport:
    if not plates:
        raise UsageError(f"{work.path}: no plate to find cells on; {'; '.join(notes) or 'it has no complete plate'}")
    cells = read_cells(work, plates)
    if cells.empty:
        raise KitError(f"{how}: not one cell in {count(len(plates), 'plate')}; is it the channel of the nuclei?")
    return CellsReport(how, [_line(work, plate, cells[cells["Metadata_Plate"] == plate]) for plate in plates], kept, notes)


def _line(work: "Work", plate: str, cells: pd.DataFrame) -> str:
    sites = work.sites[work.sites["Metadata_Plate"] == plate][WHO]
    of_site = cells.groupby(WHO).size().reindex(pd.MultiIndex.from_frame(sites), fill_value=0).to_numpy()
    least, median, most = np.percentile(of_site, [0, 50, 100]).astype(int).tolist()
    empty = int((of_site == 0).sum())
    without = f"; {count(empty, 'site')} without a cell" if empty else ""
    return f"{plate}: {count(len(cells), 'cell')} in {count(len(sites), 'site')}, {median} a site ({least} to {most}){without}"
