"""The queue of wells: every one is done once and given back, a few are taken at a time, and an error stops the rest."""

import threading
import time

import pytest

from kit.images.ingest.runners import Threads


def put_all(queue, wells) -> list[tuple]:
    done = [done for well in wells for done in queue.put("plate", well)]
    return [(d.plate, d.job, d.result) for d in [*done, *queue.drain()]]


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_well_is_done_once(jobs):
    with Threads(jobs, reader=None) as threads:
        given = put_all(threads.queue(lambda well, reader, stop: well * well), range(50))
    assert sorted(given) == [("plate", well, well * well) for well in range(50)]


def test_no_more_than_twice_as_many_as_there_are_threads_are_taken():
    gate, ahead = threading.Event(), []

    def work(well, reader, stop):
        gate.wait()
        return well

    def wells():
        for well in range(20):
            ahead.append(well)
            yield well

    with Threads(2, reader=None) as threads:
        handing_in = threading.Thread(target=put_all, args=(threads.queue(work), wells()))
        handing_in.start()
        while len(ahead) < 4:
            time.sleep(0.001)
        time.sleep(0.05)
        taken = len(ahead)
        gate.set()
        handing_in.join()
    assert (taken, len(ahead)) == (4, 20)


def test_two_queues_of_one_runner_do_not_mix():
    with Threads(2, reader=None) as threads:
        squares, names = (
            threads.queue(lambda well, reader, stop: well * well),
            threads.queue(lambda well, reader, stop: str(well)),
        )
        first = [done for well in range(3) for done in squares.put("a", well)]
        assert sorted(result for _, _, result in put_all(names, range(9))) == [str(well) for well in range(9)]
        rest = list(squares.drain())
    assert sorted(done.result for done in [*first, *rest]) == [0, 1, 4]


def test_an_error_goes_up_and_the_others_are_told_to_stop():
    started, stopped = threading.Event(), threading.Event()

    def work(well, reader, stop):
        if well == 0:
            started.wait()
            raise OSError("no such well")
        started.set()
        if stop.wait(timeout=60):
            stopped.set()

    with pytest.raises(OSError, match="no such well"), Threads(2, reader=None) as threads:
        put_all(threads.queue(work), range(2))
    assert stopped.is_set()
