"""The table shows what stands beside an accuracy as score.json has it, and what is missing with its reason."""

import kit
from kit.companions.beside_table import beside_table
from tests.companions.made import made


def test_a_row_holds_the_numbers_of_score_json():
    result = kit.score(made(compound=1.0, position=0.5))
    own = {key: result[key]["directions"]["U2OS->U2OS"] for key in ("null", "cross_position", "dmso_position", "verdict")}
    activity, plate = result["map"]["activity"]["U2OS"], result["plate"]["groups"]["U2OS"]
    table = beside_table(result)
    row = dict(zip(table["head"], table["rows"][0][1:], strict=True))
    assert table["rows"][0][0] == "U2OS->U2OS"
    assert row["accuracy"].startswith(f"{100 * result['mean']:.1f} [")
    assert row["null (95th)"] == f"{100 * own['null']['value']:.1f} ({100 * own['null']['p95']:.1f})"
    assert row["cross-position"].startswith(f"{100 * own['cross_position']['value']:.1f} [")
    assert row["own position kept"].startswith(f"{100 * own['cross_position']['own_position_kept']:.1f} [")
    assert row["control position"].startswith(f"{100 * own['dmso_position']['value']:.1f} [")
    assert row["plate of control wells"].startswith(f"{100 * plate['value']:.1f} [")
    assert row["mAP of activity"] == f"{activity['value']:.3f} ({100 * activity['retrieved']:.1f} % retrieved)"
    assert row["verdict"] == own["verdict"]["value"]
    assert table["rows"][1] == ["chance", *[f"{100 / 16:.2f}"] * 4, f"{100 / 12:.2f}", f"{100 / 6:.2f}", "", "", ""]
    assert f"U2OS->U2OS: {row['verdict']}: {own['verdict']['text']}" in table["notes"]


def test_what_is_missing_is_a_dash_and_a_reason():
    profiles = made(compound=1.0)
    frame = profiles.who.drop(columns="Metadata_is_control").copy()
    frame[[f"f{number}" for number in range(profiles.features_MF.shape[1])]] = profiles.features_MF
    table = beside_table(kit.score(frame[frame["Metadata_broad_sample"] != ""], label="broad_sample"))
    row = dict(zip(table["head"], table["rows"][0][1:], strict=True))
    assert [row["control position"], row["plate of control wells"], row["mAP of activity"], row["verdict"]] == ["-"] * 4
    assert table["notes"][0] == "null of the final features only: cannot see what alignment made: the features record no steps"
    assert "control position: no control well among the features" in table["notes"]
    assert "plate of control wells: no control well among the features" in table["notes"]
    assert table["notes"][-1] == "no verdict"


def test_a_score_of_before_has_no_such_table():
    result = kit.score(made())
    del result["null"]
    assert beside_table(result) is None
