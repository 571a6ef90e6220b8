"""Scores as a table of plain text."""

from collections.abc import Iterable, Sequence
from typing import Any

from kit.challenge.further_text import all_rules_lines, comparison_lines, percent, short_names
from kit.challenge.sections import Section
from kit.words import count, some

MOST_ACROSS = 4  # directions side by side, as the challenge has; more stand one below the other


def scores_text(scores: dict[str, Any], sections: Sequence[Section] = ()) -> str:
    """Return what `score` returns as text.

    A table in per cent with a row per feature set and chance below; of one feature set its other numbers, of several how they
    compare; the score under all rules; the sections' lines.
    """
    if "files" not in scores:
        lines = [
            score_table({"k-NN accuracy": scores}, details=True),
            *all_rules_lines(scores),
            *_section_lines(scores, sections),
        ]
        return "\n".join(lines)
    names = short_names(scores["files"])
    files = {names[path]: result for path, result in scores["files"].items()}
    lines = [score_table(files), *scores.get("notes", ()), *comparison_lines(scores["comparison"], names)]
    for name, result in files.items():
        found = [*all_rules_lines(result), *_section_lines(result, sections)]
        lines += [f"{name}:", *found] if found else []
    return "\n".join(lines)


def _section_lines(result: dict[str, Any], sections: Sequence[Section]) -> list[str]:
    return [line for section in sections if all(key in result for key in section.keys) for line in section.lines(result)]


def score_table(rows: dict[str, dict[str, Any]], *, details: bool = False) -> str:
    """Return a table in per cent of named scores, with chance, how they were scored and why a cell is empty.

    A row for each score; where they have more than four directions in all, a row for each direction with a value. details:
    below a score also its interval, balanced accuracy, macro-F1 and top-5, where directions are side by side.
    """
    names = direction_names(rows.values())
    lines = _down(rows, names) if is_down(rows.values()) else _across(rows, names, details)
    lines += map(rules_text, _kinds(rows))
    lines += reasons_of(rows) + notes_of(rows)
    if any(result["uses_well_position"] for result in rows.values()):
        lines.append("* uses the well position: where a position holds one compound on every plate, noise scores high too")
    return "\n".join(lines)


def direction_names(results: Iterable[dict[str, Any]]) -> list[str]:
    """Return the directions of all scores, each once; where they are more than four, only those in which one has a value."""
    results = list(results)
    names = list(dict.fromkeys(direction for result in results for direction in result["directions"]))
    if not is_down(results):
        return names
    return [name for name in names if any(accuracy(result, name) is not None for result in results)]


def is_down(results: Iterable[dict[str, Any]]) -> bool:
    """Return whether the scores have so many directions that each gets a row."""
    return len({direction for result in results for direction in result["directions"]}) > MOST_ACROSS


def reasons_of(rows: dict[str, dict[str, Any]]) -> list[str]:
    """Return why directions have no value; a line names its score where there are several."""
    return [line for name, result in rows.items() for line in _reasons(name if len(rows) > 1 else "", result)]


def notes_of(rows: dict[str, dict[str, Any]]) -> list[str]:
    """Return what the scores note of themselves, a line each; a line names its score where not all say the same."""
    notes = dict.fromkeys(note for result in rows.values() for note in result.get("notes", ()))
    lines = []
    for note in notes:
        of = [name for name, result in rows.items() if note in result.get("notes", ())]
        lines += [note] if len(of) == len(rows) else [f"{name}: {note}" for name in of]
    return lines


def why_nothing(scores: dict[str, Any]) -> str:
    """Return why no direction of `score`'s result has a value, in words; empty if one has."""
    results = list(scores["files"].values()) if "files" in scores else [scores]
    if any(result["mean"] is not None for result in results):
        return ""
    if "files" in scores and scores.get("notes"):
        return "; ".join(scores["notes"])
    reasons = [f"{name}: {own['reason']}" for result in results for name, own in result["directions"].items()]
    return reasons[0] + (f"; {count(len(reasons) - 1, 'other direction')} without a score too" if len(reasons) > 1 else "")


