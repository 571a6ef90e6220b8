"""The recipes: what each row of the papers' table changes, and nothing else."""

import tomllib
from pathlib import Path

import pytest
import torch

import kit.recipe
from kit.config import CHANNELS, RunConfig
from kit.errors import UsageError
from kit.model.arrangement import arrange
from kit.model.distributed import ONE
from kit.model.draws import draw_step
from kit.recipe import changed_keys, config_to_toml, differences, load_config, load_recipe, recipe_names

FOLDER = Path(kit.recipe.__file__).parent / "recipes"
PUBLISHED = ("dinov2-8ch", "dinov2-separate", "dinov2-518", "sslprofiler", "sslprofiler-local")
CHANNEL_FREE = ("cellrep", "cellrep-vits", "bag-of-channels")
BASELINES = ("simclr", "mae")
OURS = (
    "demo",
    "energy",
    "cellrep-small",
    "bag-of-channels-small",
    "simclr-small",
    "mae-small",
    "sslprofiler-small",
    "cell-dino-tiny",
    "simclr-cells",
    "mae-cells",
    "simclr-around-cells",
)
CELL_DINO = ("cell-dino", "cell-dino-plus", "cell-dino-small")


def recipe(name: str, **values):
    return load_recipe(name, channels=() if "8ch" in name else CHANNELS[:5], **values)


def test_every_row_of_the_table_is_a_recipe():
    assert set(recipe_names()) == {
        *PUBLISHED, *(f"{name}-base" for name in PUBLISHED), *CHANNEL_FREE, *BASELINES, *OURS, *CELL_DINO,
        *(f"{name}-vits" for name in CELL_DINO),
    }  # fmt: skip


def test_what_the_papers_say_is_in_every_published_recipe():
    for name in PUBLISHED:
        config = recipe(name)
        assert (config.model.dim, config.model.depth, config.model.heads, config.model.patch) == (384, 12, 6, 14)
        assert (config.model.ffn, config.train.epochs, config.train.batch) == ("swiglu", 100, 128)
        assert (config.train.lr, config.train.warmup_epochs) == (2e-5, 10)
        base = recipe(f"{name}-base")
        assert (base.model.dim, base.model.heads) == (768, 12)
        assert set(changed_keys(config, base)) <= {"recipe", "model.dim", "model.heads"}


def test_cell_dino_is_what_its_paper_and_its_code_say():
    """The values of its text, recipe by recipe; everything else is that of cell-dino."""
    config, plus, small = (recipe(name) for name in CELL_DINO)
    assert (config.model.dim, config.model.depth, config.model.heads) == (1024, 24, 16)
    assert (config.model.patch, config.model.ffn, config.model.drop_path) == (16, "mlp", 0.1)
    assert (config.crops.global_side, config.crops.global_area) == (224, (0.4, 1.0))
    assert (config.crops.local_crops, config.crops.local_side, config.crops.local_area) == (8, 96, (0.005, 0.4))
    assert (config.train.peak_lr, config.train.batch) == (pytest.approx(5e-4 * 0.5**0.5), 512)
    assert (config.train.layer_decay, config.train.ema, config.train.weight_decay) == (0.9, (0.996, 1.0), (0.04, 0.2))
    assert (config.loss.targets, config.loss.prototypes, config.loss.separate_ibot_head) == ("centring", 65536, False)
    for one in (config, plus, small):
        views, crops = one.views, one.crops
        assert (views.style, views.brightness, views.contrast, views.cell_dino_drop_p) == ("cell-dino", 0.2, 0.2, 0.2)
        assert (views.normalise, views.normalise_floor, crops.flips, crops.flips_up_down) == ("crop", 1e-7, True, True)
    assert (plus.model.patch, plus.crops.global_side, plus.crops.local_side) == (14, 518, 224)
    assert (plus.train.max_steps, plus.train.batch, plus.model.pretrained) == (45_000, 2048, True)
    assert (small.model.dim, small.model.heads, small.model.patch) == (384, 6, 8)
    assert (small.model.ffn, small.model.drop_path) == ("swiglu", 0)
    assert (small.crops.global_side, small.crops.global_area, small.crops.global_aspect) == (128, (0.64, 0.64), (1, 1))
    assert (small.crops.around, small.crops.cell_px, small.crops.balance, small.crops.epoch) == ("cell", 160, "cells", "cells")
    assert (small.crops.local_crops, small.embed.crop, small.embed.side) == (0, 128, 128)
    assert (small.train.peak_lr, small.train.batch) == (pytest.approx(3e-4 * 0.25**0.5), 256)
    assert (small.train.epochs, small.train.warmup_epochs, small.train.ema) == (20, 15, (0.994, 1.0))
    assert (small.loss.targets, small.loss.separate_ibot_head) == ("sinkhorn", True)
    assert (small.loss.prototypes, small.loss.head_bottleneck) == (131_072, 384)


