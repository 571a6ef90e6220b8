"""Where the time of a step goes."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch


@dataclass
class Clock:
    """Seconds by section, added up until `take`. With `exact` a GPU is waited for at every edge, which slows it a little."""

    exact: bool = False
    timer: Callable[[], float] = time.perf_counter
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Add the time of the block to a section."""
        self._wait()
        start = self.timer()
        yield
        self._wait()
        self.seconds[name] = self.seconds.get(name, 0.0) + self.timer() - start

    def take(self) -> dict[str, float]:
        """Return the seconds by section and start again at zero."""
        taken, self.seconds = self.seconds, {}
        return taken

    def _wait(self) -> None:
        if self.exact and torch.cuda.is_available():
            torch.cuda.synchronize()
