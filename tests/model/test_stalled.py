"""The warning that two views of a well teach nothing: when it comes, when not, and that a resumed run keeps it."""

import math

import pytest

from kit.model.stalled import READINGS, Stalled

GUESS = math.log(16)


def read_all(stalled: Stalled, losses: list[float], *, first: int = 10, kind: str = "dino_well") -> list[str]:
    return [
        line for number, loss in enumerate(losses) for line in stalled.read(first + 10 * number, {kind: loss, "dino_same": 9.0})
    ]


def test_a_loss_at_a_guess_is_told_once():
    said = read_all(Stalled(0, 16), [GUESS] * (3 * READINGS))
    assert len(said) == 1
    assert said[0].startswith(
        f"step {10 * READINGS}: comparing two sites of a well has taught nothing yet (dino_well 2.77, a guess"
    )
    assert "ln 16 = 2.77" in said[0]


@pytest.mark.parametrize("loss", [GUESS - 0.01, 1.0])
def test_a_loss_below_a_guess_says_nothing(loss):
    assert read_all(Stalled(0, 16), [loss] * (3 * READINGS)) == []


def test_only_the_last_readings_after_the_warm_up_count():
    assert read_all(Stalled(200, 16), [GUESS + 1] * (READINGS + 19)) == []  # steps 10 to 390
    assert len(read_all(Stalled(200, 16), [GUESS + 1] * (READINGS + 20))) == 1
    learned = [GUESS + 0.01] * (READINGS - 1) + [0.0] * READINGS
    assert read_all(Stalled(0, 16), learned) == []
    assert len(read_all(Stalled(0, 16), [*learned, *[GUESS + 0.01] * READINGS])) == 1


def test_two_views_of_a_site_are_watched_and_a_view_with_itself_is_not():
    assert "comparing two views of a site" in read_all(Stalled(0, 16), [GUESS] * READINGS, kind="dino_site")[0]
    assert read_all(Stalled(0, 16), [GUESS] * READINGS, kind="dino_local") == []


def test_it_comes_back_as_it_was():
    whole, first, second = Stalled(0, 16), Stalled(0, 16), Stalled(0, 16)
    losses = [GUESS + 0.1] * (READINGS + 5)
    read_all(first, losses[:12])
    second.restore(first.state())
    assert read_all(second, losses[12:], first=130) == read_all(whole, losses)
    third = Stalled(0, 16)
    third.restore(second.state())
    assert read_all(third, losses) == []  # said already
