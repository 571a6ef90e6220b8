"""Scores as a table of plain text."""

from typing import Any

from kit.challenge.folds import DIRECTIONS
from kit.words import count

_NAMES = ["->".join(direction) for direction in DIRECTIONS]


def scores_text(scores: dict[str, Any]) -> str:
    """Return a table in per cent of what `score_files` returns, chance below, one row per feature set."""
    return score_table(scores.get("files", {"k-NN accuracy": scores}))


def score_table(rows: dict[str, dict[str, Any]]) -> str:
    """Return a table in per cent, a row for each named score, with chance, how it was scored and why a cell is empty."""
    width = max(len("chance"), *(len(name) for name in rows))
    lines = [" ".join([f"{'%':<{width}}", *(f"{name:>12}" for name in _NAMES), f"{'mean':>7}"])]
    for name, result in rows.items():
        cells = [_cell(result["directions"][direction]) for direction in _NAMES]
        lines.append(" ".join([f"{name:<{width}}", *cells, f"{percent(result['mean']):>7}"]) + _note(result))
    chances = {f"{100 * result['chance']:.2f}": result for result in rows.values()}
    for chance in chances:
        lines.append(" ".join([f"{'chance':<{width}}", *([f"{chance:>12}"] * 4), f"{chance:>7}"]))
    lines.append(rules_text(next(iter(rows.values()))))
    for name, result in rows.items():
        reasons = [(direction, result["directions"][direction].get("reason")) for direction in _NAMES]
        lines += [f"{name + ', ' if len(rows) > 1 else ''}{direction}: {reason}" for direction, reason in reasons if reason]
    if any(result["uses_well_position"] for result in rows.values()):
        lines.append("* uses the well position: where a position holds one compound on every plate, noise scores high too")
    return "\n".join(lines)


def rules_text(result: dict[str, Any]) -> str:
    """Return in one line how a score was made."""
    return (
        f"k={result['k']} {result['metric']}, label {result['label']}, ties {result['ties']}, "
        f"{count(result['n_folds'], 'fold')} by plate, cross {result['cross']}, {count(result['seeds'], 'seed')}"
    )


def percent(share: float | None) -> str:
    """Return a share in per cent with one decimal, "-" for None."""
    return "-" if share is None else f"{100 * share:.1f}"


def _cell(result: dict[str, Any]) -> str:
    sd = f" ±{100 * result['sd']:.1f}" if result.get("sd") is not None else ""
    return f"{percent(result['accuracy']) + sd:>12}"


def _note(result: dict[str, Any]) -> str:
    return " *" if result["uses_well_position"] else ""
