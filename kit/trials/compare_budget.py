"""One budget for every row of a comparison, a number of images seen; and what a row cost."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kit.config import RunConfig
from kit.errors import UsageError
from kit.images.store.work import Work

if TYPE_CHECKING:
    from kit.model.loop import TrainSummary


def with_images(config: RunConfig, images: int, work: Work) -> RunConfig:
    """Return a configuration that draws `images` sites, so as many steps as its batch takes; 0: as it is.

    Its schedules keep their share of the run: warm-up, frozen prototypes, the teacher's temperature.

    Raises:
        UsageError: fewer images than a batch.
    """
    from kit.model.networks import networks_of
    from kit.model.schedules import total_steps

    if not images:
        return config
    train, loss = config.train, config.loss
    steps = images // train.batch
    if steps < 1:
        raise UsageError(f"--images {images}: recipe {config.recipe} takes {train.batch} a step (train.batch)")
    share = steps / total_steps(train, networks_of(config, work)[0].per_epoch)
    return replace(
        config,
        train=replace(
            train,
            max_steps=steps,
            warmup_steps=min(steps, max(1, round(train.warmup_steps * share))) if train.warmup_steps else 0,
            warmup_epochs=train.warmup_epochs * share,
            freeze_last_layer_epochs=train.freeze_last_layer_epochs * share,
        ),
        loss=replace(loss, teacher_temperature_epochs=loss.teacher_temperature_epochs * share),
    )


def timed(train: Callable[[], "TrainSummary"], config: RunConfig) -> dict[str, float | int | None]:
    """Train, and return what it cost: images seen, parameters of the embedded network, minutes, CPU minutes.

    Of a run that was begun before, the minutes are those of all its sessions; CPU minutes are the share that this one used. None
    where this session took no step.
    """
    cpu, wall = time.process_time(), time.monotonic()
    summary = train()
    used = (time.process_time() - cpu) / max(time.monotonic() - wall, 1e-9)
    return {
        "images": summary.steps * config.train.batch,
        "parameters": parameters(config),
        "minutes": summary.minutes,
        "cpu_minutes": summary.minutes * used if summary.last else None,
    }


def parameters(config: RunConfig) -> int:
    """Return the parameters of the backbone, which is what embeds."""
    import torch

    from kit.model.vit import seeded_vit

    with torch.device("meta"):
        return sum(parameter.numel() for parameter in seeded_vit(config.model, config.inputs, 0).parameters())


def cost_text(entries: dict[str, list[dict]]) -> str:
    """Return a line a trained row, means over its seeds, or nothing. Of a row of several networks all but the images add up.

    entries: row -> what `compare` keeps of each seed.
    """
    lines: list[tuple[str, ...]] = [("", "images seen", "parameters", "img/s", "minutes", "CPU minutes")]
    for name, seeds in entries.items():
        costs = [entry["cost"] for entry in seeds if entry.get("cost")]
        if costs:
            lines.append((name, *_cells(costs)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in lines]
    return "\n".join(text) if len(lines) > 1 else ""


def _cells(costs: list[list[dict]]) -> tuple[str, ...]:
    def mean(key: str) -> float:
        return sum(network[key] for cost in costs for network in cost) / len(costs)

    whole = all(network["cpu_minutes"] is not None for cost in costs for network in cost)
    rate, cpu = mean("images") / max(60 * mean("minutes"), 1e-9), f"{mean('cpu_minutes'):.1f}" if whole else "-"
    return f"{costs[0][0]['images']:,}", f"{mean('parameters') / 1e6:.2f} M", f"{rate:.1f}", f"{mean('minutes'):.1f}", cpu


def listed(recipes: Sequence[str]) -> tuple[str, ...]:
    """Return the recipes of `--recipe A --recipe B,C`, each once.

    Raises:
        UsageError: none.
    """
    names = tuple(dict.fromkeys(name.strip() for text in recipes for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError(f"--recipe {','.join(recipes)!r}: need the name of a recipe")
    return names
