"""What stands below the table of scores: how files compare, and the score under all rules."""

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from kit.words import count


def percent(share: float | None) -> str:
    """Return a share in per cent with one decimal, "-" for None."""
    return "-" if share is None else f"{100 * share:.1f}"


def brackets(interval: list[float] | None) -> str:
    """Return " [50.0, 80.7]", the interval in per cent; nothing where there is none."""
    return "" if interval is None else f" [{percent(interval[0])}, {percent(interval[1])}]"


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """Return for each path as much of its end as tells all apart: {path: name}."""
    parts = {path: PurePath(path).parts for path in paths}
    for n in range(1, max(map(len, parts.values()))):
        names = {path: str(PurePath(*own[-n:])) for path, own in parts.items()}
        if len(set(names.values())) == len(parts):
            return names
    return {path: path for path in parts}


def comparison_lines(comparison: dict[str, Any], names: dict[str, str]) -> list[str]:
    """Return a line for each file but the first and each direction: the difference to the first, in points."""
    first, lines = names[comparison["less"]], []
    for path, found in comparison["files"].items():
        start = f"{names[path]} less {first}"
        rows = [*found["directions"].items(), ("mean", found["mean"])] if found["directions"] else []
        lines += [f"{start}, {name}: {_difference(own)}" for name, own in rows]
        if not rows:
            lines.append(f"{start}: no well is tested in both")
    if any(found["directions"] for found in comparison["files"].values()):
        lines.append("brackets: 95 % over draws of plates; p: sign test over wells, which takes wells to be independent")
    return lines


def _difference(own: dict[str, Any]) -> str:
    points = f"{100 * own['difference']:+.1f} points"
    if own["interval"]:
        least, most = own["interval"]
        points += f" [{100 * least:+.1f}, {100 * most:+.1f}]"
    if "better" not in own:
        return points
    p = "" if own["p"] is None else f", p = {own['p']:.2g}"
    return f"{points}, {count(own['better'], 'well')} better and {own['worse']} worse of {own['n_wells']}{p}"


def all_rules_lines(result: dict[str, Any]) -> list[str]:
    """Return a table of the mean over directions under every rule, a column for each k; nothing where it was not asked for."""
    if "all_rules" not in result:
        return []
    found, notes = result["all_rules"]["rows"], result["all_rules"]["notes"]
    cells: dict[str, dict[int, str]] = {}
    for row in found:
        cells.setdefault(_rule(row), {})[row["k"]] = percent(row["mean"])
    ks = sorted({row["k"] for row in found})
    width = max(map(len, cells), default=0)
    lines = [" ".join([f"{'mean in %':<{width}}", *(f"{f'k={k}':>6}" for k in ks)])]
    lines += [" ".join([f"{rule:<{width}}", *(f"{of.get(k, '-'):>6}" for k in ks)]) for rule, of in cells.items()]
    valued = [row for row in found if row["mean"] is not None]
    for word, pick in (("lowest", min), ("highest", max)) if valued else ():
        row = pick(valued, key=lambda row: row["mean"])
        lines.append(f"{word} {percent(row['mean'])}: {_rule(row)}, k={row['k']}")
    return ["", *lines, *notes]


def _rule(row: dict[str, Any]) -> str:
    folds = "stratified" if row["stratified"] else "any"
    return f"{row['metric']}, {row['votes']} votes, ties {row['ties']}, cross {row['cross']}, {folds} folds"
