"""The places of cells as CellProfiler writes them, in CSV or parquet: read, joined to the store's sites, checked.

A row is an object. Its place is Nuclei_Location_Center_X/_Y (pycytominer, ExportToDatabase) or Location_Center_X/_Y
(ExportToSpreadsheet), pixels from the centre of the first one; its site Metadata_Plate, Metadata_Well and Metadata_Site, with or
without Image_ before. Where it has none of these, its ImageNumber (and TableNumber) names a row of the image table that has them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl

from kit.errors import KitError, UsageError
from kit.files import existing_file, file_sha256
from kit.images.cells.table import WHO
from kit.images.names import normalise_wells
from kit.words import count, nearest, some

if TYPE_CHECKING:
    from kit.images.store.work import Work

_PLATE, _WELL, _SITE = WHO
_SITES = {
    _PLATE: ("Metadata_Plate", "Image_Metadata_Plate"),
    _WELL: ("Metadata_Well", "Image_Metadata_Well"),
    _SITE: ("Metadata_Site", "Image_Metadata_Site", "Metadata_Field", "Image_Metadata_Field"),
}
_PLACES = {
    axis: tuple(f"{before}Location_Center_{axis.upper()}" for before in ("Nuclei_", "Metadata_Nuclei_", "", "Cells_"))
    for axis in ("y", "x")
}
_AREAS = ("Nuclei_AreaShape_Area", "AreaShape_Area")
_KEYS = ("TableNumber", "ImageNumber")


@dataclass(frozen=True, slots=True)
class Located:
    """cells: WHO, y, x and area_px where it is known, sorted. about: where they come from. notes: lines for people."""

    cells: pd.DataFrame
    about: dict[str, Any]
    notes: list[str]


def read_locations(work: "Work", path: Path, images: Path | None = None, site_px: int | None = None) -> Located:
    """Return the cells of a table that lie in the store's sites.

    Args:
        work: the plates to take; the rows of others are left out.
        path: CSV (.csv, .csv.gz, .tsv) or parquet. images: the image table, by ImageNumber.
        site_px: the longer side of the images that the places are in; None: as stored.

    Raises:
        UsageError: no such file; an image table or `site_px` is needed, or not.
        KitError: a table lacks a column; a well or site is not in the store; a place is no number or outside its site.
    """
    rows = _read_rows(path, images)
    if _PLATE not in rows:
        if len(work.plates) != 1:
            raise UsageError(f"{path} has no column Metadata_Plate: name the one plate it is of with --plates")
        rows[_PLATE] = work.plates[0]
    rows[_PLATE] = rows[_PLATE].str.strip()
    others = sorted(set(rows[_PLATE]) - set(work.plates))
    kept = rows[rows[_PLATE].isin(work.plates)].copy()
    if kept.empty:
        there = f"{nearest(others[0], work.plates)}; it has {some(work.plates)}" if others else ""
        raise KitError(f"{path} has no row of a plate of {work.path}: its plates are {some(others) or 'none'}{there}")
    kept[_WELL] = normalise_wells(kept[_WELL], path)
    kept[_SITE] = _whole_numbers(kept[_SITE], _SITE, path)
    _check_sites(work, kept, path)
    cells = _check_places(work, kept, path, site_px)
    about = {"file": path.name, "sha256": file_sha256(path), "images": images and file_sha256(images), "site_px": site_px}
    notes = [f"left out: the rows of {count(len(others), 'plate')} that are not in the store ({some(others)})"] if others else []
    return Located(cells.sort_values(WHO, kind="stable", ignore_index=True), about, notes)


def _read_rows(path: Path, images: Path | None) -> pd.DataFrame:
    """Return WHO (the plate where it is said), y, x and area_px where there is one, as text, in the order of the file."""
    there = _columns(existing_file(path, "--locations takes a table of objects, .csv or .parquet"))
    found = {name: _first(aliases, there) for name, aliases in (_PLACES | _SITES).items()}
    for axis in ("y", "x"):
        if found[axis] is None:
            raise KitError(
                f"{path} has no column of places: need Nuclei_Location_Center_X and _Y, or Location_Center_X and _Y; "
                f"it has {some(there)}"
            )
    names = {column: name for name, column in found.items() if column} | {
        column: "area_px" for column in [_first(_AREAS, there)] if column
    }
    if found[_WELL] and found[_SITE]:
        if images is not None:
            raise UsageError(f"--images {images}: {path} names wells and sites itself; leave --images out")
        return _read(path, list(names)).rename(columns=names)
    keys = [key for key in _KEYS if key in there]
    if "ImageNumber" not in keys:
        raise KitError(f"{path} names no sites: need Metadata_Well and Metadata_Site, or ImageNumber; it has {some(there)}")
    if images is None:
        raise UsageError(f"{path} names its sites by ImageNumber: give the image table with --images (Image.csv)")
    places = {column: name for column, name in names.items() if name not in WHO}
    objects = _read(path, [*keys, *places]).rename(columns=places)
    return _join(objects, path, _read_images(images, keys), images, keys)


def _read_images(path: Path, keys: list[str]) -> pd.DataFrame:
    there = _columns(existing_file(path, "--images takes CellProfiler's image table"))
    found = {name: _first(aliases, there) for name, aliases in _SITES.items()}
    lacking = [name for name in (_WELL, _SITE) if found[name] is None] + [key for key in keys if key not in there]
    if lacking:
        raise KitError(f"{path} has no column {lacking[0]}; it has {some(there)}")
    names = {column: name for name, column in found.items() if column}
    table = _read(path, [*keys, *names]).rename(columns=names)
    if table.duplicated(keys).any():
        twice = table[table.duplicated(keys)].iloc[0]
        raise KitError(f"{path}: {' '.join(f'{key} {twice[key]}' for key in keys)} has two rows")
    return table


def _join(objects: pd.DataFrame, path: Path, table: pd.DataFrame, images: Path, keys: list[str]) -> pd.DataFrame:
    joined = objects.merge(table, on=keys, how="left", indicator=True)
    lost = joined[joined["_merge"] == "left_only"]
    if len(lost):
        which = " ".join(f"{key} {lost.iloc[0][key]}" for key in keys)
        raise KitError(f"{path}: {which} is not in {images} ({count(len(lost), 'row')}): the two tables are not of one run")
    return joined.drop(columns=[*keys, "_merge"])


def _check_sites(work: "Work", rows: pd.DataFrame, path: Path) -> None:
    known = pd.MultiIndex.from_frame(work.sites[WHO])
    asked = rows[WHO].drop_duplicates()
    strange = asked[~pd.MultiIndex.from_frame(asked).isin(known)]
    if strange.empty:
        return
    plate, well, site = strange.iloc[0]
    wells = set(work.sites.loc[work.sites[_PLATE] == plate, _WELL])
    what = f"has no site {site} in well {well}" if well in wells else f"has no well {well}"
    raise KitError(
        f"{path}: plate {plate} {what} in {work.path} ({count(len(strange), 'such site')} of {len(asked)}): the table must be of "
        "the sites that were packed; leave the rows of others out"
    )


def _check_places(work: "Work", rows: pd.DataFrame, path: Path, site_px: int | None) -> pd.DataFrame:
    if site_px is None and work.settings.size:
        raise UsageError(
            f"{work.path} was made with --size {work.settings.size}: say with --site-px how many pixels the longer side of the "
            "images had in which the places were measured"
        )
    if site_px is not None and site_px < 1:
        raise UsageError(f"--site-px {site_px}: need pixels, more than 0")
    rows = rows.reset_index(drop=True)
    place_N2 = rows[["y", "x"]].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    shape_N2 = np.array([work.container(plate).image_shape for plate in rows[_PLATE].unique()], np.float64)[
        pd.factorize(rows[_PLATE])[0]
    ]
    scale_N1 = np.ones((len(rows), 1)) if site_px is None else shape_N2.max(axis=1, keepdims=True) / site_px
    place_N2 = (place_N2 + 0.5) * scale_N1 - 0.5
    wrong_N = ~((place_N2 >= -0.5) & (place_N2 <= shape_N2 - 0.5)).all(axis=1)
    if wrong_N.any():
        row = rows.iloc[int(wrong_N.argmax())]
        height, width = shape_N2[int(wrong_N.argmax())].astype(int)
        raise KitError(
            f"{path}: a cell of plate {row[_PLATE]} well {row[_WELL]} site {row[_SITE]} is at x = {row['x']}, y = {row['y']}, "
            f"outside its site of {width} x {height} px ({count(int(wrong_N.sum()), 'such row')} of {len(rows)})"
            + ("; were the places measured in images of another size? Say so with --site-px" if site_px is None else "")
        )
    cells = rows[WHO].assign(y=place_N2[:, 0].astype(np.float32), x=place_N2[:, 1].astype(np.float32))
    if "area_px" in rows:
        area_N = pd.to_numeric(rows["area_px"], errors="coerce").to_numpy(np.float64) * scale_N1[:, 0] ** 2
        cells["area_px"] = area_N.astype(np.float32)
    return cells


def _whole_numbers(texts: pd.Series, name: str, path: Path) -> pd.Series:
    numbers = pd.to_numeric(texts, errors="coerce")
    wrong = numbers.isna() | (numbers % 1 != 0)
    if wrong.any():
        raise KitError(f"{path}: {name} {texts[wrong].iloc[0]!r} is not a field number")
    return numbers.astype("int64")


def _first(names: tuple[str, ...], there: list[str]) -> str | None:
    return next((name for name in names if name in there), None)


def _columns(path: Path) -> list[str]:
    return _scan(path, lambda frame: frame.collect_schema().names())


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    """Return these columns of a table as text; a missing value is ""."""
    texts = [pl.col(name).cast(pl.String).fill_null("") for name in columns]
    table = _scan(path, lambda frame: frame.select(texts).collect())
    return pd.DataFrame({name: table[name].to_numpy(allow_copy=True) for name in columns}, dtype=object)


def _scan(path: Path, use: Any) -> Any:
    """Return what `use` makes of a table of which nothing is read yet."""
    try:
        if path.name.lower().endswith(".parquet"):
            return use(pl.scan_parquet(path))
        separator = "\t" if ".tsv" in path.name.lower() else ","
        return use(pl.scan_csv(path, separator=separator, infer_schema=False))
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise KitError(f"{path} cannot be read as a table: {str(error).strip().splitlines()[0]}") from error
