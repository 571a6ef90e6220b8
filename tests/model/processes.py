"""Processes forked from one server that has torch imported: importing it takes longer than most tests."""

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch


def start(errors: Path, function: Callable[..., object], *args: object, **environment: str) -> BaseProcess:
    """Call `function(*args)` in a process of its own, on one thread, with `environment` set; its stderr goes to `errors`."""
    process = _server().Process(target=_run, args=(errors, environment, function, args))
    process.start()
    return process


def run_two_ranks(rank_main: Callable[..., None], *args: object) -> None:
    """Call `rank_main(rank, *args)` in a process for each of two ranks."""
    torch.multiprocessing.start_processes(rank_main, args=args, nprocs=2, start_method=_server().get_start_method())


def _server() -> multiprocessing.context.ForkServerContext:
    multiprocessing.set_forkserver_preload(["kit.model.train", "tests.model.test_distributed"])
    return multiprocessing.get_context("forkserver")


def _run(errors: Path, environment: dict[str, str], function: Callable[..., object], args: tuple) -> None:
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), 2)
    os.environ.update(environment)
    torch.set_num_threads(1)
    function(*args)
