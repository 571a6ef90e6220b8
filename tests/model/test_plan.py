"""Costs by hand, memory by measurement."""

from dataclasses import replace
from itertools import accumulate

import pytest
import torch

from kit.config import CHANNELS, ModelConfig
from kit.errors import UsageError
from kit.images.cells.table import WHO, write_cells
from kit.images.crops.loader import Crops
from kit.model.cost import forward_flops, masked_rows, step_flops, step_memory, ways_to_fit
from kit.model.dino import seeded_network
from kit.model.learner import make_learner
from kit.model.losses import prototype_loss
from kit.model.networks import networks_of
from kit.model.plan import plan
from kit.model.shown import CELLS_A_SITE
from kit.model.sinkhorn import sinkhorn
from kit.model.step import learn
from kit.recipe import load_recipe, recipe_names
from tests.commands import kit_here
from tests.images.made_work import make_work
from tests.model.tiny import assert_near

FLUORESCENCE = CHANNELS[:5]


@pytest.mark.parametrize(("side", "gflop"), [(98, 2.2), (224, 12.3), (392, 45.3), (518, 93.8)])
def test_flops_of_vit_s(side, gflop):
    assert forward_flops(ModelConfig(), 5, side) / 1e9 == pytest.approx(gflop, rel=0.01)


def test_flops_of_a_step():
    """DINOv2 at batch 128 with two views of 518 px: 8 forwards of 128 views of 93.8 GFLOP, and 52,570 masked patches."""
    config = load_recipe("dinov2-518", ["crops.local_crops=0"], channels=FLUORESCENCE)
    assert step_flops(config, 5).backbone == pytest.approx(8 * 128 * 93.8e9, rel=0.001)
    assert masked_rows(config) == pytest.approx(52_570, rel=0.001)
    again = replace(config, train=replace(config.train, checkpoint_activations=True))
    assert step_flops(again, 5).backbone == pytest.approx(10 * 128 * 93.8e9, rel=0.001)
    local = load_recipe("sslprofiler-local", channels=FLUORESCENCE)
    assert step_flops(local, 5).backbone == pytest.approx(11 * 128 * 93.8e9, rel=0.001)


def test_the_step_of_batch_32_fits_14_gb():
    for recipe in ("dinov2-518", "sslprofiler-local"):
        config = load_recipe(recipe, ["train.batch=32", "crops.local_crops=0"], channels=FLUORESCENCE)
        with_checkpointing = replace(config, train=replace(config.train, checkpoint_activations=True))
        assert step_memory(with_checkpointing, 5).total < 14e9
    config = load_recipe("dinov2-518", ["train.batch=32", "crops.local_crops=0"], channels=FLUORESCENCE)
    assert step_memory(config, 5).activations == pytest.approx(17e9, rel=0.1)
    assert ways_to_fit(config, 5, 14e9)[0][0] == "train.checkpoint_activations=true"


def test_the_plans_of_the_recipes():
    text = plan(load_recipe("sslprofiler-local", channels=FLUORESCENCE), "kaggle-2xt4")
    assert "73,100, 731 an epoch" in text
    assert "sessions of 12 h on 2 x T4" in text
    assert "not measured" in text
    assert "--set train.checkpoint_activations=true: " in text


def test_a_plan_without_channels_is_of_the_fluorescent_ones():
    assert plan(load_recipe("demo"), "h100") == plan(load_recipe("demo", channels=FLUORESCENCE), "h100")
    assert "8 channels" in plan(load_recipe("dinov2-8ch"), "h100"), "a recipe's own channels stay"


def hours(text: str, head: str) -> float:
    """Return the hours of a line of a plan."""
    (line,) = (line for line in text.splitlines() if line.startswith(head))
    return float(line.removeprefix(head).split(" hours")[0])


