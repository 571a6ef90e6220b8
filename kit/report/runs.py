"""The runs of the work folder: what each was, how far it came, and of how many sites it has features."""

import json
from pathlib import Path
from typing import Any

from kit.profiles.table import open_parquet
from kit.recipe import load_config
from kit.report.blocks import Missing, Section, Table
from kit.report.context import Context

_HEAD = ["run", "recipe", "channels", "steps", "last loss", "minutes", "features of"]


def section(context: Context) -> Section:
    """Return a table of runs."""
    folders = [folder for folder in sorted((context.work.path / "runs").glob("*")) if folder.is_dir()]
    if not folders:
        how = f"kit train --work {context.work.path} --recipe NAME --channels fluorescence --run fluorescence"
        return Section("runs", "Runs", (Missing("runs: no network was trained or embedded here", how),))
    return Section("runs", "Runs", (Table(_HEAD, [_row(folder) for folder in folders]),))


def metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics.jsonl, without one that a kill cut short; none where it was not trained."""
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    return [line for line in map(_parsed, lines) if line]


def _row(folder: Path) -> list[Any]:
    config = load_config(folder / "run.toml") if (folder / "run.toml").is_file() else None
    steps = [line for line in metrics(folder) if "loss" in line]
    last = steps[-1] if steps else {}
    sites = sum(open_parquet(path).metadata.num_rows for path in (folder / "features").glob("*.parquet"))
    return [
        folder.name,
        config.recipe if config else "-",
        ", ".join(config.channels) if config else "-",
        last.get("step", "-"),
        f"{last['loss']:.3f}" if last else "-",
        f"{last['minutes']:.1f}" if "minutes" in last else "-",
        f"{sites} sites" if sites else "-",
    ]


def _parsed(line: str) -> dict[str, Any]:
    try:
        return json.loads(line)
    except ValueError:  # the last line of a run that was killed
        return {}
