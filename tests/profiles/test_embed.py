"""Sites to vectors: by value against the network called plainly, resumed per plate, and the baselines from pixels."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tomli_w
import torch

import kit
from kit.config import EmbedConfig, ModelConfig, ViewsConfig
from kit.errors import KitError, UsageError
from kit.images.store.settings import write_settings
from kit.kernels.high_pass import high_pass_reference
from kit.model.checkpoint import Place, load_backbone, save_checkpoint
from kit.model.knn import Validation, embed_wells
from kit.model.official import official_backbone
from kit.model.vit import seeded_vit
from kit.profiles.embed import embed
from kit.profiles.embedded import open_runs
from kit.profiles.opening import check_store
from kit.recipe import config_to_dict, load_config
from tests.images.made_work import CHANNELS, make_work
from tests.model.tiny import tiny_config, tiny_learner

FEATURES = [f"f{index:04d}" for index in range(48)]  # class token and mean patch of 24
MEAN, SD = [0.5, 0.4, 0.6], [0.3, 0.2, 0.25]


def put_run(path: Path, run: str, seed: int = 3, batch: int = 5, **views) -> None:
    """Write a run of a tiny network with one checkpoint, as training would."""
    config = replace(tiny_config(seed=seed), embed=EmbedConfig(side=32, batch=batch), views=ViewsConfig(**views))
    folder = path / "runs" / run
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "run.toml").write_text(tomli_w.dumps(config_to_dict(config)))
    learner = tiny_learner(config, dtype=torch.float32)
    with torch.no_grad():
        learner.teacher.backbone.cls_token += seed  # different weights for a different seed, stirred alike
    save_checkpoint(folder / "checkpoints", learner, Place(1, 0, 1, 0.1), {"mean": MEAN, "sd": SD})


@pytest.fixture
def work(tmp_path):
    """Two plates of six wells of four sites of 32 px, with the sums that ingest keeps; one site lacks a channel."""
    make_work(tmp_path, wells=6)
    made = kit.open(tmp_path)
    for plate in made.plates:
        path = tmp_path / "plates" / f"{plate}.parquet"
        table = pd.read_parquet(path)
        pixels = [
            made.read_site(plate, well, site).astype(np.int64)
            for well, site in zip(table["Metadata_Well"], table["Metadata_Site"], strict=True)
        ]
        for index, channel in enumerate(CHANNELS):
            table[f"{channel}_sum8"] = [site[index].sum() for site in pixels]
            table[f"{channel}_sumsq8"] = [(site[index] ** 2).sum() for site in pixels]
            table[f"{channel}_mean"], table[f"{channel}_sd"] = 1000.0 + index, 50.0 + index
        if plate == "P2":
            table.loc[7, "channels"] = "Mito,RNA"
        table.to_parquet(path)
    put_run(tmp_path, "tiny")
    return kit.open(tmp_path)


def test_vectors_are_the_networks_own(work):
    done = embed(work, "tiny")
    assert (done.sites, done.plates, done.parts) == (47, 2, {"cls": [0, 24], "patch": [24, 48], "patch_sd": [48, 72]})
    features = work.features("tiny")
    assert list(features) == [
        "Metadata_Plate",
        "Metadata_Well",
        "Metadata_Site",
        *FEATURES,
        *(f"f{i:04d}" for i in range(48, 72)),
    ]
    network = load_backbone(work.run_folder("tiny"))[0]
    for row in (0, 23, 40):
        who = features.loc[row, ["Metadata_Plate", "Metadata_Well", "Metadata_Site"]]
        site = torch.from_numpy(work.read_site(*who)).float() / 255
        view = (site - torch.tensor(MEAN)[:, None, None]) / torch.tensor(SD)[:, None, None]
        tokens = network(view[None])
        expected = torch.cat([tokens.cls_BD, tokens.patch_BND.mean(dim=1)], dim=1)[0]
        np.testing.assert_allclose(features.loc[row, FEATURES].to_numpy(dtype=np.float32), expected, rtol=1e-4, atol=1e-5)
    assert features[FEATURES].std().min() > 1e-3  # sites differ


def test_the_online_knn_compares_what_embed_writes(work):
    embed(work, "tiny")
    network, config, mean_C, sd_C = load_backbone(work.run_folder("tiny"))
    chosen = Validation(work.sites_with(config.channels)[["Metadata_Plate", "Metadata_Well", "Metadata_Site"]], 0.5)
    found_MF = embed_wells(network, work, chosen, config, mean_C, sd_C, None)
    expected = work.features("tiny").groupby(["Metadata_Plate", "Metadata_Well"], sort=False)[FEATURES].mean()
    np.testing.assert_allclose(found_MF, expected.to_numpy(), rtol=1e-4, atol=1e-5)


def test_a_high_pass_is_applied_to_the_whole_site(work):
    put_run(work.path, "passed", high_pass_fluorescence=9, high_pass_brightfield=3)
    embed(work, "passed")
    network, config, mean_C, sd_C = load_backbone(work.run_folder("passed"))
    features = work.features("passed")
    who = features.loc[23, ["Metadata_Plate", "Metadata_Well", "Metadata_Site"]]
    site = high_pass_reference(torch.from_numpy(work.read_site(*who)), 9).float() / 255
    tokens = network(((site - torch.tensor(MEAN)[:, None, None]) / torch.tensor(SD)[:, None, None])[None])
    expected = torch.cat([tokens.cls_BD, tokens.patch_BND.mean(dim=1)], dim=1)[0]
    np.testing.assert_allclose(features.loc[23, FEATURES].to_numpy(dtype=np.float32), expected, rtol=1e-4, atol=1e-5)
    chosen = Validation(work.sites_with(config.channels)[["Metadata_Plate", "Metadata_Well", "Metadata_Site"]], 0.5)
    found_MF = embed_wells(network, work, chosen, config, mean_C, sd_C, None)
    of_wells = features.groupby(["Metadata_Plate", "Metadata_Well"], sort=False)[FEATURES].mean()
    np.testing.assert_allclose(found_MF, of_wells.to_numpy(), rtol=1e-4, atol=1e-5)


def test_a_site_that_lacks_a_channel_is_listed_not_embedded(work):
    done = embed(work, "tiny")
    assert done.skipped == ["P2 A02 site 4 (AGP)"]
    assert "P2 A02 site 4 (AGP)" in done.text()
    features = work.features("tiny").query("Metadata_Plate == 'P2'")
    assert len(features) == 23
    assert not ((features["Metadata_Well"] == "A02") & (features["Metadata_Site"] == 4)).any()


def test_a_plate_that_is_there_is_kept_and_the_bits_repeat(work):
    embed(work, "tiny")
    folder = work.run_folder("tiny") / "features"
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "P2.parquet").unlink()
    assert embed(work, "tiny").kept == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first


def test_other_weights_replace_every_plate(work):
    embed(work, "tiny")
    before = work.features("tiny")
    put_run(work.path, "tiny", seed=4)
    assert embed(work, "tiny").kept == 0
    assert not np.allclose(work.features("tiny")[FEATURES], before[FEATURES])


def test_weights_from_a_file(work):
    put_run(work.path, "other", seed=9)
    embed(work, "other")
    embed(work, "tiny", weights=work.run_folder("other") / "checkpoints" / "step_00000001.safetensors")
    pd.testing.assert_frame_equal(work.features("tiny"), work.features("other"))


def test_a_stop_leaves_whole_plates_and_no_claim_to_be_complete(work, monkeypatch):
    from kit.profiles.backbone import Backbone

    whole = Backbone.embed_sites

    def stop_at_second_plate(self, plate, sites, bar):
        if plate == "P2":
            raise KeyboardInterrupt
        return whole(self, plate, sites, bar)

    monkeypatch.setattr(Backbone, "embed_sites", stop_at_second_plate)
    with pytest.raises(KeyboardInterrupt):
        embed(work, "tiny")
    folder = work.run_folder("tiny") / "features"
    assert [path.name for path in folder.iterdir()] == ["P1.parquet"]
    monkeypatch.undo()
    assert embed(work, "tiny").kept == 1


def test_random_baseline_is_the_architecture_at_its_seed(work, monkeypatch):
    monkeypatch.setattr(type(work), "channel_stats", lambda self, channels: (np.array(MEAN), np.array(SD)))
    done = embed(work, "tiny", baseline="random")
    assert done.run == "tiny-random"
    config = tiny_config(seed=3)
    network = seeded_vit(config.model, 3, 3).eval()
    mean_C, sd_C = torch.tensor(MEAN), torch.tensor(SD)
    view = (torch.from_numpy(work.read_site("P1", "A01", 1)).float() / 255 - mean_C[:, None, None]) / sd_C[:, None, None]
    expected = network(view[None]).cls_BD[0].detach()
    np.testing.assert_allclose(
        work.features("tiny-random").loc[0, FEATURES[:24]].to_numpy(dtype=np.float32), expected, rtol=1e-4, atol=1e-5
    )


def test_intensity_baselines_are_mean_and_sd_of_the_pixels(work):
    embed(work, "tiny", baseline="intensity")
    levels, counts = work.features("tiny-intensity"), work.features("tiny-intensity-raw")
    site = work.read_site("P1", "A03", 2).reshape(3, -1)
    row = levels.query("Metadata_Plate == 'P1' and Metadata_Well == 'A03' and Metadata_Site == 2")
    expected = np.stack([site.mean(axis=1), site.std(axis=1)], axis=1).ravel()
    np.testing.assert_allclose(row[FEATURES[:6]].to_numpy()[0], expected, rtol=1e-6)
    assert counts.loc[0, FEATURES[:6]].tolist() == [1000, 50, 1001, 51, 1002, 52]
    facts = json.loads((work.run_folder("tiny-intensity") / "features" / "features.json").read_text())
    assert facts["parts"] == {"cls": [0, 6]}


def test_intensity_needs_no_trained_run(work):
    embed(work, "tiny", baseline="intensity")
    embed(work, "untrained", baseline="intensity", channels=CHANNELS)
    pd.testing.assert_frame_equal(work.features("untrained-intensity"), work.features("tiny-intensity"))
    with pytest.raises(UsageError, match="run tiny takes"):
        embed(work, "tiny", baseline="intensity", channels=CHANNELS[:1])


def test_what_is_not_there_is_said(work):
    with pytest.raises(KitError, match=r"no run nothing .* available: tiny"):
        embed(work, "nothing")
    with pytest.raises(KitError, match="no run nothing"):
        embed(work, "nothing", baseline="intensity")
    for baseline in ("intensity", "texture"):
        with pytest.raises(UsageError, match="or name the channels: with --channels this baseline needs no run"):
            embed(work, "nothing", baseline=baseline)
    with pytest.raises(UsageError, match=f"has no channel {CHANNELS[0]}x; did you mean {CHANNELS[0]}.; it has {CHANNELS[0]}, "):
        embed(work, "nothing", baseline="texture", channels=(CHANNELS[0] + "x",))
    with pytest.raises(UsageError, match="exclude"):
        embed(work, "tiny", weights=Path("x"), baseline="random")


def published(path: Path, *, patch: int = 4, key: str = "teacher") -> Path:
    """Write a file as DINOv2's are: three-channel patches, nested, no heads."""
    model = ModelConfig(dim=24, depth=2, heads=1, patch=patch, position_side=4 * patch, ffn="mlp", layerscale=1.0, drop_path=0.0)
    torch.save({key: {f"backbone.{name}": value for name, value in seeded_vit(model, 3, 8).state_dict().items()}}, path)
    return path


