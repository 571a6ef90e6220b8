"""The scores of evaluations as plain text: of each its spread, of Cell-DINO's the table."""

from typing import Any

from kit.words import count

_NAMES = {
    "mechanism": {
        "logistic_auprc": "logistic, AUPRC",
        "logistic_auprc_of_classes": "logistic, AUPRC, mean over classes",
        "mlp_auprc": "MLP, AUPRC",
        "mlp_auprc_of_classes": "MLP, AUPRC, mean over classes",
        "nearest_f1": "nearest neighbour, F1",
    },
    "treatment": {
        "linear_accuracy": "linear, accuracy",
        "linear_f1": "linear, F1",
        "neighbours_f1": "nearest neighbours, F1",
    },
}
_row = "{:<46} {:>15} {:>15} {:>9} {:>8} {:>15}".format


def cell_dino_text(result: dict[str, Any]) -> str:
    """Return a row for each score, then what was read and how it was scored."""
    lines = [_row("Cell-DINO's evaluation", "sphered", "not sphered", "change", "chance", "shuffled").rstrip()]
    for task, names in _NAMES.items():
        of_task = result["tasks"][task]
        if of_task["scores"] is None:
            lines.append(f"{task}: - ({of_task['reason']})")
            continue
        lines += [_line(f"{task}, {name}", of_task["scores"][key], of_task["chance"]) for key, name in names.items()]
    return "\n".join([*lines, _read(result), *_how(result)])


def _line(name: str, of_score: dict[str, Any], chance: float) -> str:
    sphered, plain = of_score.get("sphered"), of_score["plain"]
    change = f"{100 * (plain['mean'] / sphered['mean'] - 1):+.1f} %" if sphered and sphered["mean"] else "-"
    return _row(name, spread(sphered), spread(plain), change, f"{chance:.3f}", spread(of_score.get("shuffled")))


def spread(summary: dict[str, Any] | None) -> str:
    """Return the mean ± SD of `classify.summary`, the mean alone of one run, - of none."""
    if summary is None:
        return "-"
    return f"{summary['mean']:.3f}" + (f" ± {summary['sd']:.3f}" if summary["sd"] is not None else "")


def _read(result: dict[str, Any]) -> str:
    level, wells = result["level"], count(result["wells"], "well")
    read = wells if level == "wells" else f"{count(result['rows'], level.removesuffix('s'))} of {wells}"
    dose = f"; {count(result['at_lower_doses'], 'row')} at lower doses ({result['dose']}) left out" if result["dose"] else ""
    gaps = f" ({result['dropped']} with a gap left out)" if result["dropped"] else ""
    return (
        f"{read}, {count(result['plates'], 'plate')}, {count(result['treatments'], 'treatment')}, "
        f"{count(result['controls'], 'control well')}, {count(result['features'], 'feature')}{gaps}{dose}"
    )


def _how(result: dict[str, Any]) -> list[str]:
    mechanism, treatment, sphering = *(result["tasks"][name] for name in _NAMES), result["sphering"]
    lines = []
    if mechanism["scores"]:
        lines.append(
            f"mechanism ({mechanism['column']}): {mechanism['classes']} classes, {count(mechanism['treatments'], 'treatment')}, "
            f"named from {result['unit']}; a treatment that is tested did not train; AUPRC of all pairs together"
        )
    if treatment["scores"]:
        lone = f"; {treatment['lone']} more on one of them only" if treatment["lone"] else ""
        lines.append(
            f"treatment ({treatment['column']}): {treatment['classes']} classes{lone}, {count(treatment['rows'], 'row')}, "
            f"{treatment['groups']} {treatment['left_out']} left out in turn; k = {treatment['k']}, cosine; F1: mean over classes"
        )
    fitted = (
        f"fitted on {sphering['controls']} control wells, ridge {sphering['ridge_of_mean_eigenvalue']:g}"
        if "controls" in sphering
        else f"- ({sphering['reason']})"
    )
    lines.append(f"sphering: {fitted}; mean ± SD of {count(len(result['seeds']), 'run')}, seeds from {result['seeds'][0]} on")
    return lines
