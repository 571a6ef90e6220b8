"""Positions: every source read by value, in their order, and never guessed."""

import io
import math
from pathlib import Path

import pandas as pd
import pytest

import kit.images.source.locate
from kit.errors import KitError, UsageError
from kit.images.metadata import read_metadata
from kit.images.source.folders import Folder, ImageFile, Reader
from kit.images.source.layout_xml import read_index, read_tag
from kit.images.source.load_data import read_load_data
from kit.images.source.locate import Locator
from kit.images.source.positions import Positions, common_layout, from_layout_file, from_other_plates, from_table
from kit.images.source.source import open_source
from tests.images.made_plates import acquisition_xml, write_metadata, write_plate

NINE = {1: (-0.0003229, 0.0003229), 2: (-0.0009687, 0.0009687)}  # metres
SQUARE = {1: (0.0, 0.0), 2: (-0.0006458, 0.0006458)}
INDEX = """<?xml version="1.0"?><EvaluationInputData xmlns="http://www.perkinelmer.com/PEHH/HarmonyV6"><Images>{}</Images>
</EvaluationInputData>"""
IMAGE = """<Image><Row>1</Row><Col>1</Col><FieldID>{}</FieldID><PositionX Unit="m">{}</PositionX>
<PositionY Unit="m">{}</PositionY></Image>"""


def locate(folder, barcode="BR01", metadata=None, **places):
    source = open_source(folder, Reader())
    folders = [Folder(str(path)) for path in (folder, *places.pop("folders", []))]
    return Locator(source, Reader(), folders, metadata, **places).locate(source.plate(barcode))


def read(path):
    return read_load_data(ImageFile(str(path)), Reader())


def load_data(folder, barcode="BR01", x="0.0001", y="-0.0002", site=1):
    (folder / barcode).mkdir(parents=True, exist_ok=True)
    columns = {
        "Metadata_Plate": barcode,
        "Metadata_Well": "A1",
        "Metadata_Site": site,
        "Metadata_PositionX": x,
        "Metadata_PositionY": y,
    }
    pd.DataFrame([columns]).to_csv(folder / barcode / "load_data.csv.gz", index=False)
    return folder


def test_sources_in_their_order(tmp_path):
    source = tmp_path / "images"
    images = write_plate(source, "BR01", wells=("A01",), sites=(1,), channels=(1, 2))
    write_plate(source, "BR02", wells=("A01",), sites=(1, 2), channels=(1,), xml=acquisition_xml(NINE))
    assert locate(source).source == "plate BR02"
    assert locate(source).of("A01", 1) == pytest.approx((-322.9, 322.9))
    layout = tmp_path / "layout.csv"
    layout.write_text("field,x_um,y_um\n1,5,6\n")
    assert locate(source, layout=layout).of("A01", 1) == (5, 6)
    write_plate(tmp_path / "tagged", "BR01", wells=("A01",), sites=(1,), channels=(3,), xml=acquisition_xml(SQUARE))
    next(tmp_path.glob("tagged/*/Images/*")).rename(images / "r01c01f01p01-ch3sk1fk1fl1.tiff")
    assert (locate(source, layout=layout).source, locate(source).of("A01", 1)) == ("tag 65500", (0, 0))
    (images / "Index.idx.xml").write_text(INDEX.format(IMAGE.format(1, 0.0005, -0.0005)))
    assert (locate(source).source, locate(source).of("A01", 1)) == ("Index.idx.xml", (500, -500))
    folder = load_data(tmp_path / "load_data")
    assert locate(source, folders=[folder]).source == "load_data"
    assert locate(source, folders=[folder]).of("A01", 1) == pytest.approx((100, -200))


def test_a_plate_without_the_tag_is_not_opened_whole(tmp_path, monkeypatch):
    """27,648 images took half a minute a plate to say that there are no positions; the tag is in every image or in none."""
    images = write_plate(tmp_path, "BR01", wells=("A01",), sites=(1,), channels=(1,))
    one = next(images.iterdir())
    for number in range(2, 200):
        (images / f"r01c01f{number:03d}p01-ch1sk1fk1fl1.tiff").write_bytes(one.read_bytes())
    opened = []
    monkeypatch.setattr(kit.images.source.locate, "read_acquisition_xml", lambda file: opened.append(Path(file.name).name))
    assert locate(tmp_path).source == "none"
    numbers = [int(name[7:].partition("p")[0]) for name in opened]
    assert len(numbers) <= 64
    assert (numbers[0], numbers[-1]) == (1, 197)  # spread over the plate


def test_none_where_nothing_speaks(tmp_path):
    write_plate(tmp_path, "BR01", wells=("A01",), sites=(1,), channels=(1,))
    positions = locate(tmp_path)
    assert positions.source == "none"
    assert all(math.isnan(value) for value in positions.of("A01", 1))


def test_another_plate_must_be_of_the_batch_and_the_map(tmp_path):
    source = tmp_path / "images"
    write_plate(source, "BR01", wells=("A01",), sites=(1,), channels=(1,))
    write_plate(source, "BR00", wells=("A01",), sites=(1, 2), channels=(1,), xml=acquisition_xml(SQUARE))
    write_plate(source, "BR02", wells=("A01",), sites=(1, 2), channels=(1,), xml=acquisition_xml(NINE))
    tables = write_metadata(tmp_path / "m", {"BR01": "U2OS", "BR02": "A549"}, {"A01": ""})
    path = tables / "experiment-metadata.tsv"
    path.write_text(path.read_text() + "BATCH\tOther_platemap\tBR00\tA549\t96\n")
    assert locate(source, metadata=read_metadata(tables)).source == "plate BR02"
    path.write_text(path.read_text().replace("BATCH\tM_platemap\tBR02", "LATER\tM_platemap\tBR02"))
    assert locate(source, metadata=read_metadata(tables)).source == "none"