def test_the_rows_of_cell_dinos_table_5_are_switches():
    """Without brightness, contrast and dropping; without dropping; crops and flips stay."""
    before = recipe("cell-dino-vits")
    without_drop = recipe("cell-dino-vits", settings=["views.cell_dino_drop_p=0"])
    without = recipe("cell-dino-vits", settings=["views.brightness=0", "views.contrast=0", "views.cell_dino_drop_p=0"])
    assert set(changed_keys(before, without_drop)) == {"views.cell_dino_drop_p"}
    assert set(changed_keys(before, without)) == {"views.brightness", "views.contrast", "views.cell_dino_drop_p"}


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("dinov2-8ch", "dinov2-separate", {"channels"}),
        ("dinov2-separate", "dinov2-518", {"crops.global_side", "embed.side", "embed.batch"}),
        (
            "dinov2-518",
            "sslprofiler",
            {"crops.quarter_turns", "views.style", "views.rotation", "views.elastic_p", "views.noise_p"},
        ),
        (
            "sslprofiler",
            "sslprofiler-local",
            {"crops.local_crops", "crops.second_site", "loss.local_aggregation", "loss.mask_share", "loss.ibot_weight"},
        ),
    ],
)
def test_each_row_changes_only_what_it_names(before, after, changed):
    assert set(changed_keys(recipe(before), recipe(after))) == changed | {"recipe"}


def test_the_winner_masks_every_view_with_a_bar_and_weighs_ibot_as_dinov2_does():
    """SSLProfiler 2, section 3.2.1, has one view to mask, DINOv2 masks half of two: as many views, patches, and weight."""
    found = {}
    for name in ("sslprofiler", "sslprofiler-local"):
        config = recipe(name)
        table = arrange(config.loss, config.crops.local_crops)
        draws = draw_step(config, table, config.train.batch, step=0, group=ONE, device=torch.device("cpu"))
        weight_R = draws.weights(table, [slice(0, config.train.batch)], 1)
        masked_IB = draws.mask_IBN.any(axis=2)
        found[name] = (int(masked_IB.sum()), len(weight_R), round(float(weight_R.sum()) * config.loss.ibot_weight, 9))
        assert masked_IB.shape == ((1, 128) if name == "sslprofiler-local" else (2, 128))
    assert found["sslprofiler-local"] == found["sslprofiler"]
    assert found["sslprofiler-local"][0] == 128
    assert found["sslprofiler-local"][2] == 0.5


def test_positions_are_the_inputs_of_the_published_recipes():
    assert {recipe(name).crops.balance for name in PUBLISHED} == {"sites"}  # SSLProfiler 1, section 3.3.1
    assert {recipe(name).crops.balance for name in OURS} == {"wells"}


def test_cellrep_is_what_its_paper_says():
    config, plain = recipe("cellrep"), recipe("dinov2-separate")
    assert (config.model.dim, config.model.depth, config.model.heads, config.train.epochs) == (1024, 24, 16, 64)
    assert (config.model.stem, config.model.pool, config.model.front) == ("mixer", "location", "own")
    loss = config.loss
    assert (loss.scale, loss.ibot_weight, loss.mask_share, loss.koleo_weight) == ("sum", 0, 0, 0)
    assert (loss.targets, loss.centre_momentum, loss.local_weight, loss.kl_weight) == ("centring", 0.9, 1, 0.1)
    assert (config.views.clip_percentiles, config.views.clahe, config.views.channel_order) == ((0.5, 99.5), True, "permuted")
    same = ("lr", "lr_end", "weight_decay", "betas", "clip", "ema", "warmup_epochs", "batch")
    assert [getattr(config.train, key) for key in same] == [getattr(plain.train, key) for key in same]  # where it is silent
    assert set(changed_keys(config, recipe("cellrep-vits"))) == {"recipe", "model.dim", "model.depth", "model.heads"}
    assert recipe("bag-of-channels").any_channels
    assert config.any_channels
    assert not plain.any_channels


@pytest.mark.parametrize(
    ("name", "base"), [("simclr", "sslprofiler"), ("mae", "sslprofiler"), ("simclr-small", "demo"), ("mae-small", "demo")]
)
def test_a_baseline_has_the_views_and_the_network_of_what_it_is_compared_with(name, base):
    """So that the objective alone differs, and with it the optimiser's values; MAE has no drop path."""
    changed = set(changed_keys(recipe(base), recipe(name))) - {"recipe"}
    assert "loss.objective" in changed
    assert not {key for key in changed if key.startswith(("views.", "embed.", "model.")) and key != "model.drop_path"}
    assert {key for key in changed if key.startswith("crops.")} <= {"crops.local_crops", "crops.second_site"}


