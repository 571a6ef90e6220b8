"""The companions as `kit score` takes them up: what they add to score.json, and their lines below the table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.challenge.sections import Scored
from kit.companions.beside import beside
from kit.companions.board import lay_out
from kit.companions.null import SHUFFLES
from kit.companions.text import lines
from kit.errors import UsageError

LEAST = 20  # shuffles: below, a 95th percentile says nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Companions:
    """A section of the score, see `kit.challenge.sections`. profiles: see `board.lay_out`. shuffles: of the null."""

    profiles: Path | None = None
    shuffles: int = SHUFFLES

    def __post_init__(self) -> None:
        if self.shuffles < LEAST:
            raise UsageError(f"--shuffles {self.shuffles}: need at least {LEAST} for a 95th percentile")

    @property
    def keys(self) -> tuple[str, ...]:
        return ("null", "cross_position", "dmso_position", "plate", "verdict")

    def make(self, scored: Scored) -> dict[str, Any]:
        """Return the companions of a scored feature set, see `beside.beside`."""
        board = lay_out(scored, self.profiles)
        noun = "DMSO" if scored.labelled.is_challenge else "control"
        return beside(
            board.gram,
            board.wells,
            scored.rules,
            board.repeat,
            noun=noun,
            no_controls=board.no_controls,
            shuffles=self.shuffles,
            scored=scored.result["directions"],
        )

    def lines(self, result: dict[str, Any]) -> list[str]:
        """Return a table of the companions and the verdict."""
        return lines(result)
