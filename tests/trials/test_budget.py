"""kit compare --images: every row sees as many, and says what it cost."""

import pytest

from kit.config import CHANNELS
from kit.errors import UsageError
from kit.images.store.work import open_work
from kit.model.schedules import Schedules
from kit.recipe import load_recipe
from kit.trials.compare_budget import cost_text, listed, parameters, with_images
from kit.trials.features import images_wanted, recipe_configs
from tests.images.made_work import CHANNELS as STORED
from tests.images.made_work import make_work


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return make_work(tmp_path_factory.mktemp("work"))


def test_networks_see_as_many_images_and_keep_the_share_of_their_schedules(work):
    """96 sites; batches of 32 and 6, a warm-up in steps or in epochs."""
    demo, other = (
        load_recipe(name, settings, channels=STORED)
        for name, settings in (("demo", []), ("dinov2-separate", ["train.batch=6", "train.epochs=50", "train.warmup_epochs=5"]))
    )
    small, large = with_images(demo, 960, work), with_images(other, 960, work)
    assert (small.train.max_steps, small.train.warmup_steps) == (30, 3)  # of 600 and 60
    assert large.train.max_steps == 160
    planned = Schedules(large.train, large.loss, steps=160, steps_per_epoch=16)
    assert planned.warmup == 16  # a tenth, as 5 of 50 epochs
    assert large.loss.teacher_temperature_epochs == pytest.approx(30 * 160 / 800)
    assert with_images(demo, 0, work) is demo
    with pytest.raises(UsageError, match=r"--images 5: recipe dinov2-separate takes 6 a step \(train\.batch\)"):
        with_images(other, 5, work)


def test_a_list_of_recipes():
    assert listed(["demo, mae-small", "simclr-small", "demo"]) == ("demo", "mae-small", "simclr-small")
    with pytest.raises(UsageError, match="need the name of a recipe"):
        listed([" ,"])


def test_the_trials_take_a_list_and_a_number_of_images(work):
    found = recipe_configs("demo,mae-small", ["train.batch=8"], [0, 1], open_work(work.path), 80)
    assert list(found) == ["demo", "mae-small"]
    assert [(config.seed, config.train.max_steps) for config in found["mae-small"]] == [(0, 10), (1, 10)]
    assert recipe_configs("", [], [3], work)["demo"] == [load_recipe("demo", channels=STORED, seed=3)]
    for wrong in ("0", "x", "-3"):
        with pytest.raises(UsageError, match=f"--images {wrong}: need a whole number, at least 1"):
            images_wanted(wrong)


def test_what_rows_cost():
    def cost(minutes, cpu):
        return {"images": 6000, "parameters": 500_000, "minutes": minutes, "cpu_minutes": cpu}

    text = cost_text({
        "one": [{"cost": [cost(1.0, 2.0)]}, {"cost": [cost(3.0, 4.0)]}],
        "two networks": [{"cost": [cost(1.0, None), cost(1.0, 2.0)]}],
        "texture": [{}],
    }).splitlines()  # fmt: skip
    assert len(text) == 3
    assert text[1].split() == ["one", "6,000", "0.50", "M", "50.0", "2.0", "3.0"]
    assert text[2].split() == ["two", "networks", "6,000", "1.00", "M", "100.0", "2.0", "-"]
    assert cost_text({"texture": [{}]}) == ""


def test_parameters_are_those_of_the_network_that_embeds():
    """A ViT-S/14 with SwiGLU on five channels, as its layout is published: 22,213,248."""
    assert parameters(load_recipe("sslprofiler", channels=CHANNELS[:5])) == 22_213_248
    assert parameters(load_recipe("mae", channels=CHANNELS[:5])) == 22_213_248
