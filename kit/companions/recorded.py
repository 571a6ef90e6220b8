"""What the recorded steps of a feature set say a null has to repeat.

A shuffle of the treated wells within each plate commutes with every step whose fit it leaves as it is: those fitted on the
controls, or on all wells of a plate or of all plates together, and those done to each well alone. Only alignment reads who
stands where, so the null starts from the features before alignment, and l2 after it is repeated on the Gram.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kit.profiles.normalise import lengths_before_l2

COMMUTING = frozenset(
    {
        "from",
        "clip",
        "fill",
        "parts",
        "runs",
        "merge",
        "normalize",
        "rank_normal",
        "select",
        "standardize",
        "whiten",
        "balance",
        "noise",
        "rotate",
        "reduce",
    }
)
UNSEEN = (
    "what was done to the files before kit profile --from is not known; "
    "where no step of theirs read the well position, --from ... --unaligned says so"
)
FINAL_ONLY = "null of the final features only: cannot see what alignment made"


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeat:
    """What the null repeats.

    align: its share, None where off. l2: the record of an l2 step after it, which keeps the lengths of the rows. unseen:
    alignment before the recorded steps is not ruled out. why_not: why the steps, or the features before them, are not known, in
    words; "" where they are.
    """

    align: float | None = None
    l2: Mapping[str, Any] | None = None
    unseen: bool = False
    why_not: str = ""


def read_steps(steps: Sequence[Mapping[str, Any]] | None, *, whole: bool = True) -> Repeat:
    """Return what to repeat for features made by `steps`; None: nothing is recorded.

    whole: whether all wells that the steps saw are among the features, at least at the positions of those that are.
    """
    if steps is None:
        return Repeat(why_not="the features record no steps")
    names = [str(step.get("step")) for step in steps]
    shares = [float(step["a"]) for step in steps if step.get("step") == "align"]
    unseen = names[:1] == ["from"] and not steps[0].get("unaligned")
    unknown = [name for name in names if name not in COMMUTING | {"align", "l2"}]
    if unknown:
        return Repeat(why_not=f"the null cannot repeat the recorded step {unknown[0]}")
    if not shares or shares == [1.0]:
        return Repeat(why_not=UNSEEN if unseen else "")
    after = {name: steps[index] for index, name in enumerate(names) if index > names.index("align")}
    if others := [name for name in after if name not in ("l2", "rotate")]:
        return Repeat(why_not=f"the null cannot repeat the recorded step {others[0]} after align")
    if shares[0] == 0:
        return Repeat(why_not="align 0 left only the mean of each position: the features before it are lost")
    if "l2" in after and lengths_before_l2(after["l2"]) is None:
        return Repeat(why_not="the lengths of the rows before l2 are not known: score the profiles themselves, or add --profiles")
    if not whole:
        return Repeat(why_not="not all wells that were aligned are in the file: the features before align are not known")
    return Repeat(align=shares[0], l2=after.get("l2"), unseen=unseen)