def test_both_networks_of_a_pair_are_added():
    """The patch embedding alone differs: 2 n C p p D FLOP forwards, three and two channels less of 93.8 GFLOP."""
    fluorescence = plan(load_recipe("sslprofiler-local"), "kaggle-2xt4")
    brightfield = plan(load_recipe("sslprofiler-local", channels=CHANNELS[5:]), "kaggle-2xt4")
    both = hours(fluorescence, "time") + hours(brightfield, "time")
    assert hours(fluorescence, "both") == pytest.approx(both, abs=0.1)
    assert hours(brightfield, "both") == pytest.approx(both, abs=0.1)
    assert "16 sessions of 12 h with the brightfield network (HighZBF, LowZBF, Brightfield)" in fluorescence
    assert "7,680 wells x 13,824 features (9 sites, CLS and patch mean, 2 networks)" in fluorescence
    assert "both     less than a minute, 1 session of 12 h" in plan(load_recipe("demo"), "h200")
    assert "about 1.17 GB" in fluorescence, "7,680 x 13,824 x 11 bytes"
    assert "about 273 GB" in fluorescence, "93,647 sites x 2.92 MB"
    alone = plan(load_recipe("dinov2-8ch"), "kaggle-2xt4")
    assert "both" not in alone
    assert "7,680 wells x 6,912 features (9 sites, CLS and patch mean, 1 network)" in alone


@pytest.mark.parametrize(
    ("machine", "cards", "tflops", "share", "gb"),
    [("rtx4090", 1, 165, 0.4, 24), ("a100", 1, 312, 0.4, 80), ("h100", 1, 989, 0.32, 80), ("h200", 1, 989, 0.32, 141),
     ("kaggle-2xt4", 2, 65, 0.25, 16)],
)  # fmt: skip
def test_the_hours_of_a_machine_are_a_stated_share_of_its_peak(machine, cards, tflops, share, gb):
    config = load_recipe("sslprofiler-local", channels=FLUORESCENCE)
    text = plan(config, machine)
    seconds = 73_100 * step_flops(config, 5).total / (cards * tflops * 1e12 * share)
    assert hours(text, "time") == pytest.approx(seconds / 3600, abs=0.051)
    assert f"{share:.0%} of the data sheet's peak of {tflops} TFLOP/s a card, not measured" in text
    assert f"; {gb * 0.9:.0f} GB usable" in text
    assert "; 22 GB usable: too much" in plan(config, machine, gpu_memory=24)


def test_a_plan_for_a_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "measured just now on one view" in plan(load_recipe("demo"), "here")
    rated = []
    monkeypatch.setattr("kit.model.plan.measured_rate", lambda *_: rated.append(1) or 1e9)
    text = plan(load_recipe("sslprofiler-local"), "here")
    assert "time     not sensible here" in text
    assert "memory" not in text
    assert "hours" not in text
    assert "EFLOP with the brightfield network" in text
    assert not rated, "no thread of a CPU is fast enough: there is nothing to measure"
    assert "not sensible here" in plan(load_recipe("demo", ["train.max_steps=60000"]), "here"), "918 EFLOP / 1e15 at 1 GFLOP/s"
    assert rated
    assert "; 22 GB usable: too much" in plan(load_recipe("sslprofiler-local"), "here", gpu_memory=24)


def test_a_plan_counts_a_store(tmp_path):
    """Twenty-four wells of four sites, channels that are no pair, three wells of a plate controls."""
    work = make_work(tmp_path / "store")
    work.sites["Metadata_is_control"] = work.sites["Metadata_Well"].isin(["A01", "A02", "A03"])
    text = plan(load_recipe("demo", channels=work.channels), "h100", work)
    size = sum(file.stat().st_size for file in (tmp_path / "store" / "plates").rglob("*") if file.is_file())
    assert size > 96 * 3 * 900, "noise does not compress"
    assert "the 96 sites of 24 wells in store" in text
    assert f"store    {size / 1e6:.3g} MB in {tmp_path / 'store' / 'plates'}: 96 sites" in text
    assert f"18 wells x {9 * 2 * 96:,} features" in text
    averaged = plan(load_recipe("demo", channels=work.channels), "h100", work, averaged=True)
    assert f"18 wells x {2 * 96:,} features (mean of the sites, CLS and patch mean, 1 network)" in averaged
    assert plan(load_recipe("demo"), "h100", work).startswith("demo, 3 channels (Mito, AGP, RNA)"), "the group of the store"
    assert plan(load_recipe("demo", channels=("RNA",)), "h100", work).startswith("demo, 1 channel (RNA), batch")
    with pytest.raises(UsageError, match=r"store has no channel ER; it has Mito, AGP, RNA"):
        plan(load_recipe("demo", channels=("ER",)), "h100", work)


