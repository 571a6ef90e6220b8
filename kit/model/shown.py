"""How many cells a run trains on and embeds: counted where `kit cells` has found them, else assumed. N sites."""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kit.images.cells.table import CellsOfSites, cells_path, has_cells, read_cells
from kit.images.crops.frames import BACKGROUND
from kit.model.footprint import SITES
from kit.words import count, typed

if TYPE_CHECKING:
    from kit.images.store.work import Work

CELLS_A_SITE = 75  # kit cells finds 602 in eight sites of CPJUMP1
_PLATE = "Metadata_Plate"


@dataclass(frozen=True, slots=True)
class Cells:
    """number: the cells of some sites. shown: squares that are embedded, BACKGROUND where a site has no cell. counted: how."""

    number: int
    shown: int
    counted: str


def cells_shown(work: "Work | None", channels: tuple[str, ...]) -> Cells:
    """Return the cells of the sites with these channels; `work` None: of the 24 compound plates, whose cells nobody counted."""
    if work is None:
        return Cells(CELLS_A_SITE * SITES, CELLS_A_SITE * SITES, f"{CELLS_A_SITE} a site assumed, as in eight sites of CPJUMP1")
    files = [cells_path(work, plate) for plate in work.plates]
    return _counted(work, channels, tuple(file.stat().st_mtime_ns if file.is_file() else 0 for file in files))


@functools.lru_cache(maxsize=4)  # kit plan --fit asks once for every size of the views
def _counted(work: "Work", channels: tuple[str, ...], changed: tuple[int, ...]) -> Cells:
    sites = work.sites_with(channels)
    plates = sorted(set(sites[_PLATE]))
    known = [plate for plate in plates if has_cells(work, plate)]
    there = sites[sites[_PLATE].isin(known)]
    count_N = CellsOfSites.of(there, read_cells(work, known)).count_N.tolist() if known else []
    rest = CELLS_A_SITE * (len(sites) - len(there))
    number, shown = sum(count_N) + rest, sum(n or BACKGROUND for n in count_N) + rest
    if not rest:
        return Cells(number, shown, "as kit cells found them")
    where = f" on {count(len(plates) - len(known), 'plate')}" if known else ""
    return Cells(number, shown, f"{CELLS_A_SITE} a site assumed{where}: kit cells {typed(work.path)} finds them")
