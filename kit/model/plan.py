"""What a run will take, before it is started: steps, hours, memory, and how many sessions of 12 hours."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from kit.config import RunConfig
from kit.errors import KitError, UsageError
from kit.model.cost import Work, forward_flops, step_flops, step_memory, ways_to_fit
from kit.model.precision import precision
from kit.model.schedules import total_steps
from kit.model.vit import seeded_vit

SITES, WELLS = 93_647, 24 * 384  # of the 24 compound plates of 2020_11_04_CPJUMP1
SESSION_HOURS = 12
SPARE = 0.9  # share of a card's memory to plan with: the allocator and the context take the rest


@dataclass(frozen=True)
class Machine:
    """A machine to plan for; its speed is a planning figure, not a measurement."""

    text: str
    cards: int
    memory: float  # bytes of a card
    flops: float  # of a card in half precision, at its best
    share: float  # of that, what a whole step reaches


MACHINES = {
    "kaggle-2xt4": Machine("2 x T4 of a Kaggle notebook", 2, 16e9, 65e12, 0.25),
    "h200": Machine("one H200", 1, 150e9, 790e12, 0.4),
}


def plan(config: RunConfig, machine: str, work=None) -> str:
    """Return the plan of a run as text.

    Args:
        machine: kaggle-2xt4 or h200, from planning figures; here: from a short trial of the backbone on this machine.
        work: an open work folder to count the sites of; default: the 24 compound plates.

    Raises:
        UsageError: no channels, or an unknown machine.
    """
    if not config.channels:
        raise UsageError(f"recipe {config.recipe} needs --channels fluorescence, brightfield or names")
    samples, source = _samples(config, work)
    per_epoch = max(1, samples // config.train.batch)
    steps = total_steps(config.train, per_epoch)
    cost = step_flops(config, len(config.channels))
    lines = [
        f"{config.recipe}, {len(config.channels)} channels ({', '.join(config.channels)}), batch {config.train.batch}",
        f"steps    {steps:,}, {per_epoch:,} an epoch: {source}",
        f"work     {cost.total / 1e12:.3g} TFLOP a step ({cost.backbone / cost.total:.0%} backbone), "
        f"{cost.total * steps / 1e18:.3g} EFLOP in all",
    ]
    if machine == "here":
        lines += _here(config, cost, steps)
    elif machine in MACHINES:
        lines += _elsewhere(config, cost, steps, MACHINES[machine])
    else:
        raise UsageError(f"--machine {machine}: choose here, {' or '.join(MACHINES)}")
    return "\n".join([*lines, "Reading sites and making views are not in these hours."])


def _samples(config: RunConfig, work) -> tuple[int, str]:
    """Return the samples of an epoch and where the number comes from."""
    if work is not None:
        sites = work.sites_with(config.channels)
        wells = len(sites[["Metadata_Plate", "Metadata_Well"]].drop_duplicates())
        where = f"the {len(sites):,} sites of {wells:,} wells in {Path(work.path).name}"
        count = len(sites)
    else:
        count, wells, where = SITES, WELLS, f"{SITES:,} sites, the 24 compound plates of CPJUMP1 (--work counts your own)"
    return (9 * wells, f"nine for each of {wells:,} wells") if config.crops.epoch == "wells9" else (count, where)


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    sessions = -(-hours // SESSION_HOURS)
    text = f"{seconds / 60:.1f} minutes" if hours < 1 else f"{hours:.1f} hours"
    return f"{text}, {sessions:.0f} session{'s' if sessions > 1 else ''} of {SESSION_HOURS} h"


def _elsewhere(config: RunConfig, cost: Work, steps: int, machine: Machine) -> list[str]:
    seconds = cost.total * steps / (machine.cards * machine.flops * machine.share)
    figure = f"computed at {machine.share:.0%} of {machine.flops / 1e12:.0f} TFLOP/s a card, not measured"
    rate = config.train.batch * steps / seconds
    lines = [f"time     {_hours(seconds)} on {machine.text}, {rate:.0f} sites/s: {figure}"]
    return lines + _memory(config, machine.memory * SPARE, machine.cards, half=True)


def _memory(config: RunConfig, limit: float, world: int, *, half: bool) -> list[str]:
    """Say what a step takes of each card, and what to change if that is too much."""
    channels = len(config.channels)
    memory = step_memory(config, channels, world=world, half=half)
    lines = [
        f"memory   {memory.text()} a process; {limit / 1e9:.0f} GB can be used: {'fits' if memory.total < limit else 'too much'}"
    ]
    if memory.total < limit:
        return lines
    ways = ways_to_fit(config, channels, limit, world=world, half=half)
    lines += [f"         --set {text.replace(' ', ' --set ')}: {less.text()}" for text, less in ways]
    return lines if ways else [*lines, "         a smaller train.batch or crops.global_side is needed"]


def _here(config: RunConfig, cost: Work, steps: int) -> list[str]:
    """Time one view of the backbone and take the whole step at the same speed."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rate = measured_rate(config, device)
    cards = max(torch.cuda.device_count(), 1)
    seconds = cost.total * steps / (rate * cards)
    name = f"{cards} x {torch.cuda.get_device_name()}" if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    sites = config.train.batch * steps / seconds
    lines = [f"time     {_hours(seconds)} on {name}, {sites:.2g} sites/s: at {rate / 1e12:.3g} TFLOP/s, measured on one view now"]
    total = torch.cuda.get_device_properties(0).total_memory if device.type == "cuda" else _free_memory()
    return lines + _memory(config, total * SPARE, cards, half=precision(config, device) is not None)


def _free_memory() -> float:
    return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def measured_rate(config: RunConfig, device: torch.device) -> float:
    """Return the FLOP/s of one view forwards and backwards through the backbone on this machine, the second time round."""
    channels, side = len(config.channels), config.crops.global_side
    network = seeded_vit(config.model, channels, 0).to(device)
    x = torch.zeros(1, channels, side, side, device=device)
    dtype = precision(config, device)
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            loss = network(x).cls_BD.float().square().sum()
        loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    return 3 * forward_flops(config.model, channels, side) / seconds


def out_of_memory(config: RunConfig, device: torch.device, world: int = 1) -> KitError:
    """Return the error that says what to change, with numbers, when a card's memory ran out."""
    total = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else _free_memory()
    half = precision(config, device) is not None
    memory = step_memory(config, len(config.channels), world=world, half=half)
    ways = ways_to_fit(config, len(config.channels), min(total * SPARE, memory.total), world=world, half=half)
    text = "; or ".join(f"--set {text.replace(' ', ' --set ')} ({less.total / 1e9:.1f} GB)" for text, less in ways)
    return KitError(
        f"out of memory at train.batch = {config.train.batch}: a step plans {memory.text()}, "
        f"the device has {total / 1e9:.1f} GB; try {text or 'a smaller train.batch or crops.global_side'}"
    )