def test_a_plan_counts_cells(tmp_path):
    """Four sites of two plates, of 3, 1, 0 and 2 cells; P2 is not known yet. A site without cells is embedded as nine squares."""
    work = make_work(tmp_path / "store", wells=2, sites=2)
    settings = ["crops.around=cell", "crops.cell_px=16", "crops.balance=cells", "crops.epoch=cells", "train.batch=2"]
    config = load_recipe("demo", settings, channels=work.channels)
    usual = networks_of(config, work)[0]
    assert (usual.per_epoch, usual.cells.number) == (8 * CELLS_A_SITE // 2, 8 * CELLS_A_SITE)
    assert f"600 cells ({CELLS_A_SITE} a site assumed: kit cells {work.path} finds them) of the 8 sites" in usual.source
    for plate, cells in (("P1", (3, 1, 0, 2)), ("P2", (1, 0, 0, 0))):
        sites = work.sites.loc[work.sites["Metadata_Plate"] == plate, WHO]
        write_cells(work, plate, sites.loc[sites.index.repeat(cells)].assign(y=9.0, x=9.0), {"made": 1})
        if plate == "P1":
            half = networks_of(config, work)[0]
            assert (half.cells.number, half.cells.shown) == (6 + 4 * CELLS_A_SITE, 15 + 4 * CELLS_A_SITE)
            assert f"{CELLS_A_SITE} a site assumed on 1 plate: kit cells" in half.embedded
    network = networks_of(config, work)[0]
    with Crops(work, config.crops, channels=work.channels, batch=2, seed=0) as crops:
        assert network.per_epoch == crops.steps_per_epoch == 7 // 2
    once = forward_flops(config.model, 3, config.embed.side)
    assert network.embed_flops == (7 + 4 * 9) * once
    assert networks_of(config, work, by_cell=False)[0].embed_flops == 8 * once
    text = plan(load_recipe("demo", channels=work.channels), "h100", work, by_cell=True)
    assert "this network: 7 cells of 8 sites (as kit cells found them)" in text
    assert "an epoch: the 8 sites" in text
    assumed = networks_of(load_recipe("cell-dino-small"), None)[0]
    assert (assumed.per_epoch, assumed.cells.shown) == (75 * 93_647 // 256, 75 * 93_647)
    assert "7,023,525 cells of 93,647 sites (75 a site assumed, as in eight" in assumed.embedded


def test_no_plan_is_another_recipes():
    """In one process, in either order, each header stands over its own numbers: nothing is kept from plan to plan."""
    names = recipe_names()
    texts = {name: plan(load_recipe(name), "h200") for name in names}
    assert {name: plan(load_recipe(name), "h200") for name in reversed(names)} == texts
    assert all(text.startswith(f"{name}, ") for name, text in texts.items())
    expected = {"demo": "600, 2,926 an epoch", "sslprofiler": "8.62 EFLOP", "sslprofiler-local": "10.7 EFLOP"}
    assert all(number in texts[name] for name, number in expected.items())
    numbers = {name: text.partition(", ")[2] for name, text in texts.items()}
    assert numbers.pop("sslprofiler") == numbers.pop("dinov2-518"), "other views of the same sizes"
    assert numbers.pop("sslprofiler-base") == numbers.pop("dinov2-518-base")
    assert len(set(numbers.values())) == len(names) - 4


def test_a_plan_is_headed_by_what_was_asked_for(tmp_path, capsys):
    """A file may have the name of a recipe that comes with kit, and a run.toml that of the recipe it was made from."""
    own = tmp_path / "sslprofiler.toml"
    own.write_text('extends = "demo"\nrecipe = "dinov2-518"\n[train]\nmax_steps = 7\n')
    kit_here(f"plan --machine h200 --recipe {own}")
    assert capsys.readouterr().out.startswith(f"{own}, 5 channels (Mito, AGP, RNA, ER, DNA), batch 32\nsteps    7, ")
    kit_here("plan --machine h200 --recipe demo --recipe sslprofiler", code=2)
    assert "--recipe is given 2 times: it takes one value" in capsys.readouterr().err
    kit_here("plan --machine h200 --set recipe=demo", code=2)
    assert "setting recipe=demo would rename recipe sslprofiler-local, not change it" in capsys.readouterr().err


def peak_bytes(run) -> int:
    """Return the most memory that a call held in tensors at once, temporaries of torch's operators included."""
    with torch.profiler.profile(profile_memory=True) as profile:
        run()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    return max(accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())))


