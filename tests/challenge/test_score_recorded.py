"""On the challenge's plates every line of output and key of score.json that was there in 0.1.0 is there unchanged."""

import json

import pytest

from tests.commands import kit_command

from .recorded_score import COMMANDS, RECORDED, write_features


@pytest.mark.parametrize("name", COMMANDS)
def test_the_challenge_scores_as_before(name, metadata, tmp_path, monkeypatch):
    write_features(tmp_path, metadata)
    monkeypatch.chdir(tmp_path)
    said = iter(kit_command(*COMMANDS[name].split()).stdout.splitlines(keepends=True))
    lost = [line for line in (RECORDED / f"{name}.txt").read_text().splitlines(keepends=True) if line not in said]  # in order
    assert not lost
    text = (RECORDED / f"{name}.json").read_text()
    now = like(json.loads(text), json.loads((tmp_path / "score.json").read_text()))
    assert json.dumps(now, indent=1) + "\n" == text


def like(then: object, now: object) -> object:
    """Return what is now, without the keys of objects that were not there then."""
    return {key: like(then[key], now[key]) for key in now if key in then} if isinstance(then, dict) else now
