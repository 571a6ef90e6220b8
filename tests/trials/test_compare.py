"""kit compare: every row trained once per seed, baselines at their best, nothing trained twice."""

import json

import numpy as np
import pandas as pd
import pytest

from kit.config import CHANNELS
from kit.errors import KitError, UsageError
from kit.images.store.work import open_work
from kit.profiles.table import Profiles
from kit.trials.compare import POST, _Measure, compare, permuted
from kit.trials.compare_rows import Merge, make_rows, parse_models, run_name
from kit.trials.compare_table import table_text
from tests.commands import SHORT, TINY, kit_command, settings
from tests.images.made_work import change_table, label, make_work


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
        "permuted wells": {"name": "permuted wells", "means": [0.05, 0.07]},
    }
    text = table_text(results, classes=18, batches="MADE_1").splitlines()
    assert "MADE_1" in text[0]
    assert "chance 5.6; wells permuted within plates 6.0 +- 1.4" in text[0]
    assert text[2].split()[:4] == ["a", "2", "42.0", "+-"]  # 40 and 44, spread 2.8
    assert "2.8" in text[2]
    assert "30.0" in text[3]
    assert "centre (its best)" in text[3]
    assert len(text) == 4


def test_a_row_is_held_to_the_first_seed_by_seed():
    results = {f"a{seed}": entry("a", seed, True, (0, 0, 0, 0, mean)) for seed, mean in enumerate((30, 40, 50))}
    results |= {f"b{seed}": entry("b", seed, True, (0, 0, 0, 0, mean)) for seed, mean in enumerate((32, 41, 53))}
    line = table_text(results, classes=18, batches="MADE_1").splitlines()[3]
    assert line.split()[:8] == ["b", "3", "42.0", "+-10.5", "+2.0", "+-", "1.0", "42.0"]  # 2, 1 and 3 better


def test_rows_are_switches_of_settings_and_channels():
    models = parse_models("fluorescence+brightfield")
    assert models == (CHANNELS[:5], CHANNELS[5:])
    plain, eight, two = make_rows(["demo"], models, ["train.lr=1e-4"], ["channels=all", "views.noise_p=0 views.elastic_p=0"])
    assert (plain.name, plain.models, plain.settings) == ("demo", models, ("train.lr=1e-4",))
    assert (eight.name, eight.models) == ("demo channels=all", (CHANNELS,))
    assert two.configs(3)[1].views.noise_p == two.configs(3)[1].views.elastic_p == 0
    assert (two.configs(3)[1].channels, two.configs(3)[1].seed, two.configs(3)[1].train.lr) == (CHANNELS[5:], 3, 1e-4)
    with pytest.raises(UsageError, match="need key=value"):
        make_rows(["demo"], models, [], [""])


def test_rows_of_the_papers_table_share_one_network():
    """Parts and merging are no values of a run: nothing is trained for them; 400 epochs are a run of its own."""
    switches = ["parts=cls", "merge=concat sites=bilinear", "train.epochs=400"]
    plain, cls, concat, longer = make_rows(["sslprofiler"], parse_models("fluorescence"), [], switches)
    assert (plain.merge, cls.merge) == (Merge(("cls", "patch"), "mean", ""), Merge(("cls",), "mean", ""))
    assert (concat.name, concat.merge) == ("sslprofiler merge=concat sites=bilinear", Merge(merge="concat", sites="bilinear"))
    assert plain.configs(0) == cls.configs(0) == concat.configs(0)
    assert longer.configs(0)[0].train.epochs == 400


@pytest.mark.parametrize(
    ("switch", "refused"),
    [
        ("foo", "--switch 'foo': need key=value, for example train.lr=1e-4"),
        ("merge=max", "--switch merge=max: need mean or concat"),
        ("sites=edges", "--switch sites=edges: need position, area, bilinear or corners"),
        ("parts=cls,cls", "--switch parts=cls,cls: need one or more of cls, patch, patch_sd, each once"),
        ("parts=", "--switch parts=: need one or more of cls, patch, patch_sd, each once"),
        ("views.noise_p=0 foo", "--switch 'foo': need key=value, for example train.lr=1e-4"),
        ("=3", "--switch '=3': need key=value, for example train.lr=1e-4"),
        ("views.rotation='none", '--switch "views.rotation=\'none": No closing quotation'),
        ("channels=", "--switch channels= '': give fluorescence, brightfield, all, or different names, comma-separated"),
    ],
)
def test_a_wrong_switch_is_blamed_itself(switch, refused):
    with pytest.raises(UsageError) as error:
        make_rows(["demo"], parse_models("fluorescence"), ["train.lr=1e-4"], [switch])
    assert str(error.value) == refused


