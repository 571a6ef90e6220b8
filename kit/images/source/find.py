"""Find the plates in a folder: the image folder of each, by the ways in which microscopes lay them out (docs/data.md).

<plate>__<start>-Measurement1/Images     Harmony and the Cell Painting Gallery: the plate is the part before "__"
<plate>/Images, <plate>/                 any microscope
<plate>/TimePoint_1/ZStep_1              ImageXpress, either or both of the two below the plate
<plate>/<date>/<number>                  ImageXpress; without <plate> it is the one in the file names
<plate>/AssayPlate_<type>                CellVoyager
"""

from collections.abc import Iterator

from kit.errors import KitError, UsageError
from kit.images.source.conventions import (
    ASSAY_FOLDER,
    DATE_FOLDER,
    IMAGES,
    PLANE_FOLDER,
    TIME_FOLDER,
    is_thumbnail,
    is_tiff,
    read_name,
)
from kit.images.source.folders import Folder


def find_plates(source: Folder) -> dict[str, Folder]:
    """Return barcode -> image folder of the plates in `source`: a folder of plate folders, or one plate folder.

    Raises:
        UsageError: no plate in it; where it has TIFFs, the message has the first lines of a load_data.csv for them.
        KitError: two folders of one plate.
    """
    if source.has_folder(IMAGES):
        return {barcode_of(source.name): source / IMAGES}
    is_plate = _shows_images(source)
    plates: dict[str, Folder] = {}
    for name in source.names(folders=True):
        if is_plate and (TIME_FOLDER.fullmatch(name) or PLANE_FOLDER.fullmatch(name)):
            continue
        for barcode, folder in _plates_under(source / name):
            if is_plate:
                raise KitError(f"{source.path} has both images and plates, such as {folder.path}: give one of them")
            if barcode in plates:
                raise KitError(f"plate {barcode} has two folders, {plates[barcode].path} and {folder.path}: move one away")
            plates[barcode] = folder
    if is_plate:
        return {_name_from_above(source): source}
    if not plates and source.has_folder("images"):
        return find_plates(source / "images")
    if not plates:
        why, lines = no_names_known(source)
        raise UsageError(f"{source.path} holds no plate: {why}{':' if lines else ''}", lines)
    return plates


def barcode_of(folder_name: str) -> str:
    """Return the barcode in a plate folder's name: the part before the first "__"."""
    return folder_name.split("__")[0]


def no_names_known(folder: Folder) -> tuple[str, tuple[str, ...]]:
    """Return why no image was found in a folder, and the first lines of a load_data.csv where it has TIFFs."""
    table = (folder / "load_data.csv").path
    if folder.file("load_data.csv"):
        return f"give its table as SOURCE, {table}", ()
    below = [name for name in folder.names(folders=True) if not name.startswith(".")]
    files = ((place, name) for place in ("", *below) for name in (folder / place if place else folder).names(folders=False))
    flex = ""
    for place, name in files:
        if is_tiff(name) and not is_thumbnail(name):
            path = f"{place}/{name}" if place else name
            why = (
                f"no TIFF has a name that kit knows (docs/data.md has the table), for example {path}; write "
                f"{table}, one row a site, and ingest it"
            )
            row = f"{_cell(barcode_of(place or folder.name))},A01,1,{_cell(path)}"
            return why, ("Metadata_Plate,Metadata_Well,Metadata_Site,FileName_ch1", row)
        flex = flex or (name if name.lower().endswith(".flex") else "")
    if flex:
        return f"{flex} is an Opera .flex file, which kit does not read: export the plate as TIFF", ()
    return "need folders named <barcode>__<start>-Measurement1/Images, <barcode>/Images or <barcode>/, with TIFFs", ()


def _plates_under(folder: Folder) -> Iterator[tuple[str, Folder]]:
    """Yield the barcode and image folder of each plate that a folder inside the source is or holds."""
    if folder.has_folder(IMAGES):
        yield barcode_of(folder.name), folder / IMAGES
    elif _shows_images(folder):
        yield barcode_of(folder.name), folder
    elif DATE_FOLDER.fullmatch(folder.name):
        yield from ((_name_in_files(found), found) for found in _below(folder))
    else:
        for name in folder.names(folders=True):
            if ASSAY_FOLDER.fullmatch(name) and _shows_images(folder / name):
                yield barcode_of(folder.name), folder / name
            elif DATE_FOLDER.fullmatch(name):
                yield from ((barcode_of(folder.name), found) for found in _below(folder / name))


def _below(folder: Folder) -> list[Folder]:
    return [folder / name for name in folder.names(folders=True) if _shows_images(folder / name)]


def _shows_images(folder: Folder) -> bool:
    """Return whether a folder has images by their names, or the time points or planes of a plate."""
    inside = (name for name in folder.names(folders=True) if TIME_FOLDER.fullmatch(name) or PLANE_FOLDER.fullmatch(name))
    return _first_plate(folder) is not None or any(_shows_images(folder / name) for name in inside)


def _first_plate(folder: Folder) -> str | None:
    """Return the plate in the first image's name, "" where it names none; None where there is no image."""
    found = (read_name(name) for name in folder.names(folders=False))
    return next((name.plate or "" for name in found if name is not None), None)


def _name_in_files(folder: Folder) -> str:
    """Return the plate that the names of an acquisition's files say, else the folder's name."""
    inside = (folder / name for name in folder.names(folders=True) if TIME_FOLDER.fullmatch(name) or PLANE_FOLDER.fullmatch(name))
    return _first_plate(folder) or next((name for place in inside if (name := _name_in_files(place)) != place.name), folder.name)


def _name_from_above(folder: Folder) -> str:
    """Return the plate of an image folder that is the source itself: its own name, or that of a folder above it."""
    if folder.name == IMAGES or any(kind.fullmatch(folder.name) for kind in (TIME_FOLDER, PLANE_FOLDER, ASSAY_FOLDER)):
        return _name_from_above(folder.parent)
    if DATE_FOLDER.fullmatch(folder.parent.name):
        return _name_in_files(folder)
    return barcode_of(folder.name)


def _cell(text: str) -> str:
    """Return a cell of a CSV."""
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"') else text
