"""Made plates with known answers, in the file formats of the microscope and the Cell Painting Gallery."""

import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from kit.errors import KitError, UsageError
from kit.images.phantom.cells import draw_scene
from kit.images.phantom.config import POSITION_TRAITS, TRAITS, PhantomConfig, library
from kit.images.phantom.files import (
    STAIN_NAMES,
    Plate,
    description_template,
    exposure_time,
    image_name,
    plates,
    row_column,
    tiff_bytes,
)
from kit.images.phantom.optics import photograph, plate_exposure, well_exposure
from kit.images.phantom.tables import layout, write_answers, write_ids, write_load_data, write_metadata
from kit.progress import progress
from kit.streams import made_plate
from kit.words import count

__all__ = ["PhantomConfig", "PhantomSummary", "make_plates"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PhantomSummary:
    """What was made."""

    out: Path
    batch: str
    plates: int
    wells: int
    sites: int
    missing_sites: int
    seconds: float

    def text(self) -> str:
        """Return the summary for a terminal."""
        return (
            f"made plates, batch {self.batch}: {count(self.plates, 'plate')}, {count(self.wells, 'well')}, "
            f"{count(self.sites, 'site')} ({self.missing_sites} left out), {count(8 * self.sites, 'image')} "
            f"in {self.seconds:.0f} s\n"
            f"images    {self.out / 'images'}\nmetadata  {self.out / 'metadata'}\nload_data {self.out / 'load_data'}\n"
            f"IDs       {self.out / 'metadata_test.csv'}\nanswers   {self.out / 'answers.json'}"
        )


def make_plates(out: Path, config: PhantomConfig | None = None, *, jobs: int | None = None) -> PhantomSummary:
    """Make all plates of `config` under `out`: images/, metadata/, load_data/, metadata_test.csv, answers.json.

    Everything is built in a hidden folder next to `out` and renamed at the end; a killed run can be started again.
    The bytes depend on the configuration alone, not on `jobs` (processes; default: one per CPU).

    Raises:
        KitError: `out` exists and is not empty, or cannot be written.
        UsageError: jobs below 1.
    """
    config = PhantomConfig() if config is None else config
    out = Path(out).absolute()
    jobs = (os.cpu_count() or 1) if jobs is None else jobs
    if jobs < 1:
        raise UsageError(f"jobs = {jobs}: need at least 1")
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise KitError(f"{out} exists and is not empty: choose another folder for the made plates, or delete it")
    begin = time.monotonic()
    part = out.parent / f".{out.name}.part"
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        seen = _write_images(part / "images", config, jobs)
        _write_tables(part, config, seen)
        part.replace(out)
    except OSError as error:
        raise KitError(f"cannot write the made plates to {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    made = plates(config)
    sites = sum(len(sites) for sites in seen.values())
    wells = len(layout(config))
    return PhantomSummary(
        out=out,
        batch=config.batch,
        plates=len(made),
        wells=len(made) * wells,
        sites=sites,
        missing_sites=sum(wells * len(plate.places) for plate in made) - sites,
        seconds=time.monotonic() - begin,
    )


def _write_images(folder: Path, config: PhantomConfig, jobs: int) -> dict[str, list[tuple[str, int, int]]]:
    """Write every image; return barcode -> (well, field number, cells seen) of its sites, in order."""
    tasks = []
    for plate in plates(config):
        images = folder / plate.folder / "Images"
        images.mkdir(parents=True)
        tasks += [(config, plate, well, str(images)) for well in layout(config)]
    seen: dict[str, list[tuple[str, int, int]]] = {plate.barcode: [] for plate in plates(config)}
    with _workers(jobs) as run:
        wells = progress(run(_write_well, tasks), total=len(tasks), label="made plates", unit="well")
        for (_, plate, well, _), cells in zip(tasks, wells, strict=True):
            seen[plate.barcode] += [(well, site, number) for site, number in cells.items()]
    return seen


def _write_tables(folder: Path, config: PhantomConfig, seen: dict[str, list[tuple[str, int, int]]]) -> None:
    write_metadata(config, folder / "metadata", {barcode: 8 * len(sites) for barcode, sites in seen.items()})
    for plate in plates(config):
        write_load_data(config, folder / "load_data" / plate.barcode, plate, seen[plate.barcode])
    write_ids(config, folder / "metadata_test.csv")
    write_answers(config, folder / "answers.json")


@contextmanager
def _workers(jobs: int) -> Iterator:
    """Yield an ordered map over processes, or over this one for a single job."""
    if jobs == 1:
        yield map
        return
    # spawn: a forked child of a process with threads (torch, a notebook) can hang.
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    try:
        yield lambda function, tasks: pool.map(function, tasks, chunksize=2)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """End this worker when its parent is killed: it would otherwise wait for work forever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _write_well(task: tuple[PhantomConfig, Plate, str, str]) -> dict[int, int]:
    """Draw and write all images of one well; return field number -> cells seen."""
    config, plate, well, folder = task
    cells = {}
    index = list(_layout(config)).index(well)
    row, column = row_column(well)
    template = description_template(config, plate)
    for site, (image, number) in draw_well(config, plate, well).items():
        when = exposure_time(plate, index, site)
        for channel, name in enumerate(STAIN_NAMES):
            text = template.format(row=row, column=column, site=site, channel_name=name, time=f"{when.isoformat()}Z")
            data = tiff_bytes(image[channel], description=text, time=when, pixel_um=config.pixel_um)
            with open(f"{folder}/{image_name(well, site, channel + 1)}", "wb") as file:
                file.write(data)
        cells[site] = number
    return cells


def draw_well(
    config: PhantomConfig, plate: Plate, well: str, sites: Iterable[int] | None = None
) -> dict[int, tuple[np.ndarray, int]]:
    """Return field number -> (the eight channels, uint16 [8, H, W]; cells seen) of a well's sites.

    Args:
        sites: field numbers; default: all that the well has.
    """
    index = list(_layout(config)).index(well)
    traits = well_traits(config, plate, well)
    rng = made_plate(config.seed, "well", plate.index, index)
    traits["count"] += rng.normal(0, config.well_cells)
    exposure = well_exposure(config, plate_exposure(config, plate.index), rng)
    drawn = {}
    for site in present_sites(config, plate, index) if sites is None else sites:
        scene = draw_scene(config, config.lines[plate.line], traits, made_plate(config.seed, "site", plate.index, index, site))
        image = photograph(config, scene, exposure, made_plate(config.seed, "camera", plate.index, index, site))
        drawn[site] = image, scene.cells
    return drawn


def present_sites(config: PhantomConfig, plate: Plate, well_index: int) -> list[int]:
    """Return the field numbers of a well; `missing_wells` of all wells lack one or two."""
    rng = made_plate(config.seed, "missing", plate.index, well_index)
    sites = list(range(1, len(plate.places) + 1))
    if rng.random() < config.missing_wells:
        gone = rng.choice(sites, int(rng.integers(1, 3)), replace=False)
        sites = [site for site in sites if site not in gone]
    return sites


def well_traits(config: PhantomConfig, plate: Plate, well: str) -> dict[str, float]:
    """Return how a well departs from untreated cells: compound x line's response x well's response, plus the position."""
    wells = _layout(config)
    index, sample = list(wells).index(well), wells[well]
    traits = dict.fromkeys(TRAITS, 0.0)
    for compound in library(config):
        if compound.broad_sample == sample:
            response = made_plate(config.seed, "response", plate.line, compound.index).uniform(*config.line_response)
            response *= np.exp(made_plate(config.seed, "response", 1000 + plate.index, index).normal(0, config.well_response))
            traits |= {key: value * response for key, value in compound.traits.items()}
    shift = made_plate(config.seed, "artefact", 0, index).normal(0, 1, len(POSITION_TRAITS)) * config.position_artefact
    for key, value in zip(POSITION_TRAITS, shift, strict=True):
        traits[key] += POSITION_TRAITS[key] * value
    return traits


@lru_cache(maxsize=2)
def _layout(config: PhantomConfig) -> dict[str, str]:
    return layout(config)
