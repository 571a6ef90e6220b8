"""How each network was trained: its losses beside a guess, its k-NN, what the alarm saw, and what differs from the recipe."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from kit.config import RunConfig
from kit.errors import KitError, UsageError
from kit.model.history import KINDS, History, read_metrics
from kit.model.limits import LIMITS
from kit.profiles.table import open_parquet
from kit.recipe import differences, flat_settings, load_config
from kit.report.blocks import Block, Missing, Section, Table, Text
from kit.report.colours import INK, MUTED, PALETTE
from kit.report.context import Context
from kit.report.figures import Files
from kit.report.panels import Panel, panels
from kit.report.views_picture import views_picture
from kit.words import some, typed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_RUNS = 4  # that are drawn, those with the most steps
_POINTS = 300  # of a line
_SIZE = (3.7, 2.3)  # inches
_HEAD = ["run", "recipe", "channels", "steps", "last loss", "minutes", "k-NN, %", "features of"]


def section(context: Context) -> Section:
    """Return the table of runs, and for the longest ones how they were trained."""
    folders = [folder for folder in sorted((context.work.path / "runs").glob("*")) if folder.is_dir()]
    if not folders:
        how = f"kit train --work {typed(context.work.path)} --recipe NAME --channels fluorescence --run fluorescence"
        return Section("runs", "Training", (Missing("runs: no network was trained or embedded here", how),))
    runs = [_Run.of(folder) for folder in folders]
    trained = sorted((run for run in runs if not run.history.losses.empty), key=lambda run: -run.steps)
    blocks: list[Block] = [Table(_HEAD, [run.row() for run in runs])]
    for run in trained[:MOST_RUNS]:
        blocks += _blocks(context, run)
    if len(trained) > MOST_RUNS:
        blocks.append(Text(f"Not drawn, for having fewer steps: {some([run.name for run in trained[MOST_RUNS:]])}."))
    return Section("runs", "Training", tuple(blocks))


class _Run:
    """A run's folder, read."""

    def __init__(self, folder: Path, config: RunConfig | None, lines: list[dict]):
        self.folder, self.name, self.config = folder, folder.name, config
        self.history = History.of(lines, config.loss.prototypes if config else None)
        self.last: dict = next((line for line in reversed(lines) if "loss" in line), {})
        self.steps = int(self.last.get("step", 0))

    @classmethod
    def of(cls, folder: Path) -> "_Run":
        config = load_config(folder / "run.toml") if (folder / "run.toml").is_file() else None
        return cls(folder, config, read_metrics(folder) if (folder / "metrics.jsonl").is_file() else [])

    def row(self) -> list[object]:
        """Return the cells of _HEAD."""
        sites = sum(open_parquet(path).metadata.num_rows for path in (self.folder / "features").glob("*.parquet"))
        knn = self.history.knn
        return [
            self.name,
            self.config.recipe if self.config else "-",
            ", ".join(self.config.channels) if self.config else "-",
            self.last.get("step", "-"),
            f"{self.last['loss']:.3f}" if self.last else "-",
            f"{self.last['minutes']:.1f}" if "minutes" in self.last else "-",
            f"{100 * knn['accuracy'].iloc[-1]:.1f}" if len(knn) else "-",
            f"{sites} sites" if sites else "-",
        ]


def _blocks(context: Context, run: _Run) -> list[Block]:
    return [
        _curves(context.files, run),
        *_no_knn(run),
        *_alarms(run),
        _settings(run),
        *views_picture(context, run.name, run.folder, run.config),
    ]


def _no_knn(run: _Run) -> list[Block]:
    if len(run.history.knn):
        return []
    return [Missing(f"the k-NN accuracy of {run.name} while it trained", "kit train ... --set train.knn_epochs=5")]


def _curves(files: Files, run: _Run) -> Block:
    """Return the curves of a run as pictures that flow, a table of all points behind them."""
    said = f"Training of {run.name}"
    shown = [Panel(title, f"{said}: {title}, by step", draw) for title, draw in _panels(run.history).items()]
    caption = (
        "Dashed: ln K, the cross-entropy of a guess among K prototypes; a comparison that stays there teaches nothing. "
        "The loss may rise while the teacher sharpens: only k-NN says whether like wells came together."
    )
    return panels(
        files, f"run_{run.name}", shown, _points(run.history), size=_SIZE, across=3, alt=said, caption=caption, title=said
    )


def _panels(history: History) -> "dict[str, Callable[[Axes], None]]":
    """Return {title: function that draws it on axes} of what this run has."""
    losses, knn = history.losses, history.knn
    compared = [kind for kind in KINDS if ((losses["kind"] == kind) & losses["kind"].str.startswith("dino_")).any()]
    found: dict = {}
    if compared:
        found["class tokens, cross-entropy"] = lambda axes: _draw_losses(axes, losses, compared, guess=True)
    for kind in ("ibot", "koleo", "nt_xent", "mae", "loss"):
        if (losses["kind"] == kind).any():
            found[KINDS[kind]] = lambda axes, kind=kind: _draw_losses(axes, losses, [kind])
    if len(knn):
        found["k-NN of wells on other plates, %"] = lambda axes: _draw_knn(axes, knn)
    if len(history.rates):
        found["learning rate"] = lambda axes: _draw_rate(axes, history.rates)
    return found


