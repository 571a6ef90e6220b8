"""Who works: threads here, or the workers of a Dask cluster. Both take jobs as they come and give results as they are done."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event

from kit.images.folders import Reader
from kit.images.packing import WellJob

Work = Callable[[WellJob, Reader, Event | None], object]


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
