"""The command line that all trials share."""

import pytest

from kit.trials.command import new_parser


@pytest.mark.parametrize(("text", "seeds"), [("1", [0]), ("3", [0, 1, 2]), ("5-7", [5, 6, 7]), ("4-4", [4]), ("0-0", [0])])
def test_seeds_are_a_number_or_a_range(text, seeds):
    assert list(new_parser("cells", "").parse_args(["--seeds", text]).seeds) == seeds


@pytest.mark.parametrize("text", ["0", "", "-1", "x", "3-", "-3", "7-5", "1-2-3", "1.5"])
def test_other_seeds_are_refused_in_one_line(text, capsys):
    with pytest.raises(SystemExit):
        new_parser("cells", "").parse_args([f"--seeds={text}"])
    assert f"argument --seeds: {text}: " in capsys.readouterr().err
