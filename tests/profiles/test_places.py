"""Field numbers to places, on the positions read from real images and on made ones."""

import numpy as np
import pandas as pd
import pytest

from kit.errors import KitError
from kit.profiles.places import NINE_PLACES, PITCH_UM, common_places, field_positions, find_places, grid_slots


def fields_of(plate: str, at, pitch: float = PITCH_UM, first: int = 1) -> pd.DataFrame:
    x, y = np.array(at, dtype=float).T * pitch
    return pd.DataFrame({"Metadata_Plate": plate, "Metadata_Site": range(first, first + len(x)), "x_um": x, "y_um": y})


GRID = [(x, y) for y in (1.5, 0.5, -0.5, -1.5) for x in (-1.5, -0.5, 0.5, 1.5)]  # row-major, top row first


@pytest.mark.parametrize("pitch", [PITCH_UM, 150.0, 2.0])
def test_the_nine_fields_are_their_own_places_at_any_pitch(pitch):
    assert common_places(fields_of("P", NINE_PLACES, pitch)) == {"P": {site: site - 1 for site in range(1, 10)}}


def test_sixteen_fields_give_the_same_nine_places():
    shuffled = np.random.default_rng(0).permutation(GRID)
    slots = common_places(fields_of("P", shuffled, 300.0))["P"]
    assert sorted(slots.values()) == list(range(9))
    for site, slot in slots.items():
        assert tuple(shuffled[site - 1]) == NINE_PLACES[slot]


def test_a_stage_that_is_a_little_off_still_matches():
    rng = np.random.default_rng(1)
    fields = fields_of("P", np.array(NINE_PLACES) + rng.uniform(-0.01, 0.01, (9, 2)))
    assert common_places(fields)["P"] == {site: site - 1 for site in range(1, 10)}


def test_a_plate_with_one_site_takes_the_pitch_of_the_others_or_the_known_one():
    alone = fields_of("P", [NINE_PLACES[4]], first=5)
    assert common_places(alone) == {"P": {5: 4}}
    small = fields_of("P", [NINE_PLACES[4]], pitch=150.0, first=5)
    both = pd.concat([small, fields_of("Q", NINE_PLACES, pitch=150.0)])
    assert common_places(both)["P"] == {5: 4}


@pytest.mark.parametrize("pitch", [PITCH_UM, PITCH_UM / 2, 300.0, 61.0])
@pytest.mark.parametrize("side", [3, 5, 6])
def test_a_centred_block_has_no_common_place_at_any_pitch(side, pitch):
    """Not at half the usual pitch either, where two fields of nine, and two of 25, would be at common places."""
    steps = np.arange(side) - (side - 1) / 2
    block = fields_of("ORF", [(x, y) for y in steps for x in steps], pitch)
    assert find_places(block) == {"ORF": {}}
    with pytest.raises(KitError, match="plate ORF: --sites position finds none of its fields at the nine common places"):
        common_places(block)


def test_the_real_positions(real_data):
    table = pd.read_csv(real_data / "cpjump1_metadata" / "field_layout_from_tiff_tags.csv")
    table = table.rename(columns={"plate": "Metadata_Plate", "field": "Metadata_Site"})
    table = table.assign(x_um=table["position_x_m"] * 1e6, y_um=table["position_y_m"] * 1e6)
    compound = table[table["Metadata_Plate"] != "BR00117006"]
    assert set(map(str, common_places(compound).values())) == {str({site: site - 1 for site in range(1, 10)})}
    with pytest.raises(KitError, match="BR00117006"):  # the ORF plate has a centred 3 x 3 block: no common place
        common_places(table[table["Metadata_Plate"] == "BR00117006"])


def test_no_position_is_one_line_naming_the_plate():
    fields = fields_of("P7", NINE_PLACES)
    fields.loc[3, "x_um"] = np.nan
    with pytest.raises(KitError, match="plate P7 has none") as error:
        common_places(fields)
    assert "\n" not in str(error.value)


def test_positions_are_the_median_over_wells():
    one = fields_of("P", NINE_PLACES)
    off = one.assign(x_um=one["x_um"] + 500)
    fields = field_positions(pd.concat([one, one, off]))
    np.testing.assert_allclose(fields["x_um"], one["x_um"])


def test_grid_slots_by_number_and_by_position():
    backwards = fields_of("P", GRID[::-1])
    assert grid_slots(backwards, "file")["P"] == (16, {site: site - 1 for site in range(1, 17)})
    assert grid_slots(backwards, "position")["P"] == (16, {site: 16 - site for site in range(1, 17)})
    nine = grid_slots(fields_of("P", NINE_PLACES), "position")["P"]
    assert nine == (9, {site: slot for slot, site in enumerate([2, 3, 1, 4, 5, 6, 9, 8, 7])})  # top row first, then left to right


def test_a_plate_that_lacks_a_field_everywhere_keeps_its_numbers():
    fields = fields_of("P", NINE_PLACES).drop(index=2)
    assert grid_slots(fields, "file")["P"] == (9, {site: site - 1 for site in (1, 2, 4, 5, 6, 7, 8, 9)})
    with pytest.raises(KitError, match="P has 8 fields"):
        grid_slots(fields, "position")
    with pytest.raises(KitError, match="P has 25 fields"):
        grid_slots(fields_of("P", [(x, y) for x in range(5) for y in range(5)]), "file")
