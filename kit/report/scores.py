"""The scores: bars with chance, shuffled wells and intervals for each direction, the verdict in plain words, and the tables."""

from typing import Any

from kit.challenge.further_text import percent
from kit.challenge.score_text import accuracy, chance, direction_names, is_down, notes_of, reasons_of, rules_text
from kit.companions.beside_table import beside_table
from kit.report.blocks import Block, Facts, Missing, Section, Table, Text
from kit.report.context import Context, ScoreFile, names_of
from kit.report.score_bars import bars
from kit.words import count, typed

LEAK = (
    "* uses the well position (cross-plate alignment). Where a position holds the same compound on every plate, pure noise "
    "scores high after it too."
)
_PLAIN = {
    "signal": "The cells tell: perturbations are recognised at well positions that were never trained on.",
    "signal and position": "The cells tell, and so does the place on the plate: part of the accuracy is position.",
    "position": "The place on the plate tells, not the cells: wells are recognised by where they sit.",
    "alignment": "The alignment makes this score: shuffled wells reach it too.",
    "noise": "No better than shuffled wells: nothing is recognised.",
    "cannot decide": "The data do not decide whether cells or plate positions are recognised.",
}


def section(context: Context) -> Section:
    """Return what `kit score --json` wrote, as bars, words and tables."""
    if not context.scores:
        how = f"kit score PROFILES --metadata DIR --json {typed(context.out.with_name('score.json'))}, then kit report again"
        return Section("scores", "Score", (Missing("a score: no score.json beside this page or in the work folder", how),))
    blocks: list[Block] = []
    for file in context.scores:
        blocks += _file(context, file, alone=len(context.scores) == 1)
    return Section("scores", "Score", tuple(blocks))


def _file(context: Context, file: ScoreFile, *, alone: bool) -> list[Block]:
    names = names_of(file.sets)
    sets = {names[path]: result for path, result in file.sets.items()}
    lead, result = next(iter(sets.items()))
    blocks: list[Block] = [] if alone else [Text(f"{file.path.name}:")]
    blocks += [Facts(_facts(lead if len(sets) > 1 else "", result)), *_verdict(result)]
    blocks += bars(context.files, file.path.stem, sets)
    if any(one.get("uses_well_position") for one in sets.values()):
        blocks.append(Text(LEAK, note=True))
    return [*blocks, _table(file.path.name, sets), *_beside(sets)]


def _facts(name: str, result: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the numbers on top: of the first feature set."""
    if result["mean"] is None:
        return [("-", "mean accuracy", "no direction could be scored")]
    of = f"{name}, " if name else ""
    found = [(f"{percent(result['mean'])} %", "mean accuracy", f"{of}over {count(len(result['mean_of']), 'direction')}")]
    found.append((f"{chance(result)} %", "chance", f"one of {result['n_classes']} {result['label']} guessed"))
    if (null := result.get("null", {})).get("value") is not None:
        found.append((f"{percent(null['value'])} %", "shuffled wells", f"mean of {null['shuffles']} shuffles within plates"))
    if (apart := result.get("cross_position", {})).get("value") is not None:
        found.append((f"{percent(apart['value'])} %", "at another position", "no training well at the same place on its plate"))
    return found


def _verdict(result: dict[str, Any]) -> list[Block]:
    """Return the verdict in plain words; what it rests on stands below the table."""
    verdict = result.get("verdict")
    if verdict is None:
        return [Missing("a verdict: this score has no shuffled wells beside it", "kit score with this version of kit, --json")]
    if verdict["value"] is None:
        return [Text(f"No verdict: {verdict['reason']}.")]
    of = {name: own["value"] for name, own in verdict["directions"].items() if own["value"]}
    if set(of.values()) == {verdict["value"]}:
        return [Text(_PLAIN[verdict["value"]])]
    return [Text(f"{name}: {_PLAIN[value]}") for name, value in of.items()]


def _table(file: str, sets: dict[str, dict[str, Any]]) -> Table:
    """Return a score file as rows of cells: a row for each score, or for each direction with a value where there are many."""
    results, names = list(sets.values()), direction_names(sets.values())
    heads = [name + (" *" if result.get("uses_well_position") else "") for name, result in sets.items()]
    cells = [[percent(accuracy(result, name)) for name in names] + [percent(result["mean"])] for result in results]
    levels = list(map(chance, results))
    if not is_down(results):
        head = ["accuracy, %", *names, "mean"]
        rows = [[name, *own] for name, own in zip(heads, cells, strict=True)]
        rows += [["chance", *[level] * (len(names) + 1)] for level in dict.fromkeys(levels)]
    else:
        head = ["accuracy, %", *heads]
        rows = [[name, *own] for name, *own in zip([*names, "mean"], *cells, strict=True)] + [["chance", *levels]]
    notes = (f"k-NN, {rules_text(results[0])}", *reasons_of(sets), *notes_of(sets))
    return Table(head, rows, title=f"{file}: accuracy of each direction", notes=notes, folded=True)


def _beside(sets: dict[str, dict[str, Any]]) -> list[Table]:
    found = [(name, table) for name, result in sets.items() if (table := beside_table(result))]
    return [
        Table([f"{name}, %", *table["head"]], table["rows"], title=f"{name}: what stands beside the accuracy",
              notes=tuple(table["notes"]), folded=True)
        for name, table in found
    ]  # fmt: skip
