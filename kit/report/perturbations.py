"""The perturbations: a map of their wells, a table of each, and which of them look alike."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from kit.challenge.labels import Wanted, label_wells
from kit.challenge.wells import Wells
from kit.errors import KitError
from kit.measures.consistency import consensus
from kit.measures.perturbations import by_perturbation, nearest_wells, typical_wells
from kit.measures.similarity import most_alike
from kit.neighbours import Gram
from kit.profiles.table import PLATE, WELL, Profiles
from kit.report.alike import MOST, alike
from kit.report.blocks import Block, Missing, Section
from kit.report.context import Context, described
from kit.report.recognised import Recognised, rules_of
from kit.report.rows_table import Cell, rows_table
from kit.report.strength import strengths
from kit.report.well_map import well_maps
from kit.report.well_pictures import WellPictures

PICTURED = 24  # perturbations with pictures, those that stand out most
_NEAREST = 3  # wells beside each
_HEAD = ["perturbation", "wells", "recognised, %", "mAP", "active in", "most alike", "nearest wells"]


def section(context: Context) -> Section:
    """Return the map, the table and the matrix."""
    board = _board(context)
    if isinstance(board, str):
        blocks: list[Block] = [*well_maps(context, []), Missing("a table of perturbations", board)]
        return Section("perturbations", "Perturbations", tuple(blocks))
    table = _table(board)
    strongest = table["label"].tolist()
    labels, median_LF = consensus(
        board.profiles.features_MF[board.wells.row_M], np.array([*board.wells.classes, ""])[board.wells.label_M]
    )
    row_of = {label: row for row, label in enumerate(labels.tolist())}
    rows = [row_of[label] for label in strongest[:MOST]]
    blocks = [
        *well_maps(context, strongest),
        _rows(context, board, table, median_LF, row_of),
        alike(context, median_LF[rows], [board.names[label] for label in strongest[:MOST]], len(table)),
    ]
    return Section("perturbations", "Perturbations", tuple(blocks))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Board:
    """names: of each label, for people, all different. share_M: how often each well is recognised, NaN where it is not tested."""

    profiles: Profiles
    wells: Wells
    gram: Gram
    metric: str
    share_M: np.ndarray
    names: dict[str, str]
    strength: dict[str, float]


def _board(context: Context) -> _Board | str:
    """Return what the table is made from, or what is missing and how to make it."""
    profiles, recognised = context.profiles.profiles, context.recognised
    if profiles is None:
        return context.profiles.said
    if isinstance(recognised, Recognised):
        wells, gram, metric = recognised.wells, recognised.gram, recognised.rules.metric
        shares = recognised.shares.set_index([PLATE, WELL])["share"]
        share_M = shares.reindex(pd.MultiIndex.from_arrays([wells.plate_M, wells.well_M])).to_numpy(dtype=float)
    else:  # one plate, say: nothing can be scored, and the rest still stands
        try:
            labelled = label_wells(profiles.who, None, Wanted(), profiles.labels, "the profiles")
        except KitError as error:
            return f"profiles with labels: {error}"
        if labelled.scored.empty:
            return "labels: kit ingest --metadata DIR, or --labels FILE, then kit profile again"
        wells = Wells.of(labelled, "group")
        gram, metric = Gram.of(profiles.features_MF[wells.row_M]), rules_of(None).metric
        share_M = np.full(len(wells), np.nan)
    who = described(profiles.who.reset_index(drop=True), profiles.labels.get("perturbation") or context.work.perturbation)
    ranked, _ = strengths(context)
    strength = {str(label): float(value) for label, value in ranked.groupby("label")["strength"].max().items()}
    named = dict(zip(np.array([*wells.classes, ""])[wells.label_M], who["name"].to_numpy()[wells.row_M], strict=True))
    return _Board(
        profiles=profiles, wells=wells, gram=gram, metric=metric, share_M=share_M, strength=strength,
        names=unique_names({label: str(name) for label, name in named.items() if label}),
    )  # fmt: skip


def unique_names(names: dict[str, str]) -> dict[str, str]:
    """Return {label: name} in which labels that share a name have the label beside it."""
    times = pd.Series(names).value_counts()
    return {label: name if times[name] == 1 else f"{name} ({label})" for label, name in names.items()}


def _table(board: _Board) -> pd.DataFrame:
    """Return `by_perturbation` with strength, those that stand out most first: by mAP, then by strength."""
    table = by_perturbation(board.wells, board.gram, board.metric, board.share_M)
    table["strength"] = table["label"].map(board.strength).astype("float64")
    return table.sort_values(["map", "strength", "label"], ascending=[False, False, True], ignore_index=True, na_position="last")


def _rows(context: Context, board: _Board, table: pd.DataFrame, median_LF: np.ndarray, row_of: dict[str, int]) -> Block:
    near_L1, cosine_L1 = most_alike(median_LF, 1)
    labels = list(row_of)
    table["most_alike"] = ""
    if near_L1.shape[1]:
        rows = [row_of[label] for label in table["label"]]
        table["most_alike"] = [f"{board.names[labels[near_L1[row, 0]]]} ({cosine_L1[row, 0]:.2f})" for row in rows]
    table.insert(0, "name", table["label"].map(board.names))
    pictures = _pictures(context, board, table["label"].head(PICTURED).tolist())
    cells = []
    for row in table.to_dict("records"):
        active = f"{row['active']} of {row['measured']}" if row["measured"] else ""
        numbers = [_number(row["accuracy"], 100, 1), _number(row["map"], 1, 3)]
        texts = [row["name"], row["wells"], *numbers, active, row["most_alike"]]
        cells.append([*map(Cell, texts), Cell("", pictures.get(row["label"], ()))])
    caption = (
        "Recognised: how often the nearest wells on other plates name its wells. mAP: whether they find each other before the "
        "controls of their plate; active in: groups in which they surely do. Most alike: by the cosine of median profiles. "
        f"Nearest wells: of the {len(pictures)} that stand out most, a typical well, then the {_NEAREST} nearest on other "
        "plates; a picture says under the pointer which they are."
    )
    return rows_table(context.files, "perturbations", _HEAD, cells, table.round(4), title="Every perturbation", caption=caption)


def _pictures(context: Context, board: _Board, labels: list[str]) -> dict[str, tuple]:
    """Return pictures of the typical well of each label and of the wells nearest to it."""
    wells, reader = board.wells, WellPictures(context)
    typical_Q = typical_wells(wells, board.gram, board.metric, labels)
    near_Qk = nearest_wells(wells, board.gram, board.metric, typical_Q, _NEAREST)
    names = np.array([*(board.names[label] for label in wells.classes), "control"])
    found = {}
    for label, own, near in zip(labels, typical_Q, near_Qk, strict=True):
        shown = [
            (
                reader.uri(wells.plate_M[row], wells.well_M[row]),
                f"{names[wells.label_M[row]]}, {wells.plate_M[row]} {wells.well_M[row]}",
            )
            for row in (own, *near)
        ]
        if any(uri for uri, _ in shown):
            found[label] = tuple((uri, said) for uri, said in shown if uri)
    return found


def _number(value: float, times: float, digits: int) -> float | str:
    return "" if pd.isna(value) else round(times * value, digits)
