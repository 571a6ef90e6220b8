"""The array says of itself, under the names of OME-Zarr, what a viewer needs; what nobody knows is not there."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr

from kit.errors import KitError
from kit.images.ingest import plate as packing
from kit.images.ingest.dry_run import dry_run
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.images.source.layout_xml import read_tag_pixel
from kit.images.store.container import open_container
from kit.images.store.ome import colours, first_pixel
from tests.commands import kit_here
from tests.images.made_plates import acquisition_xml, write_plate

LAYOUT = {1: (-0.0003, 0.0002), 2: (0.0003, 0.0002)}  # metres
INSTRUMENT = """<T><InstrumentDescription><Magnification Unit="">1.087</Magnification>
<Objectives><Objective><ID>A/1.0</ID><Magnification Unit="">20</Magnification></Objective>
<Objective><ID>B</ID><Magnification Unit="">5</Magnification></Objective></Objectives>
<Cameras><Camera><PixelSizeX Unit="m">0.0000065</PixelSizeX><PixelSizeY Unit="m">0.0000065</PixelSizeY></Camera></Cameras>
</InstrumentDescription><Exposures><Exposure><Objective>A/1.0</Objective><BinningX>2</BinningX><BinningY>2</BinningY></Exposure>
</Exposures></T>"""


@pytest.fixture
def images(tmp_path, monkeypatch) -> Path:
    """One plate of one well, two sites of 8 px and two channels."""
    monkeypatch.chdir(tmp_path)
    return write_plate(Path("images"), "LAB1", wells=("A01",), side=8, channels=(1, 2), xml=acquisition_xml(LAYOUT))


def attributes(work: str = "w") -> dict:
    return dict(zarr.open(f"{work}/plates/LAB1.zarr", mode="r")["pixels"].attrs)


def plan(work: str = "w", **options) -> IngestPlan:
    return IngestPlan(
        "images", work, **{"channel_names": {"ch1": "DNA", "ch2": "BF"}, "groups": {"brightfield": ("BF",)}} | options
    )


def test_a_viewer_finds_labels_colours_scale_and_places(images):
    ingest(plan(pixel_size=0.5, size=4))
    found = attributes()
    unit = {"type": "space", "unit": "micrometer"}
    assert found["axes"] == [{"name": "well"}, {"name": "field"}, {"name": "channel", "type": "channel"}, {"name": "y", **unit},
                             {"name": "x", **unit}]  # fmt: skip
    assert found["coordinateTransformations"] == [{"type": "scale", "scale": [1, 1, 1, 1.0, 1.0]}], (
        "half the pixels, twice the size"
    )
    assert found["translations"] == [[[-201.5, -301.5], [-201.5, 298.5]]], "of the first pixel, y down"
    dna, bf = found["omero"]["channels"]
    assert (dna["label"], dna["color"], bf["label"], bf["color"]) == ("DNA", "0000FF", "BF", "FFFFFF")
    assert (dna["window"]["min"], dna["window"]["max"]) == (0, 255)
    assert 0 <= dna["window"]["start"] < dna["window"]["end"] <= 255


def test_the_window_is_the_median_of_the_sites_percentiles(images):
    ingest(plan(bits=16))
    table = pd.read_parquet("w/plates/LAB1.parquet")
    window = attributes()["omero"]["channels"][1]["window"]
    assert window == {"min": 0, "max": 65535, "start": round(table["BF_low"].median()), "end": round(table["BF_high"].median())}


def test_what_nobody_knows_is_not_there(images):
    for path in images.glob("*"):
        tifffile.imwrite(path, tifffile.imread(path), resolution=(72, 72), resolutionunit="INCH")  # a screen's
    assert "pixel size unknown (--pixel-size UM gives it)" in dry_run(plan()).text()
    ingest(plan())
    found = attributes()
    assert "coordinateTransformations" not in found
    assert "translations" not in found
    assert found["axes"][3] == {"name": "y", "type": "space"}


def test_without_a_pixel_size_the_places_are_those_of_the_centres(images):
    ingest(plan())
    assert attributes()["translations"] == [[[-200.0, -300.0], [-200.0, 300.0]]]


def table(resolution: float) -> None:
    rows = {"Metadata_Plate": "LAB1", "Metadata_Well": "A01", "Metadata_Site": [1, 2], "FileName_a": "b",
            "Metadata_ImageResolutionX": resolution, "Metadata_ImageResolutionY": resolution}  # fmt: skip
    pd.DataFrame(rows).to_csv("images/load_data.csv", index=False)


def tag(images: Path, um: float) -> None:
    for path in images.glob("*.tiff"):
        tifffile.imwrite(path, tifffile.imread(path), resolution=(1e4 / um, 1e4 / um), resolutionunit="CENTIMETER")


def index(images: Path) -> None:
    sizes = [f'<ImageResolution{axis} Unit="m">{size}</ImageResolution{axis}>' for axis, size in (("X", 3.25e-7), ("Y", 6.5e-7))]
    (images / "Index.idx.xml").write_text(f"<E><Image>{''.join(sizes)}</Image></E>")


def test_where_a_pixel_size_is_read(images):
    def said(**options) -> str:
        return next(line.strip() for line in dry_run(plan(**options)).text().splitlines() if "pixel size" in line)

    tag(images, 6.45)  # as on CPJUMP1: the camera's own pixel
    assert said().startswith("pixel size unknown")
    tag(images, 0.65)
    assert said() == "pixel size 0.65 um (the TIFF's resolution tags)"
    index(images)
    assert said() == "pixel size 0.325 x 0.65 um (Index.idx.xml)"
    table(5.98e-7)
    assert said() == "pixel size 0.598 um (load_data)"
    assert said(pixel_size=0.7) == "pixel size 0.7 um (--pixel-size)"


def test_the_microscopes_metadata_give_a_pixel_only_if_they_agree():
    height, width = read_tag_pixel(INSTRUMENT.encode())
    assert height == width == pytest.approx(6.5 * 2 / (20 * 1.087))
    for old, new in (
        ("<BinningX>2", "<BinningX>1</BinningX><BinningX>2"),
        ("A/1.0</Obj", "C</Obj"),
        ("1.087", "0"),
        ("</T>", ""),
    ):
        assert read_tag_pixel(INSTRUMENT.replace(old, new).encode()) is None


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_a_pixel_size_is_more_than_0(images, value, capsys):
    kit_here(f"ingest images --work w --pixel-size {value}", 2)
    assert f"--pixel-size {value}: need micrometres, more than 0" in capsys.readouterr().err


def test_a_packed_plate_takes_no_other_pixel_size(images, capsys):
    kit_here("ingest images --work w --pixel-size 0.5")
    kit_here("ingest images --work w --pixel-size 0.5")
    kit_here("ingest images --work w --pixel-size 0.6", 2)
    said = capsys.readouterr().err
    assert "kit: --pixel-size 0.6: plate LAB1 is packed with 0.5 um, and packing it again is the only way to change it: " in said
    assert "delete w/plates/LAB1.parquet and .zarr, or leave it out with --plates" in said
    kit_here("ingest --work w --pixel-size 0.6 --groups brightfield=ch2", 2)
    assert "--pixel-size needs SOURCE" in capsys.readouterr().err


def test_a_kill_before_the_table_loses_nothing(images, monkeypatch):
    ingest(plan("whole"))

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(packing, "write_table", killed)
        with pytest.raises(KeyboardInterrupt):
            ingest(plan())
    ingest(plan())
    assert attributes() == attributes("whole")


def test_regrouping_keeps_what_viewers_are_told(images):
    ingest(plan(pixel_size=0.5))
    before = open_container(Path("w/plates/LAB1.zarr")).ome
    kit_here("ingest --work w --groups fluorescence=BF,DNA")
    assert open_container(Path("w/plates/LAB1.zarr")).ome == before
    assert [channel["color"] for channel in attributes()["omero"]["channels"]] == ["0000FF", "FF00FF"]


def test_damaged_attributes_are_named(images):
    ingest(plan(pixel_size=0.5))
    path = Path("w/plates/LAB1.zarr/pixels/zarr.json")
    array = json.loads(path.read_text())
    array["attributes"]["coordinateTransformations"] = [{"type": "scale"}]
    path.write_text(json.dumps(array))
    with pytest.raises(KitError, match=r"zarr.json is not readable \('scale'\)"):
        open_container(Path("w/plates/LAB1.zarr"))


def test_colours_of_sixteen_channels_and_of_brightfield():
    names = tuple(f"ch{number}" for number in range(1, 17))
    assert len(set(colours(names, {}))) == 8
    assert colours(("DNA", "Mito", "LowZBF", "GFP"), {}) == ["0000FF", "FF0000", "FFFFFF", "FF00FF"]
    assert first_pixel(float("nan"), 0.0, (8, 8), None) is None
    assert np.signbit(first_pixel(0.0, 0.0, (8, 8), None)).tolist() == [False, False]
