"""The made files against the microscope's and the gallery's forms."""

import csv
import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import tifffile
from matplotlib.image import imread

from kit.config import CHANNELS
from kit.errors import KitError, UsageError
from kit.images.phantom.figure import composite, draw_plate_figure
from kit.images.phantom.files import NINE, SIXTEEN, plates
from kit.images.phantom.plates import PhantomConfig, draw_well, make_plates
from kit.images.phantom.tables import PLATE_MAP, layout, read_answers

SMALL = PhantomConfig(seed=3, plates_per_line=2, compounds=3, dmso_wells=2, side=64, missing_wells=0.4)
HARMONY = "{http://www.perkinelmer.com/PEHH/HarmonyV5}"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("phantom") / "made"
    make_plates(out, SMALL, jobs=1)
    return out


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def load_data(out: Path, barcode: str) -> pd.DataFrame:
    return pd.read_csv(out / "load_data" / barcode / "load_data.csv.gz")


def test_every_file_is_the_microscopes_tiff(made):
    files = sorted((made / "images").rglob("*.tiff"))
    assert len(files) > 1000
    for path in files[:: max(1, len(files) // 60)]:
        raw = path.read_bytes()
        assert raw[:4] == b"II*\0"
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages[0]
            assert len(tiff.pages) == 1
            assert (page.compression, page.predictor, page.dataoffsets) == (5, 1, (8,))
            assert tiff.pages[0].offset >= 8 + page.databytecounts[0]  # the IFD lies behind the strip
            assert 277 not in page.tags  # no SamplesPerPixel
            codes = [tag.code for tag in page.tags.values()]
            assert codes == sorted(codes)
            counts = page.asarray()
            assert counts.shape == (SMALL.side, SMALL.side)
            assert counts.dtype == np.uint16
            assert (page.tags[340].value, page.tags[341].value) == (counts.min(), counts.max())


def test_tags_agree_with_the_real_files(made, real_data):
    real = next((real_data / "cpjump1_images").glob("BR00117012*/Images/r04c08f05p01-ch1sk1fk1fl1.tiff"))
    ours = next((made / "images").rglob("*-ch1sk1fk1fl1.tiff"))
    with tifffile.TiffFile(real) as theirs, tifffile.TiffFile(ours) as mine:
        their_tags = {tag.code: tag.dtype for tag in theirs.pages[0].tags.values()}
        my_tags = {tag.code: tag.dtype for tag in mine.pages[0].tags.values()}
        their_tree, my_tree = (ElementTree.fromstring(t.pages[0].tags[65500].value) for t in (theirs, mine))
    assert my_tags == {code: kind for code, kind in their_tags.items() if code != 315}  # Artist
    assert set(walk(my_tree)) <= set(walk(their_tree))  # no element that the microscope does not write


def walk(element, above=()):
    here = (*above, element.tag)
    yield here
    for child in element:
        yield from walk(child, here)


def test_positions_agree_in_tag_and_load_data_for_nine_and_sixteen_fields(made):
    for plate in plates(SMALL):
        table = load_data(made, plate.barcode)
        images = made / "images" / plate.folder / "Images"
        row = table.iloc[len(table) // 2]
        tree = ElementTree.fromstring(tifffile.TiffFile(images / row.FileName_OrigER).pages[0].tags[65500].value)
        fields = [(float(f.find(f"{HARMONY}X").text), float(f.find(f"{HARMONY}Y").text)) for f in tree.iter(f"{HARMONY}Field")]
        image = tree.find(f"{HARMONY}Image")
        assert [int(image.find(HARMONY + key).text) for key in ("Row", "Col", "FieldID")] == [
            row.Metadata_Row,
            row.Metadata_Col,
            row.Metadata_Site,
        ]
        np.testing.assert_allclose(fields, np.array(plate.places) * 64 * 1.19595e-6, rtol=1e-12)  # places x pixels x metres
        seen = np.array([fields[site - 1] for site in table.Metadata_FieldID])
        np.testing.assert_allclose(table[["Metadata_PositionX", "Metadata_PositionY"]], seen, atol=5.1e-10)  # metres
        assert len(fields) == len(plate.places)
    assert [len(plate.places) for plate in plates(SMALL)] == [9, 16, 9, 16]


def test_the_nine_places_are_the_real_ones(real_data):
    table = pd.read_csv(real_data / "cpjump1_metadata" / "field_layout_from_tiff_tags.csv")
    real = table[table.plate == "BR00117010"].sort_values("field")[["position_x_m", "position_y_m"]].to_numpy()
    np.testing.assert_allclose(real / 645.8140e-6, NINE, atol=1e-4)


def test_sixteen_places_are_the_whole_grid_centre_first():
    assert sorted(SIXTEEN) == sorted((x, y) for x in (-1.5, -0.5, 0.5, 1.5) for y in (-1.5, -0.5, 0.5, 1.5))
    assert SIXTEEN[0] == NINE[0]
    steps = np.abs(np.diff(SIXTEEN[1:], axis=0)).sum(axis=1)
    assert steps.max() == 2  # a zig-zag: it only ever jumps over the centre place


def test_tables_have_the_official_columns(made, real_data):
    real, ours = real_data / "cpjump1_metadata", made / "metadata"
    pairs = {
        "experiment-metadata.tsv": "experiment-metadata.tsv",
        "barcode_platemap.csv": "barcode_platemap.csv",
        "JUMP-Target-1_compound_platemap.txt": f"{PLATE_MAP}.txt",
        "JUMP-Target-1_compound_metadata.tsv": f"{PLATE_MAP.removesuffix('_platemap')}_metadata.tsv",
    }
    for theirs, mine in pairs.items():
        assert (real / theirs).read_text().splitlines()[0] == (ours / mine).read_text().splitlines()[0], theirs
    sample = pd.read_csv(real / "load_data_sample_BR00116991_A01.csv").columns
    table = load_data(made, "MADE0001").columns
    assert [name for name in table if not name.startswith("PathName_Orig")] == list(sample)
    assert sum(name.startswith("PathName_Orig") for name in table) == 8


def test_load_data_lists_exactly_the_images(made):
    for plate in plates(SMALL):
        table = load_data(made, plate.barcode)
        named = {name for channel in CHANNELS for name in table[f"FileName_Orig{channel}"]}
        assert named == {path.name for path in (made / "images" / plate.folder / "Images").iterdir()}
        assert {made / name for name in table.PathName_OrigDNA} == {made / "images" / plate.folder / "Images"}
        for channel, number in zip(CHANNELS, range(1, 9), strict=True):
            assert table[f"FileName_Orig{channel}"].str.contains(f"-ch{number}sk1").all()
        experiment = pd.read_csv(made / "metadata" / "experiment-metadata.tsv", sep="\t").set_index("Assay_Plate_Barcode")
        assert experiment.loc[plate.barcode, "Number_of_images"] == len(named)
        assert experiment.loc[plate.barcode, "Batch"] == "MADE_3"
        assert re.fullmatch(r"MADE\d{4}__\d{4}-\d\d-\d\dT\d\d_\d\d_\d\d-Measurement1", plate.folder)


def test_some_wells_lack_one_or_two_sites(made):
    lacking = []
    for plate in plates(SMALL):
        per_well = load_data(made, plate.barcode).groupby("Metadata_Well").size()
        assert set(per_well.index) == set(layout(SMALL))
        lacking += list(len(plate.places) - per_well)
    assert set(lacking) == {0, 1, 2}
    assert 0.1 < np.mean(np.array(lacking) > 0) < 0.7  # missing_wells = 0.4, 32 wells


def test_ids_name_every_compound_well_once_and_no_dmso(made):
    with (made / "metadata_test.csv").open() as file:
        rows = list(csv.DictReader(file))
    wells = layout(SMALL)
    expected = {(plate.barcode, well) for plate in plates(SMALL) for well, sample in wells.items() if sample}
    listed = [(row["Metadata_Plate"], row["Metadata_Well"]) for row in rows]
    assert set(listed) == expected
    assert len(listed) == len(expected)
    assert listed != sorted(listed)
    assert len({row["ID"] for row in rows}) == len(rows)


def test_a_position_holds_the_same_compound_everywhere_and_each_compound_its_wells():
    wells = layout(PhantomConfig())
    samples = list(wells.values())
    assert len(wells) == 44
    assert samples.count("") == 8
    assert all(samples.count(sample) == 2 for sample in set(samples) - {""})
    rows = {well[0] for well, sample in wells.items() if not sample}
    assert len(rows) == 8  # one DMSO well in every other pair of rows: spread over the plate


def test_the_bytes_do_not_depend_on_the_number_of_jobs(made, tmp_path):
    make_plates(tmp_path / "two", SMALL, jobs=2)
    assert digest(tmp_path / "two") == digest(made)


def test_another_seed_gives_other_plates():
    """Other wells hold the compounds, and the first of them shows other pixels in every channel of every site."""
    other = replace(SMALL, seed=4)
    assert list(layout(other)) != list(layout(SMALL))
    drawn = [draw_well(config, plates(config)[0], next(iter(layout(config))), range(1, 4)) for config in (SMALL, other)]
    for site in range(1, 4):
        ours, theirs = (sites[site][0] for sites in drawn)
        assert ((ours != theirs).mean(axis=(1, 2)) > 0.9).all()


def test_a_folder_in_use_is_refused_and_a_stale_part_replaced(tmp_path):
    config = PhantomConfig(plates_per_line=1, wide_plates_per_line=0, compounds=1, wells_per_compound=1, dmso_wells=0, side=32)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("keep")
    with pytest.raises(KitError, match=r"used exists and is not empty"):
        make_plates(tmp_path / "used", config, jobs=1)
    assert (tmp_path / "used" / "mine.txt").read_text() == "keep"
    stale = tmp_path / ".new.part"
    stale.mkdir()
    (stale / "half.tiff").write_bytes(b"II")
    (tmp_path / "new").mkdir()  # empty: allowed
    summary = make_plates(tmp_path / "new", config, jobs=1)
    assert not stale.exists()
    assert not list((tmp_path / "new").rglob("half.tiff"))
    assert summary.sites == len(list((tmp_path / "new").rglob("*-ch1sk*.tiff")))
    assert "MADE_0" in summary.text()


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads the children of a process from /proc: Linux only")
def test_a_killed_run_leaves_no_plates_and_no_workers(tmp_path):
    code = "from kit.images.phantom.plates import make_plates\nif __name__ == '__main__':\n    make_plates('made', jobs=2)\n"
    (tmp_path / "run.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen([sys.executable, "run.py"], cwd=tmp_path, env=environment)
    part = tmp_path / ".made.part"
    deadline = time.monotonic() + 30
    while not list(part.rglob("*.tiff")) and time.monotonic() < deadline:
        time.sleep(0.1)
    children = [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    assert len(children) >= 2
    process.kill()
    process.wait()
    while any(alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(alive(child) for child in children)
    assert list(part.rglob("*.tiff"))
    assert not (tmp_path / "made").exists()
    config = PhantomConfig(plates_per_line=1, wide_plates_per_line=0, compounds=1, wells_per_compound=1, dmso_wells=0, side=32)
    make_plates(tmp_path / "made", config, jobs=1)
    assert {path.name for path in tmp_path.iterdir()} == {"run.py", "made"}


def test_a_failed_run_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(KitError, match="cannot write the made plates"):
        make_plates(tmp_path / "file" / "made", SMALL, jobs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_answers_hold_every_parameter_and_effect(made):
    answers = json.loads((made / "answers.json").read_text())
    assert answers["made"] is True
    assert answers["config"]["well_gain"] == SMALL.well_gain
    effects = {entry["pert_iname"]: entry["traits"] for entry in answers["compounds"].values()}
    assert effects["made-nucleus-large"] == {"nucleus_size": 0.30}
    assert effects["made-inert-1"] == {}


def test_drawing_a_well_again_gives_the_files_pixels(made):
    plate = plates(SMALL)[2]
    well = next(iter(layout(SMALL)))
    for site, (image, _) in draw_well(SMALL, plate, well).items():
        row, column = ord(well[0]) - 64, int(well[1:])
        for channel in range(8):
            name = f"r{row:02d}c{column:02d}f{site:02d}p01-ch{channel + 1}sk1fk1fl1.tiff"
            np.testing.assert_array_equal(tifffile.imread(made / "images" / plate.folder / "Images" / name), image[channel])


def test_load_data_is_the_same_gzip_every_time(made):
    data = (made / "load_data" / "MADE0001" / "load_data.csv.gz").read_bytes()
    assert data[4:8] == b"\0\0\0\0"  # no time stamp
    assert gzip.decompress(data).startswith(b"Count_Cells,")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": -1}, "seed = -1"),
        ({"compounds": 0}, "compounds = 0"),
        ({"compounds": 99}, "at most 54"),
        ({"wide_plates_per_line": 9}, "wide_plates_per_line = 9"),
        ({"missing_wells": 1.5}, "missing_wells = 1.5"),
        ({"blur_px": (2.0, 1.0)}, "blur_px"),
        ({"signal": (1.0,)}, "5 values"),
        ({"strength": float("nan")}, "strength = nan"),
        ({"dmso_wells": 380}, "384 wells"),
    ],
)
def test_impossible_parameters_are_refused(values, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        PhantomConfig(**values)


def test_answers_give_the_configuration_back(made):
    assert read_answers(made / "answers.json") == SMALL


def test_the_figure_is_a_picture_of_the_files(made, tmp_path):
    draw_plate_figure(made, tmp_path / "plates.png")
    picture = imread(tmp_path / "plates.png")
    assert picture.shape[1] > 1000
    assert picture[..., :3].std() > 0.1
    with pytest.raises(KitError, match="holds no made plates"):
        draw_plate_figure(tmp_path, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_a_composite_takes_the_named_channels():
    image = np.zeros((8, 4, 4), np.uint16)
    image[4, 1, 2] = 500  # DNA
    assert composite(image, ("AGP", "ER", "DNA"))[1, 2] == pytest.approx([0, 0, 1])
    assert composite(image, ("AGP", "ER", "DNA")).sum() == pytest.approx(1)
