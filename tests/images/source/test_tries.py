"""Remote files are tried again: how often, with what pauses, and what is an answer at once."""

import pytest

from kit.errors import KitError
from kit.images.source import folders


@pytest.fixture
def slept(monkeypatch) -> list[float]:
    seconds: list[float] = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds


class Server:
    """Fails as told, one error a request, then answers."""

    def __init__(self, *errors: Exception):
        self.errors = list(errors)
        self.requests = 0

    def __call__(self) -> bytes:
        self.requests += 1
        if self.errors:
            raise self.errors.pop(0)
        return b"pixels"


def test_two_failures_are_two_pauses(slept):
    server = Server(OSError("reset"), TimeoutError("late"))
    assert folders._again(server, "s3://x") == b"pixels"
    assert (server.requests, len(slept)) == (3, 2)


def test_pauses_double_and_are_spread_and_the_eighth_failure_is_the_last(slept):
    server = Server(*[OSError("reset")] * 9)
    with pytest.raises(KitError, match=r"^s3://x: no answer after 8 tries \(reset\); run the same command again to continue$"):
        folders._again(server, "s3://x")
    assert server.requests == 8
    spread = [pause / (0.25 * 2**step) for step, pause in enumerate(slept)]
    assert len(spread) == 7
    assert all(0.5 <= share <= 1.5 for share in spread)
    assert len(set(spread)) == 7


def test_a_file_that_stays_short_says_so_itself(slept):
    server = Server(*[folders._WrongSize("3 of 5 bytes")] * 8)
    with pytest.raises(folders._WrongSize, match="3 of 5 bytes"):
        folders._again(server, "s3://x")
    assert server.requests == 8


@pytest.mark.parametrize(
    ("error", "said", "message"),
    [
        (FileNotFoundError("gone"), FileNotFoundError, "gone"),
        (PermissionError("403"), KitError, r"s3://x: the server denies access \(403\)"),
        (ZeroDivisionError("a bug"), ZeroDivisionError, "a bug"),
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
    ],
)
def test_an_answer_is_not_asked_for_again(slept, error, said, message):
    server = Server(error)
    with pytest.raises(said, match=message):
        folders._again(server, "s3://x")
    assert (server.requests, slept) == (1, [])
