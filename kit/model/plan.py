"""Estimate a run before it starts: steps, hours, memory, disk, and sessions of 12 hours."""

import math
import os
import time
from typing import TYPE_CHECKING

import torch

from kit.config import RunConfig
from kit.errors import KitError, UsageError
from kit.model.cost import forward_flops, step_memory, ways_to_fit
from kit.model.footprint import codecs_text, csv_text, store_text
from kit.model.machines import MACHINES, SPARE, Machine
from kit.model.networks import Network, hours_of, networks_of
from kit.model.precision import precision
from kit.model.vit import seeded_vit
from kit.model.working import working_text
from kit.words import count

if TYPE_CHECKING:
    from kit.images.store.work import Work

SESSION_HOURS = 12
SENSIBLE_HOURS = 7 * 24  # a run that takes a CPU longer is not for a CPU
THREAD_PEAK = 200e9  # FLOP/s that no thread of a CPU exceeds: two AVX-512 units at 3 GHz


def plan(
    config: RunConfig,
    machine: str,
    work: "Work | None" = None,
    *,
    gpu_memory: float | None = None,
    name: str | None = None,
    averaged: bool = False,
    by_cell: bool | None = None,
) -> str:
    """Return the plan of a run as text.

    Args:
        config: of the run; without channels it is planned for the fluorescent ones, or the store's first group.
        machine: a name of MACHINES, from planning figures; here: from a short trial of the backbone on this machine.
        work: an open work folder to count the sites of; default: the 24 compound plates.
        gpu_memory: of a card, GB of 10**9 bytes, instead of the machine's own.
        name: the recipe as given on the command line; default: its own name.
        averaged: kit profile averages the sites of a well; else it concatenates the challenge's nine.
        by_cell: as `networks_of`.

    Raises:
        UsageError: an unknown machine, or channels that `work` does not have.
    """
    if machine != "here" and machine not in MACHINES:
        raise UsageError(f"--machine {machine}: need here, {' or '.join(MACHINES)}")
    network, *others = networks = networks_of(config, work, by_cell=by_cell)
    config, cost = network.config, network.cost
    lines = [
        f"{name or config.recipe}, {count(len(config.channels), 'channel')} ({', '.join(config.channels)}), "
        f"batch {config.train.batch}",
        f"steps    {network.steps:,}, {network.per_epoch:,} an epoch: {network.source}",
        f"work     {cost.total / 1e12:.3g} TFLOP a step ({cost.backbone / cost.total:.0%} backbone), "
        f"{network.flops / 1e18:.3g} EFLOP in all",
    ]
    rate, more = _here(network, gpu_memory) if machine == "here" else _elsewhere(network, MACHINES[machine], gpu_memory)
    lines += more
    lines += [_pair(network, second, rate) for second in others]
    lines.append(_embed(network, rate))
    quota = MACHINES[machine].quota if machine in MACHINES else None
    if quota is not None and rate is not None:
        lines.append(f"quota    {quota.text(hours_of(networks, rate))}, embedding included")
    lines.append(f"store    {store_text(work)}")
    lines += [f"         {codecs_text()}"] if work is None else []
    lines.append(f"CSV      {csv_text(work, config.width, len(networks), averaged=averaged)}")
    if quota is not None:
        lines.append(f"working  {working_text(networks, quota.working, averaged=averaged)}")
    if rate is not None:
        lines.append("These hours exclude reading sites and making views.")
    return "\n".join(lines)


def _hours(hours: float) -> str:
    return f"{_length(hours)}, {count(math.ceil(hours / SESSION_HOURS), 'session')} of {SESSION_HOURS} h"


def _length(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.0f} minutes" if hours * 60 >= 1 else "less than a minute"


def _pair(network: Network, second: Network, rate: float | None) -> str:
    """Say what both networks take, trained one after the other; `rate`: FLOP/s, None where they cannot be trained."""
    both = [one.flops for one in (network, second)]
    text = f"{sum(both) / 1e18:.3g} EFLOP" if rate is None else _hours(sum(both) / rate / 3600)
    return f"both     {text} with the {second.group} network ({', '.join(second.config.channels)}) trained after this one"


