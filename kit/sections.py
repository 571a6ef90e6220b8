"""`kit score` and `kit.score`: the accuracies of kit.challenge.score, and beside them the sections listed here."""

from functools import partial

from kit.challenge.score import score as plain_score
from kit.challenge.sections import Section

SECTIONS: tuple[Section, ...] = ()

score = partial(plain_score, sections=SECTIONS)
