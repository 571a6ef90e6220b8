"""kit compare: every row trained once per seed, baselines at their best, nothing trained twice."""

import json

import pytest

from kit.compare import POST, run_name, table_text
from tests.commands import SHORT, TINY, kit_command, settings


def entry(name, seed, trained, means):
    """Means in %, one per post-processing, the same in all directions."""
    directions = ("U2OS->U2OS", "U2OS->A549", "A549->U2OS", "A549->A549")
    scores = {
        post: {"mean": mean / 100, "directions": {d: {"accuracy": mean / 100} for d in directions}}
        for post, mean in zip(POST, means, strict=True)
    }
    return {"name": name, "seed": seed, "trained": trained, "scores": scores}


def test_the_table_takes_a_baseline_at_its_best_and_the_network_at_the_chosen():
    results = {
        "a-s0": entry("a", 0, True, (90, 90, 90, 90, 40)),
        "a-s1": entry("a", 1, True, (90, 90, 90, 90, 44)),
        "b": entry("random weights", 0, False, (10, 30, 20, 5, 15)),
    }
    text = table_text(results, classes=18, batches="MADE_1").splitlines()
    assert "MADE_1" in text[0]
    assert "chance 5.6" in text[0]
    assert text[2].split()[:4] == ["a", "2", "42.0", "+-"]  # 40 and 44, spread 2.8
    assert "2.8" in text[2]
    assert "30.0" in text[3]
    assert "centre (its best)" in text[3]


def test_run_names_are_folder_names():
    assert run_name("demo views.noise_p=0", 2) == "demo-views-noise-p-0-s2"


@pytest.mark.slow
def test_rows_are_trained_once(tmp_path):
    plates, work, out = tmp_path / "plates", tmp_path / "work", tmp_path / "compare.json"
    kit_command("phantom", plates, *settings(TINY))
    kit_command(
        "ingest", plates / "images", "--metadata", plates / "metadata", "--load-data", plates / "load_data", "--work", work
    )
    words = ("compare", "--work", work, "--recipe", "demo", *settings(SHORT), "--switch", "views.noise_p=0", "--seeds", 1,
             "--baselines", "--out", out)  # fmt: skip
    first = kit_command(*words).stdout
    rows = json.loads(out.read_text())
    assert [row["name"] for row in rows.values()] == [
        "demo", "random weights", "demo views.noise_p=0", "mean and sd, 8 bit", "mean and sd, raw counts"]  # fmt: skip
    assert rows["demo-s0"]["config"]["views"]["noise_p"] == 0.5
    before = out.stat().st_mtime_ns
    assert kit_command(*words).stdout == first
    assert out.stat().st_mtime_ns == before
