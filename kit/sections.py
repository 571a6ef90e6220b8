"""`kit score` and `kit.score`: the accuracies of kit.challenge.score, and beside them the sections listed here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kit.challenge.score import Source
from kit.challenge.score import score as plain_score
from kit.challenge.sections import Section
from kit.companions.null import SHUFFLES
from kit.companions.section import Companions
from kit.measures.section import Measures

SECTIONS: tuple[Section, ...] = (Companions(), Measures())  # in the order of their lines; as they are without options


def score(
    source: Source | Sequence[Path | str],
    metadata: Any = None,
    *,
    profiles: Path | None = None,
    shuffles: int = SHUFFLES,
    target: str | None = None,
    map_null: str = "shared",
    **options: Any,
) -> dict[str, Any]:
    """Return what score.json holds: see `kit.challenge.score.score`, which takes the other arguments and options.

    Args:
        profiles: the parquet file that a scored challenge CSV was made from: it has the DMSO wells, which the CSV has not.
        shuffles: of the wells of each plate, for the null; at least 20.
        target: the column of targets, or mechanisms, that mAP measures consistency by; see `kit.measures.targets`.
        map_null: `shared` or `each`, the null that mAP is held against; see `kit.measures.null.NullRule`.
    """
    sections = (Companions(profiles=profiles, shuffles=shuffles), Measures(target=target, null=map_null, profiles=profiles))
    return plain_score(source, metadata, sections=sections, **options)
