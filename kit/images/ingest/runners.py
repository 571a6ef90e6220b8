"""Who works: threads here, or the workers of a Dask cluster. Both take jobs as they come and give results as they are done."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Protocol

from kit.errors import UsageError
from kit.images.ingest.well import WellJob
from kit.images.source.folders import Reader

_CONNECT_SECONDS = 20
_RETRIES = 3  # of a well whose worker failed

Work = Callable[[WellJob, Reader, Event | None], object]


class Runner(Protocol):
    """What takes jobs."""

    def run(self, work: Work, items: Iterable[tuple[object, WellJob]]) -> Iterator[tuple[object, WellJob, object]]:
        """Yield (whose, job, result) for every (whose, job), in the order in which they are done."""


class Threads:
    """A pool of threads in this process; decoding, encoding and writing all leave the interpreter free."""

    def __init__(self, jobs: int, reader: Reader):
        self.jobs = jobs
        self._reader = reader
        self._stop = Event()
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="well")

    def run(self, work: Work, items: Iterable[tuple[object, WellJob]]) -> Iterator[tuple[object, WellJob, object]]:
        """Yield (whose, job, result) for every (whose, job), in the order in which they are done."""
        items = iter(items)
        pending: dict[Future, tuple[object, WellJob]] = {}
        while True:
            while len(pending) < 2 * self.jobs and (item := next(items, None)) is not None:
                pending[self._pool.submit(work, item[1], self._reader, self._stop)] = item
            if not pending:
                return
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                whose, job = pending.pop(future)
                yield whose, job, future.result()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()  # wells at work end at their next image
        self._pool.shutdown(cancel_futures=True)


class Cluster:
    """The workers of a Dask cluster that see SOURCE and the work folder under the same paths.

    A worker that dies takes its wells with it only for a while: Dask gives them to another. A well's shard appears whole or
    not at all, so a well done twice is the same bytes twice.
    """

    def __init__(self, address: str, reader: Reader):
        try:
            from distributed import Client
            from distributed.comm import get_address_host_port
        except ImportError as error:
            raise UsageError("--dask needs the package distributed: pip install kit[dask]") from error
        try:
            get_address_host_port(address)  # a Client with an address that is none would complain once more as it goes
            self._client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise UsageError(f"--dask {address}: no scheduler answers there ({error})") from error
        self._reader = reader

    def run(self, work: Work, items: Iterable[tuple[object, WellJob]]) -> Iterator[tuple[object, WellJob, object]]:
        """Yield (whose, job, result) for every (whose, job), in the order in which they are done."""
        from distributed import as_completed

        items, pending, done = iter(items), {}, as_completed(loop=self._client.loop)
        self._fill(work, items, pending, done)
        while pending:
            future = next(done)
            whose, job = pending.pop(future.key)
            result = future.result()
            self._sweep(job)
            future.release()
            self._fill(work, items, pending, done)
            yield whose, job, result

    def _fill(self, work: Work, items: Iterator, pending: dict, done) -> None:
        slots = max(sum(self._client.nthreads().values()), 1)
        while len(pending) < 2 * slots and (item := next(items, None)) is not None:
            future = self._client.submit(work, item[1], self._reader, pure=False, retries=_RETRIES)
            pending[future.key] = item
            done.add(future)

    @staticmethod
    def _sweep(job: WellJob) -> None:
        """Remove what a worker that died over this well left behind."""
        for folder in (job.container.shard(job.well).parent, job.record_path.parent):
            for part in folder.glob(f".{job.well}.json.part" if folder == job.record_path.parent else ".0.*.part"):
                part.unlink(missing_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._client.close()
