"""The bench of profiles, on two narrow plates of six wells: its layouts, and that every stage does what it times."""

from dataclasses import replace

import pandas as pd
import pytest

from kit.bench import profiles
from kit.challenge.check import check


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setattr(profiles, "WIDTH", 2)
    made = profiles.made_work(tmp_path, 2, None)
    few = {"A01", "A02", "A03", "A07", "A08", "B01"}
    sites, wells = (table[table["Metadata_Well"].isin(few)].reset_index(drop=True) for table in (made.sites, made.wells))
    made = replace(made, sites=sites, wells=wells)
    profiles.write_runs(made)
    ids = made.wells[made.wells["Metadata_broad_sample"] != ""]
    table = pd.DataFrame({"ID": range(len(ids)), "plate": ids["Metadata_Plate"].tolist(), "well": ids["Metadata_Well"].tolist()})
    table.to_csv(tmp_path / "ids.csv", index=False)
    return made


def test_the_layouts_are_the_challenges(tmp_path):
    made = profiles.made_work(tmp_path, 6, None)  # a quarter of the challenge's
    assert (len(made.wells), len(made.sites)) == (6 * 384, 5 * 384 * 9 + 384 * 16)
    assert (made.wells["Metadata_broad_sample"] == "").sum() == 6 * 64
    assert made.sites.groupby("Metadata_Plate")["Metadata_Site"].max().tolist() == [9] * 5 + [16]


def test_the_stages_run(work):
    assert profiles.STAGES["kit profile"](work).startswith("12 wells of 2 plates x 72 features")
    assert "uses the well position" in profiles.STAGES["kit profile --align"](work)
    assert "6 rows x 72 features" in profiles.STAGES["kit export"](work)
    assert profiles.STAGES["kit check"](work) == profiles.STAGES["kit check"](work)
    assert "every nearest well is the same" in profiles.STAGES["kit export --rotate"](work)
    assert profiles.STAGES["pandas to_csv + read_csv"](work) == "True"
    assert check(work.path / "rotated.csv", work.path / "ids.csv").columns <= 6
