"""Two ranks as two processes, forked from one server that has torch imported: importing it takes longer than these tests."""

import multiprocessing
from collections.abc import Callable

import torch.multiprocessing


def run_two_ranks(rank_main: Callable[..., None], *args: object) -> None:
    """Call `rank_main(rank, *args)` in a process for each of two ranks."""
    multiprocessing.set_forkserver_preload(["kit.model.train", "tests.model.test_distributed"])
    torch.multiprocessing.start_processes(rank_main, args=args, nprocs=2, start_method="forkserver")
