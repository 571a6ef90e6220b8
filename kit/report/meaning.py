"""What the score means and what leaks position: each number with a sentence, and the verdicts with what they rest on."""

from collections.abc import Mapping
from typing import Any

from kit.challenge.further_text import percent
from kit.challenge.score_text import chance
from kit.companions.beside_table import mean_own_position_kept
from kit.report.blocks import Block, Missing, Section, Table, Text
from kit.report.context import Context, names_of
from kit.words import typed

_COMPANIONS = ("null", "cross_position", "dmso_position", "plate", "verdict")


def section(context: Context) -> Section:
    """Return the reading of the first feature set's score."""
    title = "What the score means, and what leaks position"
    if context.lead is None:
        how = f"kit score PROFILES --metadata DIR --json {typed(context.out.with_name('score.json'))}, then kit report again"
        return Section("meaning", title, (Missing("the reading of a score: there is none yet", how),))
    return Section("meaning", title, tuple(_blocks(*context.lead)))


def _blocks(path: str, result: dict[str, Any]) -> list[Block]:
    name = names_of({path: result})[path]
    intro = (
        f"A well counts as recognised where most of its {result['k']} nearest wells, all on other plates, hold its own "
        f"{result['label']}. In many experiments a position holds the same perturbation on every plate: then whatever marks a "
        "position (edges, pipetting, light) can be recognised instead of cells. The numbers below tell the two apart."
    )
    blocks: list[Block] = [Text(intro), Table(["number", "here", "what it says"], _rows(result), title=name, words=True)]
    if any(key not in result for key in _COMPANIONS):
        what = "what shuffled wells, other positions and controls say beside this score"
        return [*blocks, Missing(what, "kit score once more, with --json")]
    said = result["verdict"]["directions"]
    rows = [[direction, one["value"], one["text"]] for direction, one in said.items() if one.get("value")]
    if rows:
        blocks.append(Table(["direction", "verdict", "because"], rows, title="Verdicts", words=True))
    return blocks


def _rows(result: dict[str, Any]) -> list[list[str]]:
    mean = f"{percent(result['mean'])} %"
    rows = [
        ["accuracy", mean, f"mean over {', '.join(result['mean_of'])}" if result["mean_of"] else "nothing could be scored"],
        ["chance", f"{chance(result)} %", f"one of {result['n_classes']} {result['label']} drawn blindly"],
    ]
    if "null" not in result:
        return rows
    null, apart, dmso, plate = (result[key] for key in ("null", "cross_position", "dmso_position", "plate"))
    rows += [
        ["shuffled wells", _value(null), "wells of each plate swapped at random, the same steps: what the steps alone make"],
        ["at another position", _value(apart), "training wells at the well's own position left out: position cannot help here"],
    ]
    if (kept := mean_own_position_kept(result)) is not None:
        rows.append(["the same wells, position kept", f"{percent(kept)} %", "the same wells with those training wells back"])
    noun = dmso["wells"]
    at = f"chance {100 * dmso['chance']:.1f} %" if dmso.get("chance") else "no chance level"
    rows += [
        [f"position told by {noun} wells", _value(dmso), f"{noun} wells hold no perturbation: above {at}, positions leak"],
        [f"plate told by {noun} wells", _value(plate), "above chance, plates differ by more than what is on them"],
    ]
    if result.get("uses_well_position"):
        rows.append(["alignment", "used", "wells were pulled to the mean of their position: noise scores high after it too"])
    return rows


def _value(entry: Mapping[str, Any]) -> str:
    return f"{percent(entry['value'])} %" if entry.get("value") is not None else f"- ({entry.get('reason', 'not known')})"
