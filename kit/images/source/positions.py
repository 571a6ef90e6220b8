"""Positions of sites in their well, in micrometres from its centre (x right, y up), and where they came from.

Sources, the first that covers the plate wins: load_data, Index.idx.xml, tag 65500 of any image of the plate, the --layout file,
another plate of the same batch and plate map. Field numbers alone do not suffice: layouts differ between plates.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from kit.errors import UsageError
from kit.images.source.folders import Folder, ImageFile, Reader, open_file
from kit.images.source.layout_xml import read_index, read_tag
from kit.images.source.load_data import find_load_data, positions_um, read_load_data

Point = tuple[float, float]  # micrometres
_SAME = 1.0  # um: stages repeat to well below this


@dataclass(frozen=True)
class Positions:
    """The site positions of one plate: per well and site if known, else per field number."""

    source: str = "none"
    sites: dict[tuple[str, int], Point] = field(default_factory=dict)
    fields: dict[int, Point] = field(default_factory=dict)

    def of(self, well: str, site: int) -> Point:
        """Return (x_um, y_um), NaN where unknown."""
        return self.sites.get((well, site)) or self.fields.get(site) or (float("nan"), float("nan"))

    @property
    def said(self) -> str:
        """The source as a phrase for messages."""
        if self.source == "none":
            return "no site positions"
        read_from = {"tag 65500": "the TIFF's microscope metadata", "layout file": "the --layout file"}
        return f"site positions read from {read_from.get(self.source, self.source)}"

    def speak_of(self, sites: Iterable[tuple[str, int]]) -> bool:
        """Return whether any of the sites has a position."""
        return any(key in self.sites or key[1] in self.fields for key in sites)


def from_load_data(folders: list[Folder], barcode: str, reader: Reader) -> Positions | None:
    """Return the positions that a load_data file in one of the folders gives the plate, or None."""
    file = find_load_data(folders, barcode)
    return from_table(read_load_data(file, reader), barcode) if file else None


def from_table(table: pd.DataFrame, barcode: str) -> Positions | None:
    """Return the positions of a plate's rows of a load_data table, or None where it has none."""
    table = table[table["plate"].isin((barcode, ""))]
    points = positions_um(table, barcode)
    if points is None:
        return None
    known = points.notna().all(axis=1)
    keys = zip(table["well"][known], table["site"][known], strict=True)
    sites = dict(zip(keys, points[known].itertuples(index=False, name=None), strict=True))
    return Positions("load_data", sites, common_layout(sites)) if sites else None


def from_index(file: ImageFile, reader: Reader) -> Positions | None:
    """Return the positions of an Index.idx.xml, or None where it lists none."""
    with open_file(reader, file) as xml:
        sites = read_index(xml, file.path)
    return Positions("Index.idx.xml", sites, common_layout(sites)) if sites else None


def from_tag(tags: Iterable[bytes]) -> Positions | None:
    """Return the positions of the first acquisition XML that holds a layout; one lists the fields of the whole plate."""
    for xml in tags:
        layouts, wells = read_tag(xml)
        if layouts:
            sites = {(well, number): point for well, index in wells.items() for number, point in layouts[index].items()}
            return Positions("tag 65500", sites if len(layouts) > 1 else {}, layouts[0])
    return None


def from_layout_file(path: Path, barcode: str) -> Positions | None:
    """Return the positions of a --layout file: a CSV of field (or Metadata_Site), x_um and y_um (or position_x_m, position_y_m).

    With a column `plate`, only its rows of this plate count.

    Raises:
        UsageError: no such file, or a column is missing or not a number.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UsageError(f"--layout {path}: {error}") from error
    if "plate" in table:
        table = table[table["plate"] == barcode]
    number = next((column for column in ("field", "Metadata_Site", "site") if column in table), None)
    scale = 1.0 if "x_um" in table else 1e6
    columns = ["x_um", "y_um"] if "x_um" in table else ["position_x_m", "position_y_m"]
    if number is None or not set(columns) <= set(table):
        raise UsageError(f"--layout {path}: need the columns field, x_um and y_um; it has {', '.join(map(str, table))}")
    points = table[[number, *columns]].apply(pd.to_numeric, errors="coerce")
    if points.isna().any(axis=None):
        raise UsageError(f"--layout {path}: every row needs a field number, x and y")
    fields = {int(n): (x * scale, y * scale) for n, x, y in points.itertuples(index=False)}
    return Positions("layout file", {}, fields) if fields else None


def from_other_plates(sites: list[tuple[str, int]], others: dict[str, Callable[[], Positions | None]]) -> Positions | None:
    """Return the layout of another plate that covers these sites' field numbers; `others` share its batch and plate map.

    A plate with as few fields as possible beyond ours is preferred: nine fields of a sixteen-field plate may be elsewhere.
    Where the best ones disagree the layout of most of them is taken, and none without a majority.
    """
    needed = {site for _, site in sites}
    layouts = {}
    for barcode, find in others.items():
        found = find()
        if found and needed <= found.fields.keys():
            layouts[barcode] = found.fields
    if not layouts:
        return None
    fewest = min(len(fields) for fields in layouts.values())
    best = {barcode: _rounded(fields) for barcode, fields in layouts.items() if len(fields) == fewest}
    (layout, votes), *_ = Counter(best.values()).most_common(1)
    if votes * 2 <= len(best) and len(set(best.values())) > 1:
        return None
    barcode = min(barcode for barcode, fields in best.items() if fields == layout)
    return Positions(f"plate {barcode}", {}, layouts[barcode])


def common_layout(sites: dict[tuple[str, int], Point]) -> dict[int, Point]:
    """Return field -> position for the fields with the same position in all wells."""
    layout: dict[int, Point] = {}
    unlike = set()
    for (_, number), point in sorted(sites.items()):
        first = layout.setdefault(number, point)
        if max(abs(first[0] - point[0]), abs(first[1] - point[1])) > _SAME:
            unlike.add(number)
    return {number: point for number, point in layout.items() if number not in unlike}


def index_beside(folder: Folder) -> ImageFile | None:
    """Return the Index.idx.xml of an Images folder: in it or above it."""
    return folder.file("Index.idx.xml") or folder.parent.file("Index.idx.xml")


def _rounded(fields: dict[int, Point]) -> tuple:
    return tuple((number, round(x / _SAME), round(y / _SAME)) for number, (x, y) in sorted(fields.items()))
