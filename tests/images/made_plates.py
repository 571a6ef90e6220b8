"""Tiny plates written by tifffile, an independent writer: gallery folder names, one TIFF per site and channel."""

from pathlib import Path

import numpy as np
import tifffile

FIELDS = """<Sublayouts><Sublayout>{fields}</Sublayout></Sublayouts>
<Wells><Well><Col>1</Col><Row>1</Row><SublayoutID>1</SublayoutID></Well></Wells>"""


def acquisition_xml(fields: dict[int, tuple[float, float]]) -> bytes:
    """The part of tag 65500 that lists the fields, in metres, inside the microscope's namespace."""
    text = "".join(f'<Field><X Unit="m">{x!r}</X><Y Unit="m">{y!r}</Y></Field>' for _, (x, y) in sorted(fields.items()))
    return f'<?xml version="1.0"?><T xmlns="http://www.perkinelmer.com/PEHH/HarmonyV5">{FIELDS.format(fields=text)}</T>'.encode()


def counts(barcode: str, well: str, site: int, channel: int, side: int = 24) -> np.ndarray:
    """The counts of one image, all images different: background, a blob and noise."""
    rng = np.random.default_rng([*barcode.encode(), *well.encode(), site, channel])
    y, x = np.mgrid[:side, :side]
    blob = 4000 * np.exp(-((y - side / 2) ** 2 + (x - side / 3) ** 2) / side)
    return (300 + 50 * channel + blob + rng.integers(0, 200, (side, side))).astype(np.uint16)


def write_plate(folder: Path, barcode: str, wells=("A01", "B02"), sites=(1, 2), channels=range(1, 9), side=24, xml=None, **tiff):
    """Write a plate and return its Images folder."""
    images = Path(folder) / f"{barcode}__2020-11-08T18_18_00-Measurement1" / "Images"
    images.mkdir(parents=True)
    for well in wells:
        for site in sites:
            for channel in channels:
                write_image(images, barcode, well, site, channel, side, xml, **tiff)
    return images


def write_image(images: Path, barcode, well, site, channel, side=24, xml=None, **tiff):
    """Write one image as the microscope does: LZW, one strip."""
    row, col = ord(well[0]) - 64, int(well[1:])
    path = images / f"r{row:02d}c{col:02d}f{site:02d}p01-ch{channel}sk1fk1fl1.tiff"
    tags = [(65500, 1, len(xml), xml, False)] if xml else []
    options = {"compression": "lzw", "rowsperstrip": side, **tiff}
    tifffile.imwrite(path, counts(barcode, well, site, channel, side), extratags=tags, metadata=None, **options)
    return path


def write_tiff(path: Path, counts: np.ndarray, **tiff) -> Path:
    """Write an image under any name, its folders too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, counts, **{"photometric": "minisblack", "metadata": None, **tiff})
    return path


def write_metadata(folder: Path, plates: dict[str, str], wells: dict[str, str], plate_map="M_platemap", batch="BATCH") -> Path:
    """Write the official tables: plate -> cell line, and well -> broad_sample ("" is DMSO)."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{batch}\t{plate_map}\t{plate}\t{line}\t24\n" for plate, line in plates.items()]
    head = "Batch\tPlate_Map_Name\tAssay_Plate_Barcode\tCell_type\tTime\n"
    (folder / "experiment-metadata.tsv").write_text(head + "".join(rows))
    pairs = [f"{plate},{plate_map}\n" for plate in plates]
    (folder / "barcode_platemap.csv").write_text("Assay_Plate_Barcode,Plate_Map_Name\n" + "".join(pairs))
    positions = [f"{well}\t{sample}\tDMSO\n" for well, sample in wells.items()]
    (folder / f"{plate_map}.txt").write_text("well_position\tbroad_sample\tsolvent\n" + "".join(positions))
    samples = sorted(set(wells.values()) - {""})
    compounds = [f"{sample}\tKEY-{sample}\tname-{sample}\ttrt\t\n" for sample in samples]
    head = "broad_sample\tInChIKey\tpert_iname\tpert_type\tcontrol_type\n"
    (folder / f"{plate_map.removesuffix('_platemap')}_metadata.tsv").write_text(head + "".join(compounds))
    return folder
