"""A work folder: the packed plates and their tables, read by site.

WORK/store.toml                 how pixels were scaled and encoded, one choice for the whole store
WORK/plates/<barcode>.zarr      pixels; see container.py
WORK/plates/<barcode>.parquet   one row per site; written last, so its presence means that the plate is complete
WORK/runs/RUN/                  a training run and its features
"""

import contextlib
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from kit.config import StoreConfig
from kit.config.channels import Groups, common_groups
from kit.errors import KitError, UsageError
from kit.images.labels import common_labels, recorded_labels
from kit.images.names import normalise_well, order_channels
from kit.images.store.codecs import unpack_into
from kit.images.store.container import Container, open_container
from kit.images.store.levels import to_level
from kit.images.store.parts import complete_plates, find_parts, plates_of_parts
from kit.images.store.settings import read_settings
from kit.images.store.shards import Shard
from kit.images.store.tables import read_record, read_table
from kit.words import nearest, some, typed

_OPEN_SHARDS = 64
_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def open_work(path: str | Path) -> "Work":
    """Open a work folder for reading, or a folder of parts of one store, see `parts`.

    Raises:
        UsageError: it holds no store.
        KitError: its parts do not belong together.
    """
    path = Path(path)
    settings = read_settings(path)
    if settings is None and (parts := find_parts(path)):
        settings = read_settings(parts[0])
        assert settings
        return Work(path, settings, parts=plates_of_parts(path, parts))
    if settings is None:
        raise UsageError(
            f"{path} holds no store (no store.toml): make one with kit ingest SOURCE --metadata DIR --work {typed(path)}"
        )
    return Work(path, settings)


