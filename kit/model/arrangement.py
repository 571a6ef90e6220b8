"""A loss as a table, all by name: which views student and teacher see, and which pairs of them the losses compare.

v1 and w are two crops of one site, v2 is a crop of another site of its well. A pass is one view through the student, its patches
partly masked or whole; the teacher sees every view whole.
"""

from dataclasses import dataclass
from typing import NamedTuple

from kit.config import LossConfig
from kit.images.crops.groups import LOCAL, V1, V2, W


class Pass(NamedTuple):
    """One view through the student."""

    view: str  # a name of images/crops/groups.py
    masked: bool = False
    crop: int = 0  # which of a sample's local crops


class Term(NamedTuple):
    """One comparison: a pass of the student with a view through the teacher."""

    student: Pass
    teacher: str
    weight: float


@dataclass(frozen=True)
class Arrangement:
    """The student's passes over whole sites, and the pairs that DINO, iBOT, KoLeo and local crops take."""

    student: tuple[Pass, ...]  # in batch order
    dino: tuple[Term, ...]
    ibot: tuple[Term, ...]
    koleo: tuple[Pass, ...]
    local: tuple[Term, ...] = ()

    @property
    def teacher(self) -> tuple[str, ...]:
        """The views that the teacher sees: every one that is compared with."""
        seen = {term.teacher for term in (*self.dino, *self.ibot, *self.local)}
        return tuple(view for view in (V1, W, V2) if view in seen)

    @property
    def views(self) -> tuple[str, ...]:
        """The views to make, local crops apart."""
        used = {step.view for step in self.student} | set(self.teacher)
        return tuple(view for view in (V1, W, V2) if view in used)

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of crops to make views of."""
        return (*self.views, LOCAL) if self.local else self.views

    def student_place(self, term: Term) -> int:
        """Return which of the student's passes a comparison takes."""
        return self.student.index(term.student)

    def teacher_place(self, term: Term) -> int:
        """Return which of the teacher's views a comparison takes."""
        return self.teacher.index(term.teacher)


def arrange(config: LossConfig, local_crops: int) -> Arrangement:
    """Return the table of the configured loss; without a teacher nothing is compared with one, and the passes alone count."""
    if config.objective == "mae":
        return Arrangement(student=(Pass(V1),), dino=(), ibot=(), koleo=())
    if config.objective == "simclr":
        second = Pass(V2 if config.local_aggregation else W)
        return Arrangement(student=(Pass(V1), second), dino=(), ibot=(), koleo=())
    return (_local_aggregation if config.local_aggregation else _two_views)(config, local_crops)


def _two_views(config: LossConfig, local_crops: int) -> Arrangement:
    """DINOv2's loss: two views of one site, partly masked, each against the other's target; optionally against its own.

    With loss.scale = sum it is CellRep's, section A.1: every pair counts whole.
    """
    v1, w = Pass(V1, masked=True), Pass(W, masked=True)
    each = 1.0 / (2 + 2 * local_crops)
    every = 1.0 / (2 + max(2 * local_crops, 1))  # without local crops the DINO loss is scaled by 2/3, as in DINOv2
    if config.scale == "sum":
        each = every = 1.0
    dino: tuple[Term, ...] = (Term(v1, W, every), Term(w, V1, every))
    if config.same_view_weight:
        dino += (Term(v1, V1, config.same_view_weight / 2), Term(w, W, config.same_view_weight / 2))
    return Arrangement(
        student=(v1, w),
        dino=dino,
        ibot=(Term(v1, V1, 0.5), Term(w, W, 0.5)),
        koleo=(v1, w),
        local=_local_terms(local_crops, (V1, W), each * config.local_weight),
    )


def _local_aggregation(config: LossConfig, local_crops: int) -> Arrangement:
    """SSLProfiler 2, section 3.2.1.

    L = DINO(s(masked w), t(v1)) + DINO(s(v2), t(v1)) + l1 iBOT(s(masked w), t(w)) + l2 KoLeo(s(v1), s(v2)). With `masked_view`
    same or shared, v1 takes the place of w; shared: the masked passes serve as v1 and v2 too. KoLeo of two arguments is not
    defined there: KoLeo of v1 plus KoLeo of v2 is ours.
    """
    own, shared = config.masked_view == "own", config.masked_view == "shared"
    masked = Pass(W if own else V1, masked=True)
    swapped = Pass(V1 if own else V2, masked=True)  # symmetric: v1 and w, or the two sites, change places
    v1 = masked if shared else Pass(V1)
    v2 = swapped if shared and config.symmetric else Pass(V2)
    student: tuple[Pass, ...] = (masked, v2, v1)
    ibot: tuple[Term, ...] = (Term(masked, masked.view, 1.0),)
    if config.symmetric:
        student += (swapped,)
        ibot = (Term(masked, masked.view, 0.5), Term(swapped, swapped.view, 0.5))
    dino: tuple[Term, ...]
    if not config.symmetric:
        dino = (Term(masked, V1, 1.0), Term(v2, V1, 1.0))
    elif own:
        dino = (Term(masked, V1, 0.5), Term(swapped, W, 0.5), Term(v2, V1, 0.25), Term(v2, W, 0.25), Term(v1, V2, 0.5))
    else:
        dino = (Term(masked, V1, 0.5), Term(swapped, V2, 0.5), Term(v2, V1, 0.5), Term(v1, V2, 0.5))
    dino = tuple(_weighted(term, config.well_weight) for term in dino)
    # ours, the paper has no local crops: each against v1, weight 1 together
    local = _local_terms(local_crops, (V1,), config.local_weight / max(local_crops, 1))
    return Arrangement(student=tuple(dict.fromkeys(student)), dino=dino, ibot=ibot, koleo=(v1, v2), local=local)


def _weighted(term: Term, well_weight: float) -> Term:
    """Return the term, weighted where it compares two sites of a well."""
    two_sites = (term.student.view == V2) != (term.teacher == V2)
    return term._replace(weight=term.weight * well_weight) if two_sites else term


def _local_terms(local_crops: int, targets: tuple[str, ...], weight: float) -> tuple[Term, ...]:
    return tuple(Term(Pass(LOCAL, crop=crop), view, weight) for crop in range(local_crops) for view in targets)
