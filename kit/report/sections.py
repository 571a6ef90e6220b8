"""The sections of the page, from the top. Each module has `section(context) -> Section`."""

from collections.abc import Callable

from kit.report import (
    alignment,
    cells,
    compared,
    coverage,
    looks,
    meaning,
    perturbations,
    plate_wells,
    plates,
    scores,
    set_aside,
    training,
)
from kit.report.blocks import Section
from kit.report.context import Context

SECTIONS: tuple[Callable[[Context], Section], ...] = (
    scores.section,
    cells.section,
    meaning.section,
    alignment.section,
    compared.section,
    perturbations.section,
    plates.section,
    plate_wells.section,
    coverage.section,
    set_aside.section,
    training.section,
    looks.section,
)