@pytest.mark.parametrize("switch", ["views.noise_brightfield=0", "views.high_pass_brightfield=31"])
def test_rows_share_a_network_that_is_the_same(switch):
    models = parse_models("fluorescence+brightfield")
    plain, quiet = make_rows(["demo"], models, [], [switch])
    (fluorescence, brightfield), (same, other) = ([run_name(config) for config in row.configs(0)] for row in (plain, quiet))
    assert fluorescence == same  # no brightfield channel, so the setting changes nothing
    assert len({fluorescence, brightfield, other}) == 3
    assert run_name(plain.configs(1)[0]) != fluorescence


def test_permuting_wells_stays_within_plates():
    who = pd.DataFrame({"Metadata_Plate": ["P1", "P2"] * 50, "Metadata_Well": [f"A{i:02d}" for i in range(100)]})
    before = Profiles(features_MF=np.arange(100, dtype=np.float32)[:, None], who=who, names=("f0000",))
    after = permuted(before, 0).features_MF[:, 0]
    assert sorted(after) == list(range(100))
    assert (after % 2 == np.arange(100) % 2).all()  # even rows are P1
    assert (after != np.arange(100)).mean() > 0.8


def test_what_cannot_be_compared_is_refused(tmp_path):
    work = make_work(tmp_path)
    models = parse_models("fluorescence")
    with pytest.raises(KitError, match="no labels to score with"):
        compare(work, ["demo"], models=models, out=tmp_path / "c.json")
    label(tmp_path, "P1", "P2")
    with pytest.raises(KitError, match="cannot be scored: U2OS->U2OS: only one U2OS plate"):  # nor is anything trained
        compare(open_work(tmp_path), ["demo"], models=models, out=tmp_path / "c.json")
    change_table(tmp_path, "P2", lambda table: table.assign(Metadata_Cell_type="U2OS"))
    labelled = open_work(tmp_path)
    with pytest.raises(UsageError, match="--seeds 0"):
        compare(labelled, ["demo"], models=models, out=tmp_path / "c.json", seeds=())
    for text in ("not JSON", "[1]", '{"a": 1}'):
        (tmp_path / "c.json").write_text(text)
        with pytest.raises(UsageError, match="was not written by kit compare"):
            compare(labelled, ["demo"], models=models, out=tmp_path / "c.json")


def test_every_recipe_is_scored_untrained_too(tmp_path, monkeypatch):
    make_work(tmp_path, lines=("HeLa", "HeLa"))
    for plate in ("P1", "P2"):
        change_table(tmp_path, plate, lambda table: table.assign(Metadata_drug=table["Metadata_Well"]),
                     labels={"source": "plates.csv", "perturbation": "Metadata_drug", "control": ""})  # fmt: skip
    done = []
    monkeypatch.setattr(_Measure, "by_hand", lambda self, rows, seeds: None)
    for name in ("trained", "random", "null"):
        monkeypatch.setattr(_Measure, name, lambda self, row, seeds, *more, name=name: done.append((name, row.name, *more)))
    monkeypatch.setattr("kit.trials.compare.table_text", lambda *_, **__: "")
    compare(open_work(tmp_path), ["demo", "mae-small"], models=parse_models("fluorescence"), out=tmp_path / "c.json",
            settings=("train.batch=1",), switches=["views.noise_p=0"], seeds=[4], baselines=True)  # fmt: skip
    assert [entry for entry in done if entry[0] == "random"] == [
        ("random", "demo", "random weights"), ("random", "mae-small", "mae-small, random weights"),
    ]  # fmt: skip


def test_a_lab_s_own_labels_can_be_compared(tmp_path):
    make_work(tmp_path, lines=("HeLa", "HeLa"))
    for plate in ("P1", "P2"):
        change_table(tmp_path, plate, lambda table: table.assign(Metadata_drug=table["Metadata_Well"]),
                     labels={"source": "plates.csv", "perturbation": "Metadata_drug", "control": ""})  # fmt: skip
    with pytest.raises(UsageError, match="--seeds 0"):  # past the labels
        compare(open_work(tmp_path), ["demo"], models=parse_models("fluorescence"), out=tmp_path / "c.json", seeds=())


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
        "demo", "random weights", "demo views.noise_p=0", "permuted wells", "mean and sd, 8 bit", "mean and sd, raw counts",
        "texture", "demo + texture", "demo views.noise_p=0 + texture",
    ]  # fmt: skip
    assert rows["demo s0"]["configs"][0]["views"]["noise_p"] == 0.5
    before = out.stat().st_mtime_ns
    assert kit_command(*words).stdout == first
    assert out.stat().st_mtime_ns == before