@pytest.fixture
def counted(work, monkeypatch):
    """The store with statistics of its levels, which its hand-made tables lack."""
    monkeypatch.setattr(
        type(work), "channel_stats", lambda self, channels: tuple(np.array(v[: len(channels)]) for v in (MEAN, SD))
    )
    return work


def test_a_published_file_embeds_under_a_run_that_is_there(counted, tmp_path):
    embed(counted, "tiny", weights=published(tmp_path / "vit.pth"))
    network = official_backbone(tmp_path / "vit.pth", 3)
    mean_C, sd_C = torch.tensor(MEAN), torch.tensor(SD)
    view = (torch.from_numpy(counted.read_site("P1", "A01", 1)).float() / 255 - mean_C[:, None, None]) / sd_C[:, None, None]
    expected = network(view[None]).cls_BD[0]
    found = counted.features("tiny").loc[0, FEATURES[:24]].to_numpy(dtype=np.float32)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_published_file_needs_no_run_but_channels(counted, tmp_path):
    file = published(tmp_path / "vit.pth", patch=32)
    with pytest.raises(UsageError, match=r"run off-the-shelf does not exist: give its --channels"):
        embed(counted, "off-the-shelf", weights=file)
    assert not counted.run_folder("off-the-shelf").exists()
    embed(counted, "off-the-shelf", weights=file, channels=("Mito", "RNA"))
    stored = load_config(counted.run_folder("off-the-shelf") / "run.toml")
    assert (stored.channels, stored.model.patch, stored.model.weights) == (("Mito", "RNA"), 32, str(file))
    assert stored.embed.side == 512  # the nearest whole number of patches of 32 below 518
    assert len(counted.features("off-the-shelf")) == 48  # all sites: the one that lacks AGP is complete in these
    with pytest.raises(UsageError, match="run off-the-shelf takes Mito,RNA"):
        embed(counted, "off-the-shelf", weights=file, channels=("Mito",))


