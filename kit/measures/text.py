"""Mean average precision as lines of plain text."""

from typing import Any

from kit.words import some


def lines_of(section: dict[str, Any], *, uses_well_position: bool = False) -> list[str]:
    """Return a line for each value, one for each reason that there is none, and how all were measured."""
    mark = " *" if uses_well_position else ""
    lines = []
    for name, said, noun in (
        ("activity", "against the controls of the same plate", "compounds"),
        ("consistency", f"by {section['target']}, among retrieved compounds", "targets"),
    ):
        for group, entry in section[name].items():
            if entry["value"] is not None:
                lines.append(f"mAP of {name}{_of(group, section)}: {_value(entry, noun)}, {said}{mark}")
        lines += _reasons(name, section)
    if any(entry["value"] is not None for entry in section["activity"].values()):
        lines.append(f"mAP by {section['metric']}; p {section['null']}; false discovery rate {section['rate']:g}")
    return lines


def _value(entry: dict[str, Any], noun: str) -> str:
    number = entry[noun]
    share = f"{round(number * entry['retrieved'])} of {number} {noun} retrieved ({100 * entry['retrieved']:.1f} %)"
    return f"{entry['value']:.3f}, {share}"


def _of(group: str, section: dict[str, Any]) -> str:
    return f", {group}" if len(section["activity"]) > 1 else ""


def _reasons(name: str, section: dict[str, Any]) -> list[str]:
    """Return why groups have no value, a line for each reason."""
    groups_of: dict[str, list[str]] = {}
    for group, entry in section[name].items():
        if entry["value"] is None and not (name == "consistency" and section["activity"][group]["value"] is None):
            groups_of.setdefault(entry["reason"], []).append(group)
    return [f"mAP of {name}{_of(some(groups), section)}: - ({reason})" for reason, groups in groups_of.items()]