def _embed(network: Network, rate: float | None) -> str:
    """Say what embedding with this network takes; `rate` as for `_pair`."""
    taken = f"{network.embed_flops / 1e18:.3g} EFLOP" if rate is None else _length(network.embed_flops / rate / 3600)
    return f"embed    {taken} with this network: {network.embedded}"


def _elsewhere(network: Network, machine: Machine, gpu_memory: float | None) -> tuple[float, list[str]]:
    """Return the planned FLOP/s, and the lines about time and memory."""
    figure = f"computed at {machine.share:.0%} of the data sheet's peak of {machine.peak / 1e12:.0f} TFLOP/s a card, not measured"
    lines = [_time(network, machine.rate, machine.text, figure)]
    memory = machine.memory if gpu_memory is None else gpu_memory * 1e9
    return machine.rate, lines + _memory(network.config, memory * SPARE, machine.cards, half=True)


def _time(network: Network, rate: float, where: str, figure: str) -> str:
    hours = network.flops / rate / 3600
    sites = network.config.train.batch * rate / network.cost.total
    digits = f"{sites:.0f}" if sites >= 10 else f"{sites:.2g}"
    drawn = "cells" if network.config.crops.around == "cell" else "sites"
    return f"time     {_hours(hours)} on {where}, {digits} {drawn}/s: {figure}"


def _memory(config: RunConfig, limit: float, world: int, *, half: bool) -> list[str]:
    """Say what a step takes of each card, and what to change if that is too much."""
    channels = config.view_channels
    memory = step_memory(config, channels, world=world, half=half)
    lines = [f"memory   {memory.text()} a process; {limit / 1e9:.0f} GB usable: {'fits' if memory.total < limit else 'too much'}"]
    if memory.total < limit:
        return lines
    ways = ways_to_fit(config, channels, limit, world=world, half=half)
    lines += [f"         --set {text.replace(' ', ' --set ')}: {less.text()}" for text, less in ways]
    return lines if ways else [*lines, "         a smaller train.batch or crops.global_side is needed"]


def _here(network: Network, gpu_memory: float | None) -> tuple[float | None, list[str]]:
    """Return this machine's FLOP/s, None where training on it makes no sense, and the lines about time and memory."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cards = max(torch.cuda.device_count(), 1)
    threads = torch.get_num_threads()
    rate = None
    if device.type == "cuda" or _sensible(network, threads * THREAD_PEAK):
        rate = measured_rate(network.config, device) * cards
    if rate is None or (device.type == "cpu" and not _sensible(network, rate)):
        lines = [
            f"time     not sensible here: weeks to years on {threads} CPU threads; --machine plans for {', '.join(MACHINES)}"
        ]
        return None, lines if gpu_memory is None else lines + _memory(network.config, gpu_memory * 1e9 * SPARE, 1, half=True)
    where = f"{cards} x {torch.cuda.get_device_name()}" if device.type == "cuda" else f"{threads} CPU threads"
    lines = [_time(network, rate, where, f"at {rate / cards / 1e12:.3g} TFLOP/s, measured just now on one view")]
    if gpu_memory is not None:
        return rate, lines + _memory(network.config, gpu_memory * 1e9 * SPARE, cards, half=True)
    half = precision(network.config, device) is not None
    return rate, lines + _memory(network.config, total_memory(device) * SPARE, cards, half=half)


def _sensible(network: Network, rate: float) -> bool:
    return network.flops / rate < SENSIBLE_HOURS * 3600


def total_memory(device: torch.device) -> float:
    """Return the bytes of a GPU, or what this machine has free."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def measured_rate(config: RunConfig, device: torch.device) -> float:
    """Return the FLOP/s of one view forwards and backwards through the backbone on this machine, timed on the second pass."""
    channels, side = config.inputs, config.crops.global_side
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
    total = total_memory(device)
    half = precision(config, device) is not None
    memory = step_memory(config, config.view_channels, world=world, half=half)
    ways = ways_to_fit(config, config.view_channels, min(total * SPARE, memory.total), world=world, half=half)
    text = "; or ".join(f"--set {text.replace(' ', ' --set ')} ({less.total / 1e9:.1f} GB)" for text, less in ways)
    return KitError(
        f"out of memory at train.batch = {config.train.batch}: a step needs about {memory.text()}, "
        f"the device has {total / 1e9:.1f} GB; try {text or 'a smaller train.batch or crops.global_side'}"
    )
