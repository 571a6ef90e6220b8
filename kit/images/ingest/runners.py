"""Where wells are packed: threads here, or the workers of a Dask cluster. Both take one well at a time and yield results."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event
from typing import Generic, Protocol, Self, TypeVar

from kit.errors import UsageError
from kit.images.ingest.plate import PlateWork
from kit.images.ingest.well import WellJob
from kit.images.source.folders import Reader

_CONNECT_SECONDS = 20
_RETRIES = 3  # of a well whose worker failed

T = TypeVar("T")
Work = Callable[[WellJob, Reader, Event | None], T]


@dataclass(frozen=True)
class Done(Generic[T]):
    """A well that was worked on, and its outcome."""

    plate: PlateWork
    job: WellJob
    result: T


class Queue(ABC, Generic[T]):
    """Wells submitted for one kind of work. One per worker is running, and as many again are queued."""

    def __init__(self) -> None:
        self._pending: dict[Hashable, tuple[PlateWork, WellJob]] = {}

    def put(self, plate: PlateWork, job: WellJob) -> list[Done[T]]:
        """Submit a well. Wait while the queue is full; return what is done by then."""
        self._pending[self._submit(job)] = (plate, job)
        return self._wait() if len(self._pending) >= 2 * self._workers() else []

    def drain(self) -> Iterator[Done[T]]:
        """Yield the remaining results as they finish."""
        while self._pending:
            yield from self._wait()

    def run(self, plate: PlateWork) -> Iterator[Done[T]]:
        """Submit every well of a plate and yield what is done."""
        for job in plate.jobs():
            yield from self.put(plate, job)
        yield from self.drain()

    def _done(self, key: Hashable, result: T) -> Done[T]:
        return Done(*self._pending.pop(key), result)

    @abstractmethod
    def _submit(self, job: WellJob) -> Hashable:
        """Give a well to the workers; return its key."""

    @abstractmethod
    def _workers(self) -> int:
        """Return how many wells can run at once."""

    @abstractmethod
    def _wait(self) -> list[Done[T]]:
        """Wait until a well or more are done, and return them."""


class Runner(Protocol):
    """Anything that packs wells."""

    def queue(self, work: Work[T]) -> Queue[T]:
        """Return a new queue for this kind of work."""


class Threads:
    """A pool of threads in this process; decoding, encoding and writing all leave the interpreter free."""

    def __init__(self, jobs: int, reader: Reader):
        self.jobs = jobs
        self.reader = reader
        self.stop = Event()
        self.pool = ThreadPoolExecutor(jobs, thread_name_prefix="well")

    def queue(self, work: Work[T]) -> Queue[T]:
        """Return a new queue for this kind of work."""
        return _ThreadQueue(self, work)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()  # wells at work end at their next image
        self.pool.shutdown(cancel_futures=True)


class _ThreadQueue(Queue[T]):
    def __init__(self, threads: Threads, work: Work[T]):
        super().__init__()
        self._threads, self._work = threads, work
        self._futures: set[Future] = set()

    def _submit(self, job: WellJob) -> Future:
        future = self._threads.pool.submit(self._work, job, self._threads.reader, self._threads.stop)
        self._futures.add(future)
        return future

    def _workers(self) -> int:
        return self._threads.jobs

    def _wait(self) -> list[Done[T]]:
        finished, self._futures = wait(self._futures, return_when=FIRST_COMPLETED)
        return [self._done(future, future.result()) for future in finished]


class Cluster:
    """The workers of a Dask cluster that see SOURCE and the work folder under the same paths.

    If a worker dies, Dask gives its wells to another. A well's shard appears whole or
    not at all, and packing a well twice gives the same bytes.
    """

    def __init__(self, address: str, reader: Reader):
        try:
            from distributed import Client
            from distributed.comm import get_address_host_port
        except ImportError as error:
            raise UsageError("--dask needs the package distributed: pip install cellpaint-kit[dask]") from error
        try:
            get_address_host_port(address)  # a Client with a malformed address would log a second error on exit
            self.client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise UsageError(f"--dask {address}: no scheduler answers ({error})") from error
        self.reader = reader

    def queue(self, work: Work[T]) -> Queue[T]:
        """Return a new queue for this kind of work."""
        return _ClusterQueue(self, work)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()


class _ClusterQueue(Queue[T]):
    def __init__(self, cluster: Cluster, work: Work[T]):
        from distributed import as_completed

        super().__init__()
        self._client, self._reader, self._work = cluster.client, cluster.reader, work
        self._finished = as_completed(loop=self._client.loop)

    def _submit(self, job: WellJob) -> Hashable:
        future = self._client.submit(self._work, job, self._reader, pure=False, retries=_RETRIES)
        self._finished.add(future)
        return future.key

    def _workers(self) -> int:
        return max(sum(self._client.nthreads().values()), 1)

    def _wait(self) -> list[Done[T]]:
        future = next(self._finished)
        done = self._done(future.key, future.result())
        future.release()
        _sweep(done.job)
        return [done]


def _sweep(job: WellJob) -> None:
    """Remove the leftovers of a worker that died on this well."""
    for folder in (job.container.shard(job.well).parent, job.record_path.parent):
        for part in folder.glob(f".{job.well}.json.part" if folder == job.record_path.parent else ".0.*.part"):
            part.unlink(missing_ok=True)