def rules_text(result: dict[str, Any]) -> str:
    """Return in one line how a score was made."""
    group = f", group {result['group']}" if result.get("group") else ""
    votes = ", votes by distance" if result.get("votes") == "distance" else ""
    folds = "stratified fold" if result.get("stratified") else "fold"
    return (
        f"k={result['k']} {result['metric']}{votes}, label {result['label']}{group}, ties {result['ties']}, "
        f"{count(result['n_folds'], folds)} by plate, cross {result['cross']}, {count(result['seeds'], 'seed')}"
    )


def chance(result: dict[str, Any]) -> str:
    """Return the chance level in per cent with two decimals."""
    return f"{100 * result['chance']:.2f}"


def accuracy(result: dict[str, Any], direction: str) -> float | None:
    """Return a score's accuracy in a direction; None where it has none."""
    return result["directions"].get(direction, {}).get("accuracy")


def _across(rows: dict[str, dict[str, Any]], names: list[str], details: bool) -> list[str]:
    width, wide = max(len("chance"), *map(len, rows)), max(12, *map(len, names))
    lines = [" ".join([f"{'%':<{width}}", *(f"{name:>{wide}}" for name in names), f"{'mean':>7}"])]
    for name, result in rows.items():
        cells = [f"{_cell(result, direction):>{wide}}" for direction in names]
        lines.append(" ".join([f"{name:<{width}}", *cells, f"{percent(result['mean']):>7}"]) + _mark(result))
        for start, cells in _details(result, names) if details else ():
            lines.append(" ".join([f"{start:<{width}}", *(f"{cell:>{wide}}" for cell in cells[:-1]), f"{cells[-1]:>7}"]).rstrip())
    for level in dict.fromkeys(chance(result) for result in rows.values()):
        lines.append(" ".join([f"{'chance':<{width}}", *([f"{level:>{wide}}"] * len(names)), f"{level:>7}"]))
    return lines


def _details(result: dict[str, Any], names: list[str]) -> Iterable[tuple[str, list[str]]]:
    """Yield the start and the cells of further rows, the last cell that of the mean."""
    directions = [result["directions"].get(name, {}) for name in names]
    intervals = [own.get("interval") for own in directions]
    if any(intervals):
        yield "95 % interval", [*("-".join(map(percent, bounds)) if bounds else "-" for bounds in intervals), ""]
    for start, key in (("balanced", "balanced_accuracy"), ("macro-F1", "macro_f1"), ("top-5", "top5")):
        found = [own[key] for own in directions if own.get(key) is not None]
        if found:
            yield start, [*(percent(own.get(key)) for own in directions), percent(sum(found) / len(found))]


def _down(rows: dict[str, dict[str, Any]], names: list[str]) -> list[str]:
    heads = [name + _mark(result) for name, result in rows.items()]
    width, wide = max(map(len, ["chance", *names])), [max(12, len(head)) for head in heads]

    def line(start: str, cells: list[str]) -> str:
        return " ".join([f"{start:<{width}}", *(f"{text:>{w}}" for text, w in zip(cells, wide, strict=True))])

    lines = [line("%", heads)]
    lines += [line(direction, [_cell(result, direction) for result in rows.values()]) for direction in names]
    lines.append(line("mean", [percent(result["mean"]) for result in rows.values()]))
    return [*lines, line("chance", [chance(result) for result in rows.values()])]


def _cell(result: dict[str, Any], direction: str) -> str:
    sd = result["directions"].get(direction, {}).get("sd")
    return percent(accuracy(result, direction)) + (f" ±{100 * sd:.1f}" if sd is not None else "")


def _reasons(name: str, result: dict[str, Any]) -> list[str]:
    """Return why directions have no value: a line for each, or for each reason where there are many."""
    start = f"{name}, " if name else ""
    directions = {direction: own["reason"] for direction, own in result["directions"].items() if own.get("reason")}
    if len(result["directions"]) <= MOST_ACROSS:
        return [f"{start}{direction}: {reason}" for direction, reason in directions.items()]
    of = {reason: [direction for direction in directions if directions[direction] == reason] for reason in directions.values()}
    return [f"{start}{some(names)}: {reason}" for reason, names in of.items()]


def _kinds(rows: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first score of each label and group column."""
    kinds: dict[tuple[str, str | None], dict[str, Any]] = {}
    for result in rows.values():
        kinds.setdefault((result["label"], result.get("group")), result)
    return list(kinds.values())


def _mark(result: dict[str, Any]) -> str:
    return " *" if result["uses_well_position"] else ""
