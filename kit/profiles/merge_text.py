"""What the recorded merge step of a profiles file says to people."""

from typing import Any

from kit.words import count, some


def merge_lines(step: dict[str, Any]) -> list[str]:
    """Return lines on how sites were merged: what was chosen and why, sites left out, grid positions without a site."""
    lines = [_how(step)] if step.get("why") else []
    lines += _left_out(step.get("left_out", {}))
    lines += _not_imaged(step.get("positions_imaged", {}))
    missing = max(step.get("sites_missing", {}).values(), default=0)  # runs see the same sites, or nearly
    if missing:
        lines.append(f"{count(missing, 'site')} missing in single wells: filled with the well mean")
    return lines


def _how(step: dict[str, Any]) -> str:
    if step["how"] == "mean":
        least, most = step["sites_a_well"]
        return f"mean of all sites ({least if least == most else f'{least} to {most}'} a well; --merge mean): {step['why']}"
    return f"nine sites concatenated (--merge concat): {step['why']}"


def _left_out(left_out: dict[str, dict[str, Any]]) -> list[str]:
    """One line for all plates that lack the same fields of as many."""
    alike: dict[tuple, list[str]] = {}
    for plate, found in left_out.items():
        alike.setdefault((tuple(found["fields"]), found["of"]), []).append(plate)
    return [
        f"left out, at none of the nine places: field{'s' if len(fields) > 1 else ''} {', '.join(map(str, fields))} "
        f"({len(fields)} of {of}) of {_plates(plates)}"
        for (fields, of), plates in alike.items()
    ]


def _not_imaged(positions: dict[str, list[int]]) -> list[str]:
    alike: dict[tuple[int, int], list[str]] = {}
    for plate, (imaged, of) in positions.items():
        alike.setdefault((imaged, of), []).append(plate)
    return [
        f"{imaged} of {of} grid positions imaged; the other {of - imaged} filled with the well mean: {_plates(plates)}"
        for (imaged, of), plates in alike.items()
    ]


def _plates(plates: list[str]) -> str:
    return f"plate{'s' if len(plates) > 1 else ''} {some(plates)}"
