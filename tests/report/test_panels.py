"""Pictures side by side: each at its place, under its name."""

import io

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from kit.report.figures import Files
from kit.report.panels import Panel, mosaic, panels
from kit.report.sheet import sheet


def test_pictures_stand_in_rows_and_the_last_row_is_filled_with_white():
    tiles = [np.full((2, 3, 3), shade, dtype=np.uint8) for shade in (10, 20, 30)]
    whole = mosaic(tiles, 2)
    assert whole[..., 0].tolist() == [[10] * 3 + [20] * 3] * 2 + [[30] * 3 + [255] * 3] * 2
    assert mosaic(tiles[:1], 4).shape == (2, 3, 3)


def test_a_panel_is_drawn_once_for_the_page_and_for_the_file(tmp_path):
    drawn = []

    def draw(axes):
        drawn.append(axes)
        axes.axvspan(0, 1, color="red")
        axes.set_axis_off()

    shown = [Panel(f"panel <{number}>", f"what is in {number}", draw) for number in range(3)]
    table = pd.DataFrame({"a": [1.5]})
    block = panels(Files(tmp_path), "name", shown, table, size=(2.0, 1.0), across=2, alt="three", caption="Told.")
    assert len(drawn) == 3
    assert [picture.title for picture in block.pictures] == [panel.title for panel in shown]
    assert 'aria-label="what is in 2"' in block.pictures[2].html
    pixels = np.array(Image.open(tmp_path / "name.png"))
    assert pixels.shape == (2 * 150, 2 * 240, 3)  # 1.25 inches with the name, 120 dpi
    red = (pixels == (255, 0, 0)).all(axis=2)
    assert red[200, 120]
    assert not red[200, 360]  # no fourth picture
    assert red[90, 360]
    assert not red[:20].any()  # the name above
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "name.csv"), table)


def test_a_sheet_holds_each_picture_in_its_row_and_column():
    shades = ((60, 90), (120, 150), (180, 210))
    rows = [[np.full((40, 40, 3), shade, dtype=np.uint8) for shade in row] for row in shades]
    drawing: Figure = sheet(rows, ["a", "b", "c"], ["one", "two"], 1.0)
    file = io.BytesIO()
    drawing.savefig(file, format="png", dpi=100)
    pixels = np.array(Image.open(file).convert("RGB"))[..., 0]
    middle = [[pixels[25 + 100 * row + 48, pixels.shape[1] - 200 + 100 * column + 48] for column in (0, 1)] for row in (0, 1, 2)]
    assert middle == [list(row) for row in shades]
    (axes,) = drawing.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
