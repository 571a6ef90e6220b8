"""The sections of the page, from the top. Each module has `section(context) -> Section`."""

from collections.abc import Callable

from kit.report import plates, scores, training
from kit.report.blocks import Section
from kit.report.context import Context

SECTIONS: tuple[Callable[[Context], Section], ...] = (
    scores.section,
    plates.section,
    training.section,
)
