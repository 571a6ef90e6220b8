"""kit profile at the command line: its options reach the file, and a wrong one ends in one line."""

import json

import numpy as np
import pytest

from kit.profiles.table import read_profiles, write_table

from ..commands import kit_command
from ..images.made_work import label, make_work

KEY = ["Metadata_Plate", "Metadata_Well", "Metadata_Site"]
RUNS = ("--run", "fluo", "--run", "fluo-texture")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A store of two plates with a control each, and features of two runs."""
    made = make_work(tmp_path_factory.mktemp("work"), wells=3, sites=4, side=8)
    label(made.path, "P1", "P2")
    for seed, run in enumerate(("fluo", "fluo-texture")):
        folder = made.run_folder(run) / "features"
        for plate, who in made.sites.groupby("Metadata_Plate"):
            values = np.random.default_rng([seed, int(plate[1])]).standard_normal((len(who), 3)).astype(np.float32)
            write_table(who[KEY].reset_index(drop=True), values, ("f0000", "f0001", "f0002"), folder / f"{plate}.parquet", {})
        (folder / "features.json").write_text(json.dumps({"parts": {"cls": [0, 3]}}))
    return made.path


def test_every_option_reaches_the_file(work, tmp_path):
    out = tmp_path / "p.parquet"
    options = "--plates P2 --normalize centre --whiten sphere --whiten-on sites --ridge 0 --run-weight fluo-texture=3"
    said = kit_command("profile", "--work", work, *RUNS, "--out", out, *options.split())
    steps = read_profiles(out).steps
    assert [step["step"] for step in steps] == ["parts", "runs", "normalize", "standardize", "whiten", "merge", "balance"]
    assert steps[1]["plates"] == ["P2"]
    assert steps[4]["ridge_of_mean_eigenvalue"] == 0
    assert steps[6]["weights"] == {"fluo": 1, "fluo-texture": 3}
    assert said.stdout.splitlines()[1:] == [
        "  normalized by plate, on its DMSO sites, before merging",
        "  whitened on 4 DMSO sites of all plates, before merging",
        "  ridge 0: 3 directions without variation over the controls removed",
        "  mean of all sites (4 a well; --merge mean): plate P2 has no stage positions",
        "  runs balanced, by their share of the variance: fluo 25 %, fluo-texture 75 %",
    ]
    assert "Warning" not in said.stderr


@pytest.mark.parametrize(("options", "message"), [
    (["--plates", "P3"], "--plates P3: run fluo has no features of this plate"),
    (["--whiten", "sphere", "--ridge", "-1"], "--ridge -1: need a number from 0 up"),
    (["--whiten-on", "sites"], "--whiten-on sites says what"),
    (["--balance-runs", "--run-weight", "fluo=0"], "--run-weight fluo=0: need a number above 0"),
])  # fmt: skip
def test_a_wrong_option_is_one_line(work, tmp_path, options, message):
    said = kit_command("profile", "--work", work, *RUNS, "--out", tmp_path / "p.parquet", *options, code=2)
    assert said.stderr.startswith(f"kit: {message}")
    assert said.stderr.count("\n") == 1
