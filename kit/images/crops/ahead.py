"""Work that runs ahead of its use: parts whose files are being read, finished batches in a queue."""

import queue
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, wait
from typing import Any, Protocol, TypeVar


class Reading(Protocol):
    """A part of a batch that is being read."""

    @property
    def reads(self) -> Sequence[Future[Any]]: ...


P = TypeVar("P", bound=Reading)


def keep_ahead(parts: Iterator[P], count: int) -> Generator[P, None, None]:
    """Keep `count` parts being read, the one given out included; at the end no read is left running."""
    waiting: deque[P] = deque()
    try:
        for part in parts:
            waiting.append(part)
            if len(waiting) == count:
                yield waiting[0]
                waiting.popleft()
        while waiting:
            yield waiting[0]
            waiting.popleft()
    finally:
        reads = [read for part in waiting for read in part.reads]
        for read in reads:
            read.cancel()
        wait(reads)


def put(ready: queue.Queue, item: object, stop: threading.Event) -> bool:
    """Put an item, unless the consumer has gone."""
    while not stop.is_set():
        try:
            ready.put(item, timeout=0.1)
            return True
        except queue.Full:
            continue
    return False
