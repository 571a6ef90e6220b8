"""mAP in the output of `kit score` and in score.json: values where wells allow them, else why not."""

import json

import numpy as np
import pandas as pd
import pytest

import kit
from kit.challenge.score import score
from kit.errors import UsageError
from kit.measures.section import Measures
from tests.challenge.conftest import DMSO, make_table, metadata  # noqa: F401  # the fixture: official tables of seven plates
from tests.commands import kit_command
from tests.companions.test_kit_score import CONTROLS, SCORE, aligned_noise, made_once, scored  # noqa: F401  # fixtures


def measured(table: pd.DataFrame, metadata, **options) -> dict:  # noqa: F811
    """Return what `kit.score` does of a table, without the companions."""
    return score(table, metadata, sections=(Measures(**options),))


def entry(found: dict, name: str, group: str) -> tuple[float | None, str]:
    return found["map"][name][group]["value"], found["map"][name][group].get("reason", "")


def test_measures_stand_in_score_json_and_output(metadata, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    make_table(signal=3.0).to_csv("x.csv", index=False)
    done = kit_command("score", "x.csv", "--metadata", str(metadata), "--json", "score.json").stdout
    found = json.loads((tmp_path / "score.json").read_text())["map"]
    assert found["null"] == "exact, one null shared by like queries"
    assert (found["metric"], found["rate"], found["target"]) == ("cosine", 0.05, None)
    for group, plates in (("U2OS", 3), ("A549", 4)):
        own = found["activity"][group]
        assert own["compounds"] == 10
        assert own["queries"] == 12 * plates
        assert own["value"] > 0.8
        assert f"mAP of activity, {group}: {own['value']:.3f}, {round(10 * own['retrieved'])} of 10 compounds retrieved" in done
    assert done.splitlines()[-2] == "mAP by cosine; p exact, one null shared by like queries; false discovery rate 0.05"
    assert "mAP of consistency, U2OS, A549: - (no column of targets: --target COLUMN names one" in done


def test_official_targets_and_genes(metadata, tmp_path):  # noqa: F811
    folder = tmp_path / "metadata"
    folder.mkdir()
    for file in metadata.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    compounds = pd.read_csv(folder / "map_metadata.tsv", sep="\t", keep_default_na=False)
    compounds.assign(gene=["G1", "G1", "G2", "G2"] + [""] * 6).to_csv(folder / "map_metadata.tsv", sep="\t", index=False)
    each = {"null": "each"}  # three wells can be retrieved
    of_gene = measured(make_table(signal=3.0), folder, **each)["map"]
    assert (of_gene["target"], of_gene["consistency"]["U2OS"]["targets"]) == ("target", 2)
    targets = pd.DataFrame(
        {"broad_sample": [f"BRD-{index}" for index in range(6)], "target_list": ["A|B", "A", "B", "C", "C", ""]}
    )
    targets.to_csv(folder / "map_metadata_targets.tsv", sep="\t", index=False)
    assert measured(make_table(signal=3.0), folder, **each)["map"]["consistency"]["U2OS"]["targets"] == 3


def test_a_column_of_mechanisms(metadata):  # noqa: F811
    table = make_table(signal=3.0)
    named = table.assign(Metadata_mechanism=np.where(table["Metadata_Well"].str[1:].astype(int) < 3, "x", "y"))
    found = kit.score(named, metadata, target="mechanism", map_null="each")["map"]
    assert (found["target"], found["consistency"]["A549"]["targets"]) == ("mechanism", 2)
    with pytest.raises(UsageError, match=r"--target mechanisn: no such column; did you mean mechanism\?"):
        measured(named, metadata, target="mechanisn")


def test_one_null_per_query_is_a_switch(metadata):  # noqa: F811
    shared = measured(make_table(), metadata)["map"]
    each = kit.score(make_table(), metadata, map_null="each")["map"]
    assert shared["activity"]["U2OS"]["value"] == each["activity"]["U2OS"]["value"]
    assert shared["activity"]["U2OS"]["retrieved"] < each["activity"]["U2OS"]["retrieved"]
    assert each["null"] == "exact, one null per query"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t[~t["Metadata_Well"].isin(DMSO)], "no control well among the features"),
        (lambda t: t[~(t["Metadata_Well"].isin(DMSO) & t["Metadata_Plate"].str.startswith("U"))],
         "no plate with compound wells has a control well"),
        (lambda t: t.assign(**dict.fromkeys([f"x{index}" for index in range(6)], 1.5)), "every well has the same features"),
        (lambda t: t[~t["Metadata_Plate"].str.startswith("U")], "no U2OS compound wells among the features"),
        (lambda t: t[~t["Metadata_Plate"].isin(["U2", "U3"]) & ~t["Metadata_Well"].str.startswith("D")],
         "no compound has two wells"),
    ],
)  # fmt: skip
def test_why_there_is_no_activity(metadata, change, reason):  # noqa: F811
    found = measured(change(make_table()), metadata)
    assert entry(found, "activity", "U2OS") == (None, reason)
    assert entry(found, "consistency", "U2OS")[0] is None


def test_a_plate_without_controls_takes_its_queries_along(metadata):  # noqa: F811
    table = make_table()
    found = measured(table[~(table["Metadata_Well"].isin(DMSO) & (table["Metadata_Plate"] == "U1"))], metadata)
    assert found["map"]["activity"]["U2OS"]["queries"] == 12 * 2


def test_a_submission_has_its_controls_in_the_profiles_it_was_made_from(aligned_noise):  # noqa: F811
    lines, found = scored("submission.csv", *SCORE)
    assert entry(found, "activity", "U2OS") == (None, CONTROLS)
    assert f"mAP of activity: - ({CONTROLS})" in lines
    lines, found = scored("submission.csv", *SCORE, "--profiles", "profiles.parquet")
    whole = kit.score("profiles.parquet")["map"]["activity"]["U2OS"]
    assert found["map"]["activity"]["U2OS"] == whole
    assert whole["value"] > 0.5
    assert any(line.startswith(f"mAP of activity: {whole['value']:.3f}, ") and line.endswith(" plate *") for line in lines)
