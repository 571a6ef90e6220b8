"""Small drawn plates of three labs, in the file names of docs/your-plates.md: what its commands run on.

A Phenix plate set of two cell lines, an ImageXpress set without a control, and single fields under names of a lab's own.
"""

import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

SIDE = 128  # pixels
COMPOUNDS = ("nocodazole", "taxol", "staurosporine")
PIXEL_M = 1.2e-6  # side of a pixel of the Phenix plates, metres
PITCH_M = 3.2e-4  # between the four fields of one of their wells, metres


def draw_site(well: str, compound: str, line: str, *of: object, channels: int) -> np.ndarray:
    """Return one site, uint16 [C, H, W]: 16 cells, their nuclei in the first channel; size and brightness tell the compounds."""
    rng = np.random.default_rng(zlib.crc32(f"{well} {compound} {line} {of}".encode()))
    number = (*COMPOUNDS, compound).index(compound) + 1 if compound in COMPOUNDS else 0
    centre_2N = (np.mgrid[:4, :4].reshape(2, -1) + 0.5) * SIDE / 4 + rng.uniform(-5, 5, (2, 16))
    site = np.empty((channels, SIDE, SIDE), np.uint16)
    for channel in range(channels):
        radius = 3.0 + 0.5 * (line == "A431") + 0.5 * number * (channel == 0) + (2 + 0.5 * channel if channel else 0)
        y_NP, x_NP = np.exp(-0.5 * ((np.arange(SIDE) - centre_2N[..., None]) / radius) ** 2)
        level = 1.0 if (number + channel) % 4 else 0.6
        cells = np.clip(3 * y_NP.T @ x_NP, 0, 1)
        site[channel] = 300 + 2500 * level * cells + rng.normal(0, 40, (SIDE, SIDE))
    return site


def layout(wells: int, control: str | None) -> dict[str, str]:
    """Return well -> compound: B02, B03 ...; the first two are controls where there is one."""
    names = [f"{'BCD'[index // 4]}{index % 4 + 2:02d}" for index in range(wells)]
    controls = 2 if control else 0
    return {name: control if index < controls else COMPOUNDS[(index - controls) % 3] for index, name in enumerate(names)}


def write_phenix(folder: Path) -> None:
    """Write phenix/: two plates of HeLa, two of A431; five channels, four fields, positions in Index.idx.xml, and labels.csv."""
    wells, rows = layout(8, "DMSO"), []
    for plate, line in (("P101", "HeLa"), ("P102", "HeLa"), ("P103", "A431"), ("P104", "A431")):
        images = folder / "phenix" / f"{plate}__2026-02-03T10_00_00-Measurement1" / "Images"
        images.mkdir(parents=True)
        index = []
        for well, compound in wells.items():
            row, col = ord(well[0]) - 64, int(well[1:])
            rows.append((plate, well, line, compound, "" if compound == "DMSO" else "1.0"))
            for field in (1, 2, 3, 4):
                site = draw_site(well, compound, line, plate, field, channels=5)
                for channel, image in enumerate(site, start=1):
                    name = f"r{row:02d}c{col:02d}f{field:02d}p01-ch{channel}sk1fk1fl1.tiff"
                    tifffile.imwrite(images / name, image, metadata=None)
                    x, y = (PITCH_M * (place - 0.5) for place in ((field - 1) % 2, 1 - (field - 1) // 2))
                    index.append(
                        f"<Image><URL>{name}</URL><Row>{row}</Row><Col>{col}</Col><FieldID>{field}</FieldID><ChannelID>{channel}"
                        f'</ChannelID><PositionX Unit="m">{x}</PositionX><PositionY Unit="m">{y}</PositionY>'
                        f'<ImageResolutionX Unit="m">{PIXEL_M}</ImageResolutionX><ImageResolutionY Unit="m">{PIXEL_M}'
                        "</ImageResolutionY></Image>"
                    )
        text = f'<?xml version="1.0"?><EvaluationInputData><Images>{"".join(index)}</Images></EvaluationInputData>'
        (images / "Index.idx.xml").write_text(text)
    table = pd.DataFrame(rows, columns=["plate", "well", "Cell_type", "compound", "dose_uM"])
    table.to_csv(folder / "phenix" / "labels.csv", index=False)


def write_imagexpress(folder: Path) -> None:
    """Write imagexpress/: three plates of one line, three channels, two sites, every well treated; and labels.csv."""
    wells, rows = layout(6, None), []
    for plate in ("IX-1", "IX-2", "IX-3"):
        images = folder / "imagexpress" / plate / "TimePoint_1"
        images.mkdir(parents=True)
        for well, compound in wells.items():
            rows.append((plate, well, compound))
            for site in (1, 2):
                for channel, image in enumerate(draw_site(well, compound, "HeLa", plate, site, channels=3), start=1):
                    tifffile.imwrite(images / f"screen_{well}_s{site}_w{channel}.tif", image, metadata=None)
    table = pd.DataFrame(rows, columns=["plate", "well", "compound"])
    table.to_csv(folder / "imagexpress" / "labels.csv", index=False)


def write_single(folder: Path) -> None:
    """Write single/: two plates, one field a well, a file a channel under names of the lab's own; and labels.csv.

    And stacks/, a plate of it with all channels of a site in one file.
    """
    wells, rows = layout(8, "mock"), []
    (folder / "single").mkdir(parents=True)
    (folder / "stacks" / "day1").mkdir(parents=True)
    for plate in ("day1", "day2"):
        for well, compound in wells.items():
            rows.append((plate, well, compound))
            site = draw_site(well, compound, "HeLa", plate, 1, channels=2)
            for dye, image in zip(("hoechst", "phalloidin"), site, strict=True):
                tifffile.imwrite(folder / "single" / f"{plate}_{well}_{dye}.tif", image, metadata=None)
            if plate == "day1":
                tifffile.imwrite(folder / "stacks" / plate / f"{well}.tif", site, metadata=None)
    table = pd.DataFrame(rows, columns=["plate", "well", "sirna"])
    table.to_csv(folder / "single" / "labels.csv", index=False)
