"""Numbers with their nouns, long lists cut short, the name that was meant."""

import pytest

from kit.words import count, nearest, some


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((1, "site"), "1 site"),
        ((0, "site"), "0 sites"),
        ((12, "site"), "12 sites"),
        ((1, "bad image"), "1 bad image"),
        ((2, "match", "matches"), "2 matches"),
    ],
)
def test_numbers_and_nouns_agree(words, expected):
    assert count(*words) == expected


def test_long_lists_are_cut_short():
    assert some(["a", "b", "c", "d", "e"]) == "a, b, c, d, e"
    assert some(["a", "b", "c", "d", "e", "f", "g"]) == "a, b, c, d, e and 2 more"
    assert some([]) == ""


def test_the_nearest_name():
    assert nearest("fluorescense", ["brightfield", "fluorescence"]) == "; did you mean fluorescence?"
    assert nearest("x", ["brightfield", "fluorescence"]) == ""
    assert nearest("dna", ["Actin", "DNA"]) == "; did you mean DNA?"
