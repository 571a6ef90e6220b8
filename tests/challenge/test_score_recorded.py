"""On the challenge's plates, output and score.json are byte for byte what they were before other labels could be scored."""

import pytest

from tests.commands import kit_command

from .recorded_score import COMMANDS, RECORDED, write_features


@pytest.mark.parametrize("name", COMMANDS)
def test_the_challenge_scores_as_before(name, metadata, tmp_path, monkeypatch):
    write_features(tmp_path, metadata)
    monkeypatch.chdir(tmp_path)
    assert kit_command(*COMMANDS[name].split()).stdout == (RECORDED / f"{name}.txt").read_text()
    assert (tmp_path / "score.json").read_bytes() == (RECORDED / f"{name}.json").read_bytes()