def _draw_losses(axes: "Axes", losses: pd.DataFrame, kinds: list[str], *, guess: bool = False) -> None:
    for kind, colour in zip(kinds, PALETTE, strict=False):
        own = thinned(losses[losses["kind"] == kind])
        axes.plot(own["step"], own["value"], color=colour, linewidth=1.4, label=KINDS[kind])
    if guess and losses["guess"].notna().any():
        level = losses["guess"].max()
        axes.axhline(level, color=INK, linestyle="--", linewidth=1, label=f"a guess, ln K = {level:.2f}")
    if guess:
        axes.legend(loc="best")
    axes.set_xlabel("step")


def _draw_knn(axes: "Axes", knn: pd.DataFrame) -> None:
    axes.plot(knn["step"], 100 * knn["accuracy"], "o-", color=PALETTE[0], markersize=4)
    axes.axhline(100 * knn["chance"].iloc[-1], color=MUTED, linestyle=":", linewidth=1.6, label="chance")
    axes.set(ylim=(0, None), xlabel="step")
    axes.legend(loc="best")


def _draw_rate(axes: "Axes", rates: pd.DataFrame) -> None:
    own = thinned(rates)
    axes.plot(own["step"], own["lr"], color=PALETTE[0], linewidth=1.4)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    axes.set(ylim=(0, None), xlabel="step")


def thinned(table: pd.DataFrame, most: int = _POINTS) -> pd.DataFrame:
    """Return at most so many rows of a table, evenly spread, the first and the last among them."""
    if len(table) <= most:
        return table
    return table.iloc[[round(row * (len(table) - 1) / (most - 1)) for row in range(most)]]


def _points(history: History) -> pd.DataFrame:
    """Return all that is drawn in one table: step, what, value, guess."""
    losses = history.losses.rename(columns={"kind": "what"})
    rates = history.rates.rename(columns={"lr": "value"}).assign(what="learning rate")
    knn = history.knn.rename(columns={"accuracy": "value"}).assign(what="k-NN accuracy")
    signs = history.signs.rename(columns={"sign": "what"})
    tables = [table for table in (losses, rates, knn, signs) if len(table)]
    return pd.concat(tables, ignore_index=True)[["step", "what", "value", *(["guess"] if len(losses) else [])]]


def _alarms(run: _Run) -> list[Block]:
    """Return what the collapse alarm said, and the signs that it read."""
    seen, said = run.history.watched(), run.history.said
    blocks: list[Block] = [Text(line, note=True) for line in said.loc[said["event"] != "skipped", "what"]]
    skipped = int((said["event"] == "skipped").sum())
    if skipped:
        blocks.append(Text(f"{skipped} steps were skipped because their losses were not finite.", note=True))
    if seen.empty:
        return [
            *blocks,
            Missing(f"what the collapse alarm saw in {run.name}", "train with this version of kit, which records it"),
        ]
    quiet = "" if len(blocks) else "The collapse alarm raised nothing. "
    rows = [
        [
            f"{row.sign}: {_SIGNS[str(row.sign)]}",
            f"{row.least:.3g} to {row.most:.3g}",
            f"{row.last:.3g}",
            row.healthy,
            f"{row.beyond} of {row.of}",
        ]
        for row in seen.itertuples()
    ]
    head = ["sign", "seen", "at the end", "healthy", "readings beyond"]
    note = quiet + "Readings beyond count after the warm-up, or once the sign was healthy; it takes four in a row."
    return [*blocks, Table(head, rows, title=f"What the collapse alarm saw in {run.name}", notes=(note,))]


_SIGNS = {
    "entropy": "targets, over ln K",
    "used": "prototypes that are used",
    "rank": "effective rank of the class tokens",
    "spread": "spread of the class tokens",
}
assert set(_SIGNS) == {limit.sign for limit in LIMITS}


def _settings(run: _Run) -> Block:
    """Return what differs from the recipe, or where there is none to compare with, every setting."""
    if run.config is None:
        return Missing(f"the settings of {run.name}", "its run.toml is gone; kit train writes one")
    try:
        found = differences(run.config)
    except (UsageError, KitError):
        rows = [[key, _value(value)] for key, value in flat_settings(run.config).items()]
        title = f"Settings of {run.name}, all of them: this version of kit has no recipe {run.config.recipe}"
        return Table(["setting", "value"], rows, title=title, folded=True)
    if not found:
        return Text(f"{run.name} has the settings of recipe {run.config.recipe}, every one.")
    rows = [[key, _value(own), _value(theirs)] for key, (own, theirs) in found.items()]
    return Table(["setting", run.name, run.config.recipe], rows, title=f"Settings of {run.name} that differ from its recipe")


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value)) or "none"
    return {"True": "yes", "False": "no", "": "none"}.get(str(value), str(value))