def test_the_licence_is_said_and_recorded_and_makes_no_other_features(counted, tmp_path, monkeypatch):
    file = published(tmp_path / "vit.pth")
    unknown = "the file names none; ask its source before you share what you make with it"
    assert embed(counted, "tiny", weights=file).text().splitlines()[1] == f"licence of vit.pth: {unknown}"
    record = json.loads((counted.run_folder("tiny") / "features" / "features.json").read_text())
    assert record["licence"] == unknown
    monkeypatch.setattr("kit.profiles.opening.licence_of", lambda path, tensors: "MIT")
    again = embed(counted, "tiny", weights=file)
    assert (again.kept, again.note) == (2, "licence of vit.pth: MIT")
    embed(counted, "tiny")
    assert "licence" not in json.loads((counted.run_folder("tiny") / "features" / "features.json").read_text())


def test_each_channel_by_itself_is_repeated_to_the_colours_of_the_file(counted, tmp_path):
    """Cell-DINO's DINOv2 baseline: part by part, channel by channel; beside the features of the spread filters."""
    file = published(tmp_path / "vit.pth")
    done = embed(counted, "tiny", weights=file, per_channel=True)
    assert (done.run, done.parts) == ("tiny-per-channel", {"cls": [0, 72], "patch": [72, 144], "patch_sd": [144, 216]})
    network, site = official_backbone(file, 3), torch.from_numpy(counted.read_site("P1", "A01", 1)).float() / 255
    tokens = [network(((site[c] - MEAN[c]) / SD[c]).expand(1, 3, -1, -1)) for c in range(3)]
    expected = torch.cat([token.cls_BD[0] for token in tokens] + [token.patch_BND[0].mean(0) for token in tokens])
    row = counted.features("tiny-per-channel").iloc[0]
    found = row[[f"f{index:04d}" for index in range(144)]].to_numpy(dtype=np.float32)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    spread = embed(counted, "tiny", weights=file)
    assert (spread.run, spread.parts["cls"]) == ("tiny", [0, 24])
    with pytest.raises(UsageError, match="--per-channel is for published weights: give their file with --weights"):
        embed(counted, "tiny", per_channel=True)
    checkpoint = next((counted.run_folder("tiny") / "checkpoints").glob("*.safetensors"))
    with pytest.raises(UsageError, match="is a kit checkpoint, which takes its run's channels"):
        embed(counted, "tiny", weights=checkpoint, per_channel=True)


