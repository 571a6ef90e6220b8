"""What stands beside the accuracies in score.json, as rows of cells for the report."""

from collections.abc import Mapping
from typing import Any

from kit.challenge.further_text import brackets, percent
from kit.challenge.score_text import chance


def beside_table(result: dict[str, Any]) -> dict[str, Any] | None:
    """Return {head, rows, notes} of one feature set in per cent, a row for each direction with a value; None where nothing is.

    Columns: accuracy, null, cross-position, position and plate of the control wells, mAP, verdict. notes: why a column is empty,
    and the verdicts in words.
    """
    scored = [name for name, own in result["directions"].items() if own["accuracy"] is not None]
    if not scored or "null" not in result:
        return None
    noun = result["dmso_position"]["wells"]
    head = ["accuracy", "null (95th)", "cross-position", "own position kept", f"{noun} position", f"plate of {noun} wells"]
    rows = [[name, *_cells(result, name)] for name in scored]
    if len(scored) > 1:
        means = [result["mean"], *(result[key]["value"] for key in ("null", "cross_position"))]
        means += [mean_own_position_kept(result), *(result[key]["value"] for key in ("dmso_position", "plate"))]
        rows.append(["mean", *map(percent, means), "", "", ""])
    level = chance(result)
    position, groups = result["dmso_position"]["chance"], result["plate"]["groups"].values()
    plates = {own["chance"] for own in groups if own["value"] is not None}
    rows.append(["chance", *[level] * 4, _level(position), _level(plates.pop()) if len(plates) == 1 else "", "", "", ""])
    return {"head": [*head, "mAP of activity", "mAP of consistency", "verdict"], "rows": rows, "notes": _notes(result, scored)}


def mean_own_position_kept(result: Mapping[str, Any]) -> float | None:
    """Return the mean of `own_position_kept` over directions; None where no direction has it."""
    kept = [own["own_position_kept"] for own in result["cross_position"]["directions"].values() if own["value"] is not None]
    return sum(kept) / len(kept) if kept else None


def empty_columns(result: Mapping[str, Any], scored: list[str]) -> list[str]:
    """Return why a column of positions is empty, where it has no value in any direction that was scored."""
    found = []
    for key, name in (("cross_position", "cross-position"), ("dmso_position", f"{result['dmso_position']['wells']} position")):
        own = [result[key]["directions"][direction] for direction in scored]
        if all(one["value"] is None for one in own):
            found.append(f"{name}: {own[0]['reason']}")
    return found


def _cells(result: Mapping[str, Any], name: str) -> list[str]:
    own = {key: result[key]["directions"][name] for key in ("null", "cross_position", "dmso_position", "verdict")}
    group, null, apart = name.rpartition("->")[2], own["null"], own["cross_position"]
    measured = [result.get("map", {}).get(kind, {}).get(group, {}) for kind in ("activity", "consistency")]
    return [
        _with_interval(result["directions"][name]["accuracy"], result["directions"][name].get("interval")),
        f"{percent(null['value'])} ({percent(null['p95'])})" if null["value"] is not None else "-",
        _with_interval(apart["value"], apart.get("interval")),
        _with_interval(apart.get("own_position_kept"), apart.get("own_position_kept_interval")),
        _with_interval(own["dmso_position"]["value"], own["dmso_position"].get("interval")),
        _with_interval(result["plate"]["groups"][group]["value"], result["plate"]["groups"][group].get("interval")),
        *map(_mean_precision, measured),
        own["verdict"]["value"] or "-",
    ]


def _level(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


def _with_interval(share: float | None, interval: list[float] | None) -> str:
    return percent(share) + brackets(interval)


def _mean_precision(entry: Mapping[str, Any]) -> str:
    """Return "0.639 (81.7 % retrieved)"."""
    return "-" if entry.get("value") is None else f"{entry['value']:.3f} ({percent(entry['retrieved'])} % retrieved)"


def _notes(result: Mapping[str, Any], scored: list[str]) -> list[str]:
    """Return, each once: what the null notes, why a column has no value anywhere, and the verdicts in words."""
    noun, notes = result["dmso_position"]["wells"], [result["null"]["note"]] if "note" in result["null"] else []
    notes += empty_columns(result, scored)
    if result["plate"]["value"] is None:
        notes.append(f"plate of {noun} wells: {result['plate']['reason']}")
    for kind in ("activity", "consistency"):
        own = list(result.get("map", {}).get(kind, {}).values())
        if own and all(one["value"] is None for one in own):
            notes.append(f"mAP of {kind}: {own[0]['reason']}")
    said = {name: result["verdict"]["directions"][name] for name in scored}
    if result["verdict"]["value"] is None:
        reason = result["verdict"]["reason"]
        return [*notes, "no verdict" if any(note.startswith(reason) for note in notes) else f"no verdict: {reason}"]
    return [*notes, *(f"{name}: {one['value']}: {one['text']}" for name, one in said.items())]
