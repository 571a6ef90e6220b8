"""What the recorded steps of a profiles file say to people."""

from typing import Any

from kit.profiles.merge_text import merge_lines
from kit.words import count


def step_lines(step: dict[str, Any]) -> list[str]:
    """Return lines on a step: what it chose, left out, removed or was fitted on, where that is not plain from its options."""
    lines = {
        "merge": merge_lines, "normalize": _normalize, "select": _select, "standardize": _standardize, "whiten": _whiten,
        "balance": _balance, "fill": _fill,
    }  # fmt: skip
    return lines[step["step"]](step) if step.get("step") in lines else []


def _normalize(step: dict[str, Any]) -> list[str]:
    return [f"normalized by {step['per']}, before merging"] if step.get("on") == "sites" else []


def _select(step: dict[str, Any]) -> list[str]:
    dropped = count(len(step["dropped"]), "feature")
    over = f"{count(step['positions'], 'control position')} of {count(step['plates'], 'plate')}"
    return [f"{dropped} left out: {step['statistic']}, their correlation over {over} is above {step['most']:g}"]


def _standardize(step: dict[str, Any]) -> list[str]:
    constant = step["constant_columns"]
    return [f"{count(constant, 'column')} of one value over {step['over']}: set to 0"] if constant else []


def _whiten(step: dict[str, Any]) -> list[str]:
    lines = [f"whitened on {step['fitted_on']}, before merging"] if step.get("on") == "sites" else []
    if removed := step.get("directions_removed"):
        lines.append(f"ridge 0: {count(removed, 'direction')} without variation over the controls removed")
    return lines


def _balance(step: dict[str, Any]) -> list[str]:
    whole = sum(step["weights"].values())
    shares = ", ".join(f"{run} {100 * weight / whole:.3g} %" for run, weight in step["weights"].items())
    return [f"runs balanced, by their share of the variance: {shares}"]


def _fill(step: dict[str, Any]) -> list[str]:
    return [f"{count(step['wells'], 'well')} that nobody measured: given {step['by']}, without a label"]
