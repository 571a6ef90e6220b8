"""Sites merged into nine blocks: against torch's interpolate and by hand."""

import numpy as np
import pandas as pd
import pytest

from kit.profiles.places import NINE_PLACES
from kit.profiles.wells import merge_sites, place_sites

from .test_places import GRID, fields_of


def sites_of(plate: str, well: str, sites) -> pd.DataFrame:
    return pd.DataFrame({"Metadata_Plate": plate, "Metadata_Well": well, "Metadata_Site": list(sites)})


BILINEAR = {"mode": "bilinear", "align_corners": False}
CORNERS = {"mode": "bilinear", "align_corners": True}


@pytest.mark.parametrize(("method", "options"), [("area", {"mode": "area"}), ("bilinear", BILINEAR), ("corners", CORNERS)])
def test_sixteen_sites_are_interpolated_as_torch_does(method, options):
    torch = pytest.importorskip("torch")
    features_SD = np.random.default_rng(0).standard_normal((16, 7)).astype(np.float32)
    who = sites_of("P", "A01", range(1, 17))
    merged = merge_sites(features_SD, who, place_sites(fields_of("P", GRID), method))
    grid_1D44 = torch.from_numpy(features_SD.reshape(4, 4, 7)).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(grid_1D44, size=(3, 3), **options)[0].permute(1, 2, 0).reshape(9, 7)
    np.testing.assert_allclose(merged.vectors_MBD[0], expected.numpy(), rtol=1e-5, atol=1e-6)
    assert merged.filled == 0


def test_area_by_hand():
    layout = place_sites(fields_of("P", GRID), "area")
    values = np.arange(16, dtype=np.float32)[:, None]  # 0 1 2 3 / 4 5 6 7 / ...
    merged = merge_sites(values, sites_of("P", "A01", range(1, 17)), layout).vectors_MBD[0, :, 0]
    np.testing.assert_allclose(merged, [2.5, 3.5, 4.5, 6.5, 7.5, 8.5, 10.5, 11.5, 12.5])


def test_order_by_position_undoes_the_numbering():
    numbering = np.random.default_rng(2).permutation(16)
    fields = fields_of("P", np.array(GRID)[numbering])
    values = numbering[:, None].astype(np.float32)  # a site's value is its place
    who = sites_of("P", "A01", range(1, 17))
    by_place = merge_sites(values, who, place_sites(fields, "area", "position"))
    in_order = merge_sites(np.arange(16, dtype=np.float32)[:, None], who, place_sites(fields_of("P", GRID), "area"))
    np.testing.assert_allclose(by_place.vectors_MBD, in_order.vectors_MBD)


def test_position_takes_the_same_places_from_nine_and_sixteen():
    fields = pd.concat([fields_of("NINE", NINE_PLACES), fields_of("SIXTEEN", GRID)])
    at = np.concatenate([NINE_PLACES, GRID]).astype(np.float32)  # the feature is the place itself
    who = pd.concat([sites_of("NINE", "A01", range(1, 10)), sites_of("SIXTEEN", "A01", range(1, 17))])
    merged = merge_sites(at, who, place_sites(fields, "position"))
    np.testing.assert_array_equal(merged.vectors_MBD[0], np.array(NINE_PLACES, dtype=np.float32))
    np.testing.assert_array_equal(merged.vectors_MBD[1], np.array(NINE_PLACES, dtype=np.float32))
    assert merged.filled == 0


def test_rows_in_any_order_give_the_same_wells():
    rng = np.random.default_rng(3)
    who = pd.concat([sites_of("P", well, range(1, 10)) for well in ("B02", "A01")], ignore_index=True)
    features_ND = rng.standard_normal((18, 3)).astype(np.float32)
    layout = place_sites(fields_of("P", NINE_PLACES), "position")
    order = rng.permutation(18)
    plain, shuffled = merge_sites(features_ND, who, layout), merge_sites(features_ND[order], who.iloc[order], layout)
    np.testing.assert_array_equal(plain.vectors_MBD, shuffled.vectors_MBD)
    assert plain.wells["Metadata_Well"].tolist() == ["A01", "B02"]


@pytest.mark.parametrize("method", ["position", "area"])
def test_a_well_of_seven_sites_takes_its_mean_where_it_has_none(method):
    present = [1, 2, 4, 5, 6, 8, 9]
    values = np.array(present, dtype=np.float32)[:, None]
    merged = merge_sites(values, sites_of("P", "A01", present), place_sites(fields_of("P", NINE_PLACES), method))
    np.testing.assert_allclose(merged.vectors_MBD[0, :, 0], [1, 2, 5, 4, 5, 6, 5, 8, 9])  # their mean is 5
    assert merged.filled == 2


def test_a_well_without_any_common_place_takes_the_mean_of_its_sites():
    fields = fields_of("P", GRID)
    layout = place_sites(fields, "position")
    elsewhere = [site for site in range(1, 17) if site not in layout.slots["P"][1]][:2]
    merged = merge_sites(np.array([[2.0], [4.0]], dtype=np.float32), sites_of("P", "A01", elsewhere), layout)
    np.testing.assert_allclose(merged.vectors_MBD, np.full((1, 9, 1), 3.0))
    assert merged.filled == 9
