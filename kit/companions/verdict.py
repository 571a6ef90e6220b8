"""A verdict in plain words on one direction. It rests on intervals, and says when they do not decide."""

from dataclasses import dataclass

from kit.challenge.further_text import brackets, percent

UNDECIDED = "cannot decide"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """A share, its 95 % interval, and what shuffled wells give: their mean and 95th percentile. why_not: why it is missing."""

    value: float | None = None
    interval: list[float] | None = None
    null: float | None = None
    null_p95: float | None = None
    why_not: str = ""

    @property
    def above(self) -> bool | None:
        """Whether it is above what shuffled wells give: all of the interval is. None where that cannot be said."""
        if self.value is None or self.null_p95 is None:
            return None
        if self.value <= self.null_p95:
            return False
        return True if self.interval is not None and self.interval[0] > self.null_p95 else None

    def text(self) -> str:
        """Return "63.2 % [50.0, 75.0], shuffled 0.3 % (95th 0.6)"."""
        if self.value is None:
            return self.why_not
        shuffled = "" if self.null is None else f", shuffled {percent(self.null)} (95th {percent(self.null_p95)})"
        return f"{percent(self.value)} %{brackets(self.interval)}{shuffled}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """kind: `signal`, `signal and position`, `position`, `alignment`, `noise` or `cannot decide`. text: why."""

    kind: str
    text: str


def judge(accuracy: Evidence, apart: Evidence, kept: Evidence, controls: Evidence, chance: float, *, aligned: bool) -> Verdict:
    """Return what the evidence says.

    Args:
        accuracy: of all tested wells. apart, kept: of those with compounds at another position, without and with the training
            wells at their own. controls: of the position of control wells. chance: of a compound.
        aligned: alignment is repeated in the null; controls that it has drawn together cannot show that there is no position
            effect.
    """
    made = accuracy.null is not None and accuracy.null > 1.5 * chance
    leak = f"; of the accuracy, {percent(accuracy.null)} % is what alignment makes of shuffled wells" if aligned and made else ""
    if accuracy.above is False and aligned and made:
        return Verdict("alignment", f"no more than alignment makes of shuffled wells: {accuracy.text()}{_elsewhere(apart)}")
    if accuracy.above is False:
        return Verdict("noise", f"no better than shuffled wells: {accuracy.text()}{_elsewhere(apart)}")
    if accuracy.above is None:
        why = "too few plates for an interval" if accuracy.interval is None else "the interval reaches down to shuffled wells"
        return Verdict(UNDECIDED, f"{why}: {accuracy.text()}")
    if apart.above and controls.above:
        return Verdict(
            "signal and position",
            f"compounds are recognised at another position ({apart.text()}), and control wells tell their position "
            f"({controls.text()}): the accuracy counts both{leak}",
        )
    if apart.above:
        blind = controls.above is None or (aligned and controls.null is not None and controls.null > 0.5)
        rest = "whether position adds to it cannot be seen" if blind else "control wells do not tell their position"
        return Verdict(
            "signal", f"compounds are recognised at another position ({apart.text()}); {rest} ({controls.text()}){leak}"
        )
    told = (
        f"compounds at another position {apart.text()}, with their own {kept.text()}; position of control wells {controls.text()}"
    )
    if apart.above is False and controls.above and _clear(apart, kept):
        return Verdict("position", f"wells are recognised by their position: {told}{leak}")
    return Verdict(
        UNDECIDED, f"better than shuffled wells ({accuracy.text()}), but whether by compound or by position is open: {told}{leak}"
    )


def _elsewhere(apart: Evidence) -> str:
    """Return what an accuracy that says nothing hides: compounds that are recognised at another position all the same."""
    return f"; yet compounds are recognised at another position: {apart.text()}" if apart.above else ""


def _clear(less: Evidence, more: Evidence) -> bool:
    """Return whether two intervals do not meet."""
    return less.interval is not None and more.interval is not None and less.interval[1] < more.interval[0]