@pytest.mark.parametrize("name", ["simclr-cells", "mae-cells"])
def test_a_recipe_for_single_cells_sees_whole_images_of_one_cell(name):
    """No second site, crops and embedding at the image's own size, whole patches."""
    config, site_px = recipe(name), {"simclr-cells": 64, "mae-cells": 40}[name]
    assert (config.crops.second_site, config.loss.local_aggregation, config.crops.around) == (False, False, "site")
    assert config.crops.global_side == config.embed.side == config.model.position_side == site_px
    assert site_px % config.model.patch == 0
    assert config.train.warmup_steps == round(config.train.max_steps / 10)
    images = {"simclr-cells": 300_000, "mae-cells": 150_000}[name]
    assert config.train.max_steps == images // config.train.batch


def test_around_cells_both_views_show_one_cell_at_one_size():
    config = recipe("simclr-around-cells")
    assert (config.crops.around, config.crops.second_site, config.loss.local_aggregation) == ("cell", False, False)
    assert config.crops.global_side == config.model.position_side == config.embed.side == 64
    assert set(changed_keys(recipe("simclr-small"), config)) == {
        "recipe", "crops.around", "crops.batch_of", "crops.cell_px", "crops.global_side", "crops.global_area",
        "crops.second_site", "model.patch", "model.position_side", "model.init", "loss.local_aggregation",
        "embed.side", "embed.batch",
    }  # fmt: skip


def test_the_winner_is_the_default():
    assert RunConfig().recipe == "sslprofiler-local"
    config = recipe("sslprofiler-local")
    assert (config.loss.local_aggregation, config.loss.masked_view, config.crops.local_crops) == (True, "own", 0)
    assert (config.views.noise_shot, config.views.noise_dark, config.views.noise_read) == (0.1, 0.05, 0.01)
    assert (config.views.elastic_alpha, config.views.elastic_sigma, config.views.elastic_p) == (1200, 40, 0.5)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_every_value_of_a_published_recipe_names_its_source(path):
    table = tomllib.loads(path.read_text())
    assert table
    for line in path.read_text().splitlines():
        if "=" in line and not line.startswith(("#", "about", "extends")) and path.stem not in OURS:
            assert "  # " in line, f"{path.name}: {line}"


def test_run_toml_says_every_value_and_reads_back(tmp_path):
    for name in recipe_names():
        config = recipe(name, seed=5)
        (tmp_path / "run.toml").write_text(config_to_toml(config))
        assert load_config(tmp_path / "run.toml") == config


def test_unknown_names_suggest_the_nearest(tmp_path):
    with pytest.raises(UsageError, match="did you mean sslprofiler-local"):
        load_recipe("sslprofiler-locl")
    with pytest.raises(UsageError, match=r"unknown key train\.learning_rat"):
        load_recipe("demo", ["train.learning_rat=1"])
    with pytest.raises(UsageError, match=r"unknown key loss\.prototype; did you mean loss\.prototypes"):
        load_recipe("demo", ["loss.prototype=9"])
    with pytest.raises(UsageError, match=r"train\.batch = 10: need a multiple of 4 micro-batches"):
        load_recipe("demo", ["train.batch=10", "train.micro_batches=4"])
    with pytest.raises(UsageError, match="made for the channels Mito"):
        load_recipe("dinov2-8ch", channels=CHANNELS[:5])
    own = tmp_path / "mine.toml"
    own.write_text('extends = "demo"\n[train]\nlr = 0.5\n')
    assert load_recipe(str(own)).train.lr == 0.5
    own.write_text("lr = [")
    with pytest.raises(UsageError, match="not valid TOML"):
        load_recipe(str(own))


def test_a_recipe_file_extends_the_file_beside_it(tmp_path, monkeypatch):
    """Not one of the same name where kit happens to be run."""
    for place, lr in (("here", 0.1), ("there", 0.2)):
        (tmp_path / place).mkdir()
        (tmp_path / place / "base.toml").write_text(f'extends = "demo"\n[train]\nlr = {lr}\n')
    (tmp_path / "there" / "mine.toml").write_text('extends = "base.toml"\n')
    monkeypatch.chdir(tmp_path / "here")
    assert load_recipe("../there/mine.toml").train.lr == 0.2


def test_a_run_differs_from_its_recipe_in_what_was_set_and_not_in_its_plates():
    config = recipe("demo", settings=["train.lr=0.5", "views.elastic_p=0.25"], seed=7)
    before = recipe("demo")
    assert differences(before) == {}
    assert differences(config) == {
        "seed": (7, before.seed),
        "train.lr": (0.5, before.train.lr),
        "views.elastic_p": (0.25, before.views.elastic_p),
    }
    with pytest.raises(UsageError, match="no recipe 'mine'"):
        differences(RunConfig(recipe="mine"))
