"""The table of `kit compare`: one line per feature set, mean and spread over seeds."""

import statistics

from kit.challenge.score_text import accuracy, direction_names

CHOSEN = "centre+sphere"  # the post-processing a trained network is shown under


def table_text(results: dict, *, classes: int, batches: str) -> str:
    """Return one line per feature set: mean and spread over seeds, in %, per direction, with chance and the null on top.

    `change` is the mean and spread over seeds of the difference to the first row, seed by seed.
    """
    rows = shown_scores(results)
    width, names = max(map(len, rows)), direction_names([score for _, scores in rows.values() for score in scores])
    across = "  ".join(f"{name:>10}" for name in names)
    null = results.get("permuted wells", {}).get("means")
    beside = f"; wells permuted within plates {_spread([100 * mean for mean in null])}" if null else ""
    lines = [
        f"k-NN accuracy in %, k=5 cosine, folds by plate; batches: {batches}; chance {100 / classes:.1f}{beside}",
        f"{'':<{width}}  seeds  {'mean':>12}  {'change':>12}  {across}  post-processing",
    ]
    first = {entry["seed"]: scores for entry, scores in zip(*next(iter(rows.values())), strict=True)}
    for name, (entries, scores) in rows.items():
        changes = [
            100 * (own["mean"] - first[entry["seed"]]["mean"])
            for entry, own in zip(entries, scores, strict=True)
            if entry["trained"] and entry["seed"] in first and own is not first[entry["seed"]]
        ]
        cells = "  ".join(f"{_mean_cell(scores, name):>{max(10, len(name))}}" for name in names)
        post = CHOSEN if entries[0]["trained"] else f"{_best_post(entries)} (its best)"
        mean = _spread([100 * score["mean"] for score in scores])
        lines.append(f"{name:<{width}}  {len(scores):5d}  {mean:>12}  {_spread(changes, '+'):>12}  {cells}  {post}")
    return "\n".join(lines)


def shown_scores(results: dict) -> dict[str, tuple[list[dict], list[dict]]]:
    """Return per row its entries and the scores that count, one per seed: a baseline's at its best post-processing."""
    shown = {}
    for name in dict.fromkeys(entry["name"] for entry in results.values() if "scores" in entry):
        entries = [entry for entry in results.values() if entry["name"] == name]
        post = CHOSEN if entries[0]["trained"] else _best_post(entries)
        shown[name] = entries, [entry["scores"][post] for entry in entries]
    return shown


def _spread(values: list[float], sign: str = "") -> str:
    if not values:
        return ""
    mean = f"{statistics.mean(values):{sign}.1f}"
    return f"{mean} +-{statistics.stdev(values):4.1f}" if len(values) > 1 else f"{mean}       "


def _mean_cell(scores: list[dict], direction: str) -> str:
    values = [accuracy(score, direction) for score in scores]
    known = [value for value in values if value is not None]
    return f"{100 * statistics.mean(known):.1f}" if len(known) == len(values) else "-"


def _best_post(entries: list[dict]) -> str:
    posts = entries[0]["scores"]
    return max(posts, key=lambda post: statistics.mean(entry["scores"][post]["mean"] for entry in entries))
