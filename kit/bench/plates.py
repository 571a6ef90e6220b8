"""Images for the ingest and store benchmarks, in the microscope's format, and the row of a result."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from kit.images.source.tiff import read_tiff

_SIDE = 1080  # pixels


@dataclass(frozen=True)
class Row:
    """One measurement: a name, a number with its unit, and how it compares."""

    name: str
    value: float
    unit: str
    note: str = ""

    def text(self) -> str:
        """Return the row as a line."""
        return f"{self.name:<58}{self.value:>10.3f} {self.unit:<10}{self.note}"


def real_sites(folder: Path | None) -> list[list[np.ndarray]]:
    """Return the counts of the full sites of the folder, uint16 [1080, 1080] per channel; empty without a folder."""
    default = Path(os.environ.get("KIT_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "cpjump1_images"
    files: dict[str, list[Path]] = {}
    for path in sorted((folder or default).glob("*/Images/*.tiff")):
        files.setdefault(f"{path.parts[-3]}/{path.name[:12]}", []).append(path)
    return [[read_tiff(path.read_bytes()).counts_HW for path in paths] for paths in files.values() if len(paths) == 8]


def made_sites() -> list[list[np.ndarray]]:
    """Return two sites of smooth structure and camera noise, used when no real ones are available."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:_SIDE, :_SIDE]
    scene = 400 + 3000 * (np.sin(x / 17) * np.sin(y / 23) > 0.6)
    return [[rng.poisson(scene * (1 + channel / 8)).astype(np.uint16) for channel in range(8)] for _ in range(2)]


def write_sites(sites: list[list[np.ndarray]], folder: Path) -> list[list[Path]]:
    """Write the sites as the microscope does, LZW in one strip, as wells of one plate."""
    images = folder / "BENCH__2020-01-01T00_00_00-Measurement1" / "Images"
    images.mkdir(parents=True)
    paths = []
    for number, site in enumerate(sites):
        named = [images / f"r01c{number + 1:02d}f01p01-ch{channel}sk1fk1fl1.tiff" for channel in range(1, len(site) + 1)]
        for path, counts in zip(named, site, strict=True):
            tifffile.imwrite(path, counts, compression="lzw", rowsperstrip=counts.shape[0], metadata=None)
        paths.append(named)
    return paths