def plates(**layouts):
    return {name: lambda fields=fields: Positions("tag 65500", {}, fields) for name, fields in layouts.items()}


def test_the_plate_with_the_same_fields_is_preferred():
    nine, sixteen = {1: (1.0, 1.0), 2: (2.0, 2.0)}, {1: (9.0, 9.0), 2: (8.0, 8.0), 3: (7.0, 7.0)}
    found = from_other_plates([("A01", 1)], plates(BR01=sixteen, BR02=nine))
    assert (found.source, found.of("A01", 1)) == ("plate BR02", (1.0, 1.0))
    assert from_other_plates([("A01", 4)], plates(BR01=sixteen, BR02=nine)) is None
    assert from_other_plates([("A01", 1)], plates(BR01=nine, BR02={1: (5.0, 5.0), 2: (2.0, 2.0)})) is None  # one against one
    assert from_other_plates([("A01", 1)], plates(A={1: (5.0, 5.0), 2: (2.0, 2.0)}, B=nine, C=nine)).source == "plate B"


def test_fields_that_move_between_wells_have_no_common_place():
    assert common_layout({("A01", 1): (0.0, 0.0), ("A02", 1): (0.4, 0.0), ("A01", 2): (5.0, 5.0), ("A02", 2): (9.0, 5.0)}) == {
        1: (0, 0)
    }


def test_load_data_gives_each_site_its_own_place(tmp_path):
    table = read(load_data(tmp_path) / "BR01" / "load_data.csv.gz")
    table = pd.concat([table, table.assign(well="B02", Metadata_PositionX="0.0007"), table.assign(plate="BR77", well="C03")])
    positions = from_table(table, "BR01")
    assert positions.of("B02", 1) == pytest.approx((700, -200))
    assert all(map(math.isnan, positions.of("C03", 1)))  # another plate's row; and field 1 has no common place
    assert from_table(table.drop(columns="Metadata_PositionX"), "BR01") is None
    assert from_table(table.assign(Metadata_PositionX=""), "BR01") is None


@pytest.mark.parametrize(("x", "unit", "by"), [("0.969", "millimetres", "1,000"), ("-969", "micrometres", "1,000,000")])
def test_positions_that_are_not_metres_are_an_error(tmp_path, x, unit, by):
    table = read(load_data(tmp_path, x=x) / "BR01" / "load_data.csv.gz")
    with pytest.raises(KitError, match=f"PositionX of plate BR01 well .* is {x}, .* if these are {unit}, .* by {by}$"):
        from_table(table, "BR01")


def test_load_data_that_cannot_be_used(tmp_path):
    path = load_data(tmp_path, site="x") / "BR01" / "load_data.csv.gz"
    with pytest.raises(KitError, match="row 2: Metadata_Site is 'x'"):
        read(path)
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(KitError, match="cannot be read as a table"):
        read(path)
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(KitError, match="no column Metadata_Site"):
        read(tmp_path / "x.csv")


def test_tag_with_two_layouts_gives_each_well_its_own():
    xml = (
        b"<T><Sublayout><Field><X>1</X><Y>2</Y></Field></Sublayout><Sublayout><Field><X Unit='mm'>3</X><Y Unit='mm'>4</Y></Field>"
        b"</Sublayout><Well><Row>2</Row><Col>3</Col><SublayoutID>2</SublayoutID></Well></T>\0"
    )
    layouts, wells = read_tag(xml)
    assert layouts == [{1: (1e6, 2e6)}, {1: (3000, 4000)}]
    assert wells == {"B03": 1}


@pytest.mark.parametrize(
    "xml", [b"", b"<T>", b"\xff\xfe", b"<T><Sublayout><Field><X>a</X><Y>1</Y></Field></Sublayout></T>", b"<T/>"]
)
def test_a_tag_without_layout_says_nothing(xml):
    assert read_tag(xml)[0] == []


def test_index_errors_name_the_file():
    with pytest.raises(KitError, match=r"plate/Index\.idx\.xml"):
        read_index(io.BytesIO(b"<Images><Image>"), "plate/Index.idx.xml")
    assert read_index(io.BytesIO(INDEX.format("").encode()), "x") == {}


def test_layout_file_in_metres_and_of_several_plates(tmp_path):
    path = tmp_path / "layout.csv"
    path.write_text("plate,field,position_x_m,position_y_m\nBR01,1,0.0001,0.0002\nBR02,1,0,0\n")
    assert from_layout_file(path, "BR01").of("H12", 1) == pytest.approx((100, 200))
    assert from_layout_file(path, "BR09") is None
    path.write_text("field,x\n1,2\n")
    with pytest.raises(UsageError, match="need the columns field, x_um and y_um"):
        from_layout_file(path, "BR01")
    path.write_text("field,x_um,y_um\n1,2,\n")
    with pytest.raises(UsageError, match="every row"):
        from_layout_file(path, "BR01")


def test_real_tags_agree_with_the_published_layout(real_data):
    source = open_source(real_data / "cpjump1_images", Reader())
    known = pd.read_csv(real_data / "cpjump1_metadata" / "field_layout_from_tiff_tags.csv")
    locator = Locator(source, Reader(), [], read_metadata(real_data / "cpjump1_metadata"))
    for barcode in source.plates:
        positions = locator.locate(source.plate(barcode))
        assert positions.source == ("plate BR00117010" if barcode == "BR00117011" else "tag 65500")
        rows = known[known["plate"] == barcode]
        assert len(rows) == 9
        for _, field, x, y in rows.itertuples(index=False):
            assert positions.of("A01", field) == pytest.approx((x * 1e6, y * 1e6))