class Work:
    """The packed plates of a work folder. Plates count once they are complete."""

    def __init__(
        self, path: Path, settings: StoreConfig, plates: Iterable[str] | None = None, parts: Mapping[str, Path] | None = None
    ):
        """parts: plate -> the work folder that holds it, where the store is in parts."""
        self.path = path
        self.settings = settings
        self._parts = dict(parts or {})
        self.plates: list[str] = sorted((self._parts or complete_plates(path)) if plates is None else plates)
        self._shard = functools.lru_cache(maxsize=_OPEN_SHARDS)(self.open_shard)

    def __reduce__(self) -> tuple[type["Work"], tuple]:
        return Work, (self.path, self.settings, self.plates, self._parts)  # another process opens its own files

    def only(self, plates: Iterable[str]) -> "Work":
        """Return the same store limited to these plates.

        Raises:
            UsageError: it has no such plate.
        """
        chosen = set(plates)
        missing = sorted(chosen - set(self.plates))
        if missing:
            there = f"{nearest(missing[0], self.plates)}; it holds {some(self.plates)}"
            raise UsageError(f"plate {missing[0]} is not in {self.path}{there}")
        return Work(self.path, self.settings, chosen, self._parts)

    @property
    def plate_folders(self) -> list[Path]:
        """The folders that hold the plates: WORK/plates, or those of the parts."""
        return sorted({part / "plates" for part in self._parts.values()}) or [self.path / "plates"]

    def part(self, plate: str) -> Path:
        """Return the work folder that holds a plate: this one, or that of its part."""
        return self._parts.get(plate, self.path)

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels of any plate, in kit's order."""
        return order_channels(channel for plate in self.plates for channel in self.container(plate).channels)

    @functools.cached_property
    def groups(self) -> Groups:
        """The groups of the channels, group -> channels in kit's order; stores made before groups were kept have CPJUMP1's.

        Raises:
            KitError: two plates have a channel in different groups.
        """
        return common_groups({plate: self.container(plate).groups for plate in self.plates}, self.channels)

    @functools.cached_property
    def sites(self) -> pd.DataFrame:
        """One row per site: its position, channels, counts and quality, and the metadata of its well."""
        tables = [read_table(self._table_path(plate)) for plate in self.plates]
        if not tables:
            return pd.DataFrame(columns=["Metadata_Plate", "Metadata_Well", "Metadata_Site", "channels"])
        sites = pd.concat(tables, ignore_index=True)
        if "Metadata_is_control" in sites:  # a plate without labels has no control we know of
            sites["Metadata_is_control"] = sites["Metadata_is_control"].eq(True)
            texts = [name for name in map(str, sites) if name.startswith("Metadata_") and not is_numeric_dtype(sites[name])]
            sites[texts] = sites[texts].fillna("")  # unknown
        return sites

    @functools.cached_property
    def labels(self) -> dict[str, str]:
        """`perturbation`: the column of `wells` whose values are the classes; `control`: the value of it that is the control.

        Raises:
            KitError: two plates are labelled by different columns.
        """
        return common_labels({plate: recorded_labels(self._plate_record(plate)) for plate in self.plates})

    @property
    def perturbation(self) -> str:
        """The column of `wells` whose values are the classes; errors as `labels`."""
        return self.labels["perturbation"]

    def sites_with(self, channels: Iterable[str]) -> pd.DataFrame:
        """Return the rows of `sites` that have all the channels, with the index they have there; every row for no channel."""
        wanted = set(channels)
        return self.sites[np.array([wanted <= set(text.split(",")) for text in self.sites["channels"]], dtype=bool)]

    @functools.cached_property
    def wells(self) -> pd.DataFrame:
        """One row per well that has a site: its metadata and `n_sites`."""
        columns = [column for column in map(str, self.sites) if column.startswith("Metadata_") and column != "Metadata_Site"]
        key = ["Metadata_Plate", "Metadata_Well"]
        wells = self.sites[columns].drop_duplicates(key).reset_index(drop=True)
        counts = self.sites.groupby(key, sort=False).size().rename("n_sites").reset_index()
        return wells.merge(counts, on=key, how="left")

    @functools.cached_property
    def _rows(self) -> dict[tuple[str, str, int], int]:
        columns = ("Metadata_Plate", "Metadata_Well", "Metadata_Site")
        return {key: row for row, key in enumerate(zip(*(self.sites[column] for column in columns), strict=True))}

    @functools.cache  # noqa: B019 - a Work lives as long as its process
    def container(self, plate: str) -> Container:
        """Return the plate's container.

        Raises:
            UsageError: the store has no such plate.
        """
        if plate not in self.plates:
            there = f"{nearest(plate, self.plates)}; it has {some(self.plates) or 'none'}"
            raise UsageError(f"{self.path} has no plate {plate}{there}")
        return open_container(self._folder(plate) / f"{plate}.zarr")

    def read_site(self, plate: str, well: str, site: int, channels: Iterable[str] | None = None) -> np.ndarray:
        """Return one site, uint8 [C, H, W]: all the plate's channels in kit's order, or those named.

        Raises:
            UsageError: no such plate, or a channel that the plate has in no site.
            KitError: no such well or site, or the site lacks a channel; the message names them.
        """
        container = self.container(plate)
        well, site = normalise_well(well), int(site)
        if (plate, well, site) not in self._rows:
            raise KitError(f"plate {plate} has no site {site} in well {well}")
        wanted = tuple(container.channels if channels is None else channels)
        unknown = [name for name in wanted if name not in container.channels]
        if unknown:
            there = f"{nearest(unknown[0], container.channels)}; it has {', '.join(container.channels)}"
            raise UsageError(f"plate {plate} has no channel {unknown[0]}{there}")
        shard = self._shard(plate, well)
        lacking = [name for name in wanted if not shard.has(container.chunk(site, name))]
        if lacking:
            raise KitError(f"{plate} {well} site {site} has no {', '.join(lacking)}; read the others with channels=[...]")
        site_CHW = np.empty((len(wanted), *container.image_shape), np.uint8)
        for name, image_HW in zip(wanted, site_CHW, strict=True):
            with _named(plate, well, site, name, shard):
                self.read_levels(plate, well, site, name, shard, image_HW)
        return site_CHW

    def read_counts(self, plate: str, well: str, site: int, channel: str) -> np.ndarray:
        """Return one image as it is stored, uint8 levels or uint16 counts [H, W].

        Raises:
            KitError: the image is not in the store or damaged; the message names image and file.
        """
        well, site = normalise_well(well), int(site)
        shard = self._shard(plate, well)
        with _named(plate, well, site, channel, shard):
            return self.read_stored(plate, well, site, channel, shard)

    def open_shard(self, plate: str, well: str) -> Shard:
        """Return the open file of a well, for `read_levels` and `read_stored`."""
        container = self.container(plate)
        return Shard(container.shard(well), container.chunks)

    def read_levels(self, plate: str, well: str, site: int, channel: str, shard: Shard, out_HW: np.ndarray) -> None:
        """Fill `out_HW`, uint8, with one image's levels, read from its well's open shard.

        Raises:
            KitError: the image is not in the store, or damaged.
            OSError: the system cannot read the file.
        """
        if self.settings.bits == 8:
            self.read_stored(plate, well, site, channel, shard, out_HW)
        else:
            counts_HW = self.read_stored(plate, well, site, channel, shard)
            row = self._row(plate, well, site)
            out_HW[:] = to_level(counts_HW, int(row[f"{channel}_black"]), int(row[f"{channel}_white"]))

    def read_stored(
        self, plate: str, well: str, site: int, channel: str, shard: Shard, out_HW: np.ndarray | None = None
    ) -> np.ndarray:
        """Return one image as it is stored, in `out_HW` where it is given; errors as `read_levels`."""
        container = self.container(plate)
        chunk = container.chunk(site, channel)
        if not shard.has(chunk):
            raise KitError("it is not in the store")
        out_HW = np.empty(container.image_shape, container.dtype) if out_HW is None else out_HW
        unpack_into(out_HW, shard.read(chunk), container.codec)
        return out_HW

    def channel_stats(self, channels: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of the channels' levels / 255, float64 [C], over all stored sites, from exact sums.

        Raises:
            KitError: no site has the channel.
        """
        means, deviations = [], []
        totals = [self._plate_record(plate)["levels"] for plate in self.plates]
        for channel in channels:
            n, total, squares = (
                sum(record[channel][key] for record in totals if channel in record) for key in ("n", "sum", "sumsq")
            )
            if not n:
                raise KitError(f"{self.path}: no site has the channel {channel}; available: {', '.join(self.channels)}")
            means.append(total / n / 255)
            deviations.append((n * squares - total * total) ** 0.5 / n / 255)
        return np.array(means), np.array(deviations)

    def run_folder(self, run: str) -> Path:
        """Return WORK/runs/RUN; a name that would leave the folder is refused."""
        if not _RUN_NAME.fullmatch(run):
            raise UsageError(f"--run {run!r}: need a name of letters, digits, dots, dashes and underscores")
        return self.path / "runs" / run

    def features(self, run: str) -> pd.DataFrame:
        """Return the features of a run, one row per site.

        Raises:
            KitError: nothing was embedded with it.
        """
        files = sorted((self.run_folder(run) / "features").glob("*.parquet"))
        if not files:
            raise KitError(f"run {run} has no features: run kit embed --work {typed(self.path)} --run {run}")
        return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)

    def _row(self, plate: str, well: str, site: int) -> pd.Series:
        return self.sites.iloc[self._rows[plate, normalise_well(well), int(site)]]

    def _table_path(self, plate: str) -> Path:
        return self._folder(plate) / f"{plate}.parquet"

    def _folder(self, plate: str) -> Path:
        return self.part(plate) / "plates"

    def _plate_record(self, plate: str) -> dict:
        return read_record(self._table_path(plate))


@contextlib.contextmanager
def _named(plate: str, well: str, site: int, channel: str, shard: Shard) -> Iterator[None]:
    """Say which image, in which file, could not be read."""
    try:
        yield
    except (KitError, OSError) as error:
        raise KitError(f"plate {plate} well {well} site {site} {channel} in {shard.path}: {error}") from error
