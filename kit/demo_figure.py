"""The demo's picture of what was learned: how often each made compound is recognised, by feature set."""

from collections.abc import Mapping
from pathlib import Path

from kit.files import whole_file

_COLOURS = ("#0072B2", "#E69F00", "#999999")  # told apart by the colour-blind
_WIDTH, _HEIGHT = 9.0, 0.34  # inches: of the figure, of a compound


def draw_by_compound(sets: Mapping[str, Mapping[str, float]], path: Path, *, chance: float, title: str) -> None:
    """Draw {feature set: {compound: share recognised, 0 to 1}} as a PNG, the compound that the first set knows best on top."""
    from matplotlib.figure import Figure  # here: all else of the demo needs no drawing

    first = next(iter(sets.values()))
    compounds = sorted(first, key=lambda name: (first[name], name))
    figure = Figure(figsize=(_WIDTH, 1.4 + _HEIGHT * len(compounds)), layout="constrained")
    axes = figure.add_subplot()
    thick = 0.8 / len(sets)
    for place, (name, shares) in enumerate(sets.items()):
        at = [row + 0.4 - (place + 0.5) * thick for row in range(len(compounds))]
        axes.barh(at, [100 * shares[compound] for compound in compounds], thick, label=name, color=_COLOURS[place])
    axes.axvline(100 * chance, color="black", linestyle=":", linewidth=1, label=f"chance, {100 * chance:.1f} %")
    axes.set_yticks(range(len(compounds)), compounds)
    axes.set(
        xlim=(0, 100), ylim=(-0.6, len(compounds) - 0.4), xlabel="wells recognised by their nearest wells on other plates, %"
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    figure.legend(loc="outside lower center", ncols=len(sets) + 1, frameon=False)
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=110)
