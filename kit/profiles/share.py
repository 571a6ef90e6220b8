"""One process or many: this process's share of the work, and where all of them wait for each other."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Share:
    """This process's share of a list of work, among `world` processes that all have the same list."""

    rank: int = 0
    world: int = 1
    meet: Callable[[], None] = lambda: None  # returns once every process has called it

    @property
    def first(self) -> bool:
        """Whether this is the process that writes what all share."""
        return self.rank == 0

    def of(self, items: Sequence[T]) -> list[T]:
        """Return every `world`-th item, from this process's rank on."""
        return list(items[self.rank :: self.world])


ALONE = Share()


def join_share() -> Share:
    """Return this process's share: of all work alone, or of as many parts as torchrun started processes.

    Raises:
        UsageError: torchrun's variables are set only in part, or for more processes than GPUs.
    """
    if not {"RANK", "WORLD_SIZE", "LOCAL_RANK"} & os.environ.keys():
        return ALONE
    from kit.model.distributed import join_group  # torch is needed for many processes only

    group = join_group(patient=True)
    return Share(group.rank, group.world, group.barrier)