def test_a_file_that_is_no_weights_is_named(counted, tmp_path):
    (tmp_path / "profiles.csv").write_text("a,b\n")
    with pytest.raises(KitError, match=r"profiles\.csv is not a file of plain tensors"):
        embed(counted, "tiny", weights=tmp_path / "profiles.csv")


def test_weights_from_pixels_scaled_otherwise_are_refused(work):
    write_settings(work.path, replace(work.settings, scale="image-robust"))
    with pytest.raises(UsageError, match=r"store with scale = image, .* has image-robust"):
        embed(kit.open(work.path), "tiny")
    write_settings(work.path, replace(work.settings, bits=16, codec="jpegls"))  # these change no pixel
    check_store(work.settings, kit.open(work.path))


def test_the_spread_of_patch_tokens_is_a_part_of_its_own(work):
    """Features embedded before there was one are not read as if they had it."""
    embed(work, "tiny")
    folder = work.run_folder("tiny") / "features"
    whole = work.features("tiny")
    spread = open_runs(work, ["tiny"], ["patch_sd", "cls"])[0]
    names = [f"f{i:04d}" for i in (*range(48, 72), *range(24))]
    first = whole["Metadata_Plate"] == "P1"
    np.testing.assert_array_equal(spread.read("P1")[0], whole.loc[first, names].to_numpy())
    record = json.loads((folder / "features.json").read_text())
    (folder / "features.json").write_text(json.dumps(record | {"parts": {"cls": [0, 24], "patch": [24, 48]}}))
    with pytest.raises(KitError, match="run tiny has no part patch_sd; it has cls, patch: embed it again"):
        open_runs(work, ["tiny"], ["patch_sd"])
