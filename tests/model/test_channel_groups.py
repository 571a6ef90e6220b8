"""Noise and --channels follow the groups that the store keeps, for one channel and for sixteen, and a run records them."""

import logging
from pathlib import Path

import pytest

import kit
import kit.model.loop
import kit.model.views_figure
from kit.config import RunConfig, ViewsConfig, channel_names
from kit.errors import UsageError
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.profiles.embed import embed
from kit.recipe import config_from_dict, load_config, load_recipe
from kit.trials.compare_rows import make_rows, parse_models, run_name
from tests.commands import kit_here
from tests.images.made_plates import write_plate

TINY = (
    "--recipe demo --set crops.global_side=16 --set crops.global_area=[0.3,0.6] --set model.patch=8 --set model.dim=16 "
    "--set model.heads=2 --set model.depth=1 --set model.position_side=16 --set embed.side=16 --set loss.prototypes=16 "
    "--set loss.head_hidden=16 --set loss.head_bottleneck=8 --set train.batch=2 --set train.max_steps=2 "
    "--set crops.local_side=16 --set train.warmup_steps=1"
)
LAB = {"stains": ("DNA", "Actin"), "brightfield": ("BF",)}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def lab(folder) -> None:
    """A store w of DNA, Actin and BF, in the groups stains and brightfield."""
    write_plate(folder / "images", "LAB1", channels=(1, 2, 3))
    ingest(IngestPlan("images", "w", channel_names={"ch1": "DNA", "ch2": "BF", "ch3": "Actin"}, groups=LAB, jobs=1))


def test_noise_follows_the_group_of_the_store(lab, monkeypatch):
    """A brightfield channel called BF got the noise of fluorescence."""
    seen, make = [], kit.model.loop.make_views
    monkeypatch.setattr(kit.model.loop, "make_views", lambda *args, **facts: seen.append(facts) or make(*args, **facts))
    kit_here(f"train --work w --run r {TINY} --channels all")
    config = load_config(Path("w/runs/r/run.toml"))
    assert config.channels == ("BF", "DNA", "Actin")
    assert config.groups == {"brightfield": ("BF",), "stains": ("DNA", "Actin")}
    assert {facts["channel_groups"] for facts in seen} == {("brightfield", "stains", "stains")}
    views = ViewsConfig(noise_fluorescence=0.5, noise_brightfield=0.25)
    assert [views.noise_of(group) for group in config.channel_groups] == [0.25, 0.5, 0.5]


def test_channels_may_be_any_group_of_the_store(lab, capsys):
    kit_here(f"plan --work w {TINY} --machine h100 --channels stains")
    assert "2 channels (DNA, Actin)" in capsys.readouterr().out
    kit_here(f"plan --work w {TINY} --machine h100")
    assert "both     less than a minute, 1 session of 12 h with the stains network (DNA, Actin)" in capsys.readouterr().out
    for text, said in (
        (
            f"train --work w --run r {TINY} --channels stain",
            "w has no channel stain; did you mean stains?; it has: DNA, BF, Actin",
        ),
        (f"train --work w --run r {TINY}", "recipe demo needs --channels brightfield, stains, all, or names"),
        ("compare --work w --recipe demo --out o.json --channels ,", "give brightfield, stains, all, or different names"),
        (f"train --work w --run r {TINY} --channels all --set groups.a=b", "groups of channels belong to the store"),
    ):
        kit_here(text, 2)
        assert said in capsys.readouterr().err
    assert channel_names("all", groups=LAB) == ("DNA", "Actin", "BF")


def test_a_run_from_before_groups_goes_on_and_one_of_other_groups_does_not(folder, caplog):
    write_plate(folder / "images", "MADE0001", channels=(1, 8))
    ingest(IngestPlan("images", "w", jobs=1))
    words = f"train --work w --run r {TINY} --channels all"
    kit_here(words)
    path = Path("w/runs/r/run.toml")
    text = path.read_text()
    assert '[groups]\nfluorescence = [\n    "Mito",\n]\nbrightfield = [\n    "Brightfield",\n]' in text
    path.write_text(text[: text.index("[groups]")] + text[text.index("[crops]") :])
    assert load_config(path).channel_groups == ("fluorescence", "brightfield")
    kit_here(f"{words} --resume")
    kit_here('ingest --work w --groups "fluorescence=Mito,Brightfield"')
    caplog.clear()
    with pytest.raises(UsageError, match=r"other values of groups.fluorescence, groups.brightfield: see"):
        kit.model.train.train(kit.open("w"), "r", load_config(path), resume=True)
    with caplog.at_level(logging.WARNING):
        embed(kit.open("w"), "r")


def test_a_comparison_knows_networks_of_other_groups_apart():
    def name(groups: dict, *settings: str) -> str:
        (row,) = make_rows(["demo"], parse_models("Mito,BF"), settings, [], groups)
        return run_name(row.configs(0)[0])

    known, lab = {"fluorescence": ("Mito", "BF")}, {"fluorescence": ("Mito",), "brightfield": ("BF",)}
    assert name(known) == name({}) == run_name(load_recipe("demo", channels=("Mito", "BF"))), "as before groups were kept"
    assert name(known) != name(lab)
    assert name(known, "views.noise_brightfield=0") == name(known), "no channel has it"
    assert name(lab, "views.noise_brightfield=0") != name(lab)


def test_groups_are_read_from_a_table_of_lists():
    table = {"channels": ["A", "B"], "groups": {"x": ["A"]}}
    assert config_from_dict(table, where="run.toml") == RunConfig(channels=("A", "B"), groups={"x": ("A",)})
    assert config_from_dict(table, where="run.toml").channel_groups == ("x", "fluorescence")
    for wrong, said in (({"x": "A"}, "groups.x = 'A': need a list"), (["A"], r"groups = \['A'\]: need a table")):
        with pytest.raises(UsageError, match=said):
            config_from_dict({"groups": wrong}, where="run.toml")


@pytest.mark.parametrize("channels", [1, 16])
def test_any_number_of_channels_goes_the_whole_way(folder, channels, monkeypatch):
    write_plate(folder / "images", "LAB1", channels=range(1, channels + 1), wells=("A01", "B02"), side=16)
    kit_here("ingest images --work w --jobs 1")
    kit_here(f"train --work w --run r {TINY} --channels fluorescence")
    kit_here("embed --work w --run r")
    drawn = []
    monkeypatch.setattr(
        kit.model.views_figure, "_draw", lambda panels, names, *_: drawn.append((panels[-1].image_CPP.shape, names))
    )
    kit_here("views w --recipe demo --out v.png")
    assert drawn == [((channels, 16, 16), kit.open("w").channels)]
    assert kit.open("w").channels == tuple(f"ch{number}" for number in range(1, channels + 1))
    assert load_config(Path("w/runs/r/run.toml")).channels == kit.open("w").channels
    assert kit.open("w").features("r").shape[0] == 4
