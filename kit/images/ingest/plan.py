"""The request of an ingest: one frozen plan, checked on construction."""

import math
import os
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, fields
from pathlib import Path

from kit.config import StoreConfig
from kit.errors import UsageError
from kit.files import existing_file, existing_folder
from kit.images.ingest.groups import check_groups
from kit.images.ingest.naming import Names, check_names
from kit.images.source.cell_source import ENDINGS
from kit.images.source.folders import is_url
from kit.images.source.plates import ALL, Pick
from kit.images.store.codecs import DEFAULT, find_codec
from kit.images.store.settings import read_settings

_OF_LABELS = ("source", "work", "plates", "metadata", "labels", "perturbation", "control", "groups", "jobs")  # need no image
BAD_SHARE = 0.1  # of a plate's images: with more of them bad the plate is not trusted


def cpus() -> int:
    """Return the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class IngestPlan:
    """From where to where, how pixels are stored, and how the work is done.

    Raises:
        UsageError: an invalid value or a missing path; the message names its option of `kit ingest`.
        KitError: the store that is there cannot be read.
    """

    source: str | Path | None  # folder or URL of plate folders, one plate folder, or a load_data.csv(.gz); None: only label
    work: Path  # the work folder; made if absent
    _: KW_ONLY
    plates: tuple[str, ...] = ()  # barcodes; none named: all that are found
    plane: int | None = None  # of a z-stack, the plane to take
    time: int | None = None  # of a time series, the time point to take

    metadata: Path | None = None  # folder of the official tables
    cells: Path | None = None  # the table of single cells, whose array is the source
    array: str = ""  # its name in a .npz that holds several
    labels: Path | None = None  # a lab's own table of labels: see kit.images.labels_file
    perturbation: str | None = None  # the column of it whose values are the treatments
    control: str | None = None  # the value of that column that is the control
    load_data: str | Path | None = None  # folder or URL of <plate>/load_data.csv(.gz) with the positions
    layout: Path | None = None  # CSV of field, x_um, y_um for plates without positions of their own
    pixel_size: float | None = None  # micrometres; None: as the images' own tables and tags say
    illum: Path | None = None  # folder of <plate>/<plate>_Illum<Channel>.npy, to divide by before scaling

    channel_names: Names | None = None  # name in the source -> name in the store, or "cpjump1"; None: see naming.py
    groups: Mapping[str, tuple[str, ...]] | None = None  # group -> channels; None: those of the store, else by CPJUMP1's names

    # One choice for the whole store: see StoreConfig.
    scale: str = ""  # "": as the store was made, and image for a new one
    bits: int = 8
    size: int = 0
    codec: str = DEFAULT

    jobs: int = field(default_factory=cpus)  # wells at work at once, each in a thread
    dask: str | None = None  # address of a Dask scheduler whose workers pack the wells; they see the same paths
    strict: bool = False  # a bad image ends the ingest
    max_bad: float = BAD_SHARE  # share of a plate's images that may be bad
    verify: bool = False  # read the plates back afterwards and check their checksums

    def __post_init__(self) -> None:
        self._check_values()
        self._check_labels()
        self._check_cells()
        self._check_paths()
        for name in ("work", "metadata", "cells", "labels", "layout", "illum"):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, Path(path))
        if not self.scale:
            made = read_settings(self.work)
            object.__setattr__(self, "scale", made.scale if made else StoreConfig().scale)

    @property
    def settings(self) -> StoreConfig:
        """The settings of the store that this makes."""
        return StoreConfig(
            scale=self.scale or StoreConfig().scale,
            bits=self.bits,
            size=self.size,
            codec=find_codec(self.codec).name,
            illumination=self.illum is not None,
        )

    @property
    def pick(self) -> Pick:
        """Which image of a z-stack or time series to take."""
        return Pick(self.plane, self.time)

    @property
    def folder(self) -> Path:
        """The folder of the store's plates."""
        return self.work / "plates"

    def _check_values(self) -> None:
        if self.jobs < 1:
            raise UsageError(f"--jobs {self.jobs}: need at least 1")
        if not 0 <= self.max_bad <= 1:
            raise UsageError(f"--max-bad {self.max_bad}: need a share, 0 to 1")
        if self.pixel_size is not None and not 0 < self.pixel_size < math.inf:
            raise UsageError(f"--pixel-size {self.pixel_size:g}: need micrometres, more than 0")
        _ = self.settings  # a StoreConfig checks itself
        if self.channel_names is not None:
            check_names(self.channel_names)
        check_groups(self.groups or {})

    def _check_labels(self) -> None:
        for name in ("perturbation", "control"):
            if (value := getattr(self, name)) is None:
                continue
            if self.labels is None and self.cells is None:
                raise UsageError(f"--{name} {value}: also give --labels FILE, the table that has it")
            if not value.strip():
                need = "a well without a label is unknown, never a control"
                need = need if name == "control" else "name the column of the treatments, or omit the option"
                raise UsageError(f"--{name} is empty: {need}")
        if self.source is not None:
            return
        if self.labels is None and self.metadata is None and self.groups is None:
            raise UsageError(
                "give SOURCE, the plates to pack; or --labels or --metadata, to label the plates that are packed, or --groups"
            )
        for option in fields(self):
            if option.name not in _OF_LABELS and getattr(self, option.name) != option.default:
                name = option.name.replace("_", "-")
                raise UsageError(f"--{name} needs SOURCE; without it, packed plates are labelled or grouped and no image is read")

    def _check_cells(self) -> None:
        if self.array and self.cells is None:
            raise UsageError(f"--array {self.array} goes with --cells")
        if self.cells is None:
            return
        if self.source is None or not str(self.source).lower().endswith(ENDINGS):
            raise UsageError(f"--cells {self.cells}: give its array of images as SOURCE, a .npz or .npy on this machine")
        for name in ("metadata", "labels", "load_data", "layout", "illum", "dask"):
            if getattr(self, name) is not None:
                what = "their labels are the columns of --cells" if name in ("metadata", "labels") else "it is for plates"
                raise UsageError(f"--{name.replace('_', '-')} has no meaning for single cells: {what}")
        if self.pick != ALL:
            raise UsageError("--plane and --time are for folders of plates: an array of cells has neither")

    def _check_paths(self) -> None:
        if Path(self.work).exists() and not Path(self.work).is_dir():
            raise UsageError(f"--work {self.work} is not a folder")
        if self.load_data is not None and not is_url(str(self.load_data)):
            existing_folder(Path(self.load_data), "--load-data takes a folder with <plate>/load_data.csv(.gz)")
        if self.layout is not None:
            existing_file(self.layout, "--layout takes a CSV of field, x_um and y_um")
        if self.illum is not None and is_url(str(self.illum)):
            raise UsageError(f"--illum {self.illum}: illumination functions are read from a local folder; copy them to one first")
        if self.illum is not None:
            existing_folder(self.illum, "--illum takes a folder with <plate>/<plate>_Illum<Channel>.npy")