def rows(n: int, seed: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(n, 32, generator=torch.Generator().manual_seed(seed)), dim=1)


def plain_loss(student, prototypes, teacher, centres, weight) -> torch.Tensor:
    with torch.no_grad():
        Q = torch.exp(teacher @ centres.T / 0.05)
        for _ in range(3):
            Q /= Q.sum(0, keepdim=True) * Q.shape[1]
            Q /= Q.sum(1, keepdim=True) * Q.shape[0]
        Q *= len(Q)
    return -((Q * torch.log_softmax(student @ prototypes.T / 0.1, 1)).sum(1) * weight).sum()


def chunked_loss(student, prototypes, teacher, centres, weight) -> torch.Tensor:
    bias = sinkhorn(teacher, centres, 0.05, steps=3, chunk=64).bias_K
    temperatures = {"student_temperature": 0.1, "teacher_temperature": 0.05}
    return prototype_loss(student, prototypes, teacher, centres, bias, weight, **temperatures, chunk=64)[0]


@pytest.mark.slow
def test_the_loss_takes_a_third_of_the_plain_forms_memory_at_most():
    R, K = 512, 65_536
    peaks, results = [], []
    for form in (plain_loss, chunked_loss):
        student, prototypes = rows(R, 1).requires_grad_(), rows(K, 2).requires_grad_()
        arguments = (student, prototypes, rows(R, 3), rows(K, 4), torch.full((R,), 1 / R))

        def run(form=form, arguments=arguments):
            loss = form(*arguments)
            loss.backward()
            results.append(loss.detach())

        peaks.append(peak_bytes(run))
        results.extend((student.grad, prototypes.grad))
    for plain, chunked in zip(results[:3], results[3:], strict=True):
        assert_near(chunked, plain, 1e-5)
    assert peaks[0] > 3 * 4 * R * K, "the plain form did hold several of its logits"
    assert peaks[1] < peaks[0] / 3


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [True, False])
def test_the_planned_memory_is_what_a_step_takes(checkpointing):
    """518 px, batch 2, 65,536 prototypes; two blocks, so that the loss is not lost beside the backbone."""
    settings = [
        "train.batch=2",
        "model.depth=2",
        "loss.chunk_rows=256",
        "loss.mask_ratio=[0.5,0.5]",  # the most a step can mask: the draw of two samples alone moves the peak by 12 %
        f"train.checkpoint_activations={str(checkpointing).lower()}",
    ]
    config = load_recipe("sslprofiler-local", settings, channels=FLUORESCENCE)

    def run():
        networks = [seeded_network(config.model, config.loss, 5, 0) for _ in range(2)]
        learner = make_learner(config, *networks, steps=10, steps_per_epoch=10)
        views = {name: torch.randn(2, 5, 518, 518) for name in learner.arrangement.views}
        for step in range(2):  # the optimiser's moments are there from the second on
            learn(learner, views, step)

    assert step_memory(config, 5, half=False).total == pytest.approx(peak_bytes(run), rel=0.2)
