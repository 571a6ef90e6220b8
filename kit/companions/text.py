"""The companions of a score as lines of text: a row a direction, then what is left of the plates, the null, the verdict."""

from collections.abc import Mapping
from typing import Any

from kit.challenge.further_text import brackets, percent
from kit.challenge.score_text import MOST_ACROSS
from kit.companions.beside_table import empty_columns, mean_own_position_kept
from kit.companions.recorded import FINAL_ONLY
from kit.words import count, some


def lines(result: Mapping[str, Any]) -> list[str]:
    """Return the lines, from what score.json holds of a feature set."""
    null, plate = result["null"], result["plate"]
    unscored = {name: one["reason"] for name, one in result["directions"].items() if one.get("reason")}
    scored = [name for name in result["directions"] if name not in unscored]
    if not scored:
        return []
    table = _table(result, scored)
    repeated = f", align {null['align']:g} repeated on each" if null.get("align") is not None else ""
    shuffled = f"null: {null['shuffles']} shuffles of the wells of each plate before the post-processing{repeated}"
    return [
        *table,
        *empty_columns(result, scored),
        *plate_lines(plate),
        *([] if null["final_features_only"] else [shuffled]),
        *([null["note"]] if "note" in null else []),
        *_verdict(result["verdict"], scored),
    ]


def _table(result: Mapping[str, Any], scored: list[str]) -> list[str]:
    noun = result["dmso_position"]["wells"]
    heads = ["%, beside it", "null (95th)", "cross-position", "own position kept", f"{noun} position"]
    rows = [[name, *(_cell(result, name, column) for column in range(4))] for name in scored]
    if len(scored) > 1:
        means = [result["null"]["value"], result["cross_position"]["value"], mean_own_position_kept(result)]
        rows.append(["mean", *map(percent, [*means, result["dmso_position"]["value"]])])
    chance, position = f"{100 * result['chance']:.2f}", result["dmso_position"]["chance"]
    rows.append(["chance", chance, chance, chance, "-" if position is None else f"{100 * position:.2f}"])
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(5)]
    return ["  ".join(f"{cell:{'<' if column == 0 else '>'}{widths[column]}}" for column, cell in enumerate(row)).rstrip()
            for row in [heads, *rows]]  # fmt: skip


def _cell(result: Mapping[str, Any], name: str, column: int) -> str:
    key = ("null", "cross_position", "cross_position", "dmso_position")[column]
    own = result[key]["directions"][name]
    if own["value"] is None:
        return "-"
    if column == 0:
        return f"{percent(own['value'])} ({percent(own['p95'])})"
    kind = ("own_position_kept", "own_position_kept_interval") if column == 2 else ("value", "interval")
    return percent(own[kind[0]]) + brackets(own[kind[1]])


def plate_lines(plate: Mapping[str, Any]) -> list[str]:
    """Return how well a control well tells its plate, for every group, or their mean where they are many; plates without."""
    lacking = plate.get("without_controls")
    if not lacking:
        return _told(plate)
    which = f"plate {lacking[0]} has" if len(lacking) == 1 else f"{len(lacking)} plates have"
    names = "" if len(lacking) == 1 else f" ({some(lacking)})"
    asked = f"{plate['wells']} position, plate and mAP of activity are asked on the other plates"
    return [*_told(plate), f"{which} no {plate['wells']} well{names}: {asked}"]


def _told(plate: Mapping[str, Any]) -> list[str]:
    told = f"plate told by {plate['wells']} wells"
    if plate["value"] is None:
        return [f"{told}: {plate['reason']}"]
    if len(plate["groups"]) > MOST_ACROSS:
        return [f"{told}: {percent(plate['value'])}, mean of {count(len(plate['groups']), 'group')}"]
    groups = [
        f"{name} {percent(own['value'])}{brackets(own['interval'])}, chance {percent(own['chance'])}"
        for name, own in plate["groups"].items()
        if own["value"] is not None
    ]
    return [f"{told}: {'; '.join(groups)}"]


def _verdict(verdict: Mapping[str, Any], scored: list[str]) -> list[str]:
    """Return the verdict of every direction, or how many have which where they are many; of none, why."""
    if verdict["value"] is None:
        return ["no verdict" if verdict["reason"] == FINAL_ONLY else f"no verdict: {verdict['reason']}"]
    own = {name: verdict["directions"][name] for name in scored}
    if len(own) <= MOST_ACROSS:
        return [f"{name}: {said['value']}: {said['text']}" for name, said in own.items()]
    kinds = dict.fromkeys(said["value"] for said in own.values())
    return [f"{kind}: {some([name for name in own if own[name]['value'] == kind])}" for kind in kinds]
