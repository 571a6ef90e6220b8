"""Fixtures: a loopback Kaggle with credentials in the environment, and a submission with its manifest and local score."""

import hashlib
import json
import os

import pytest

from kit.profiles.manifest import manifest_path

from .loopback import Answers, environment, serve, stop

KEY = "a-key-that-no-one-may-see"


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    """A loopback Kaggle, credentials in the environment, nothing of the user's own; no request may go elsewhere."""
    answers = Answers()
    server = serve(answers)
    home = tmp_path / "home"
    home.mkdir()
    asking = environment(server, home, KEY)
    for name in set(os.environ) - set(asking):
        monkeypatch.delenv(name)
    for name, value in asking.items():
        monkeypatch.setenv(name, value)
    yield answers
    stop(server)
    assert {host.partition(":")[0] for host in answers.hosts} <= {"localhost", "127.0.0.1"}


@pytest.fixture
def submission(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_text("ID,a\n1,0.5\n2,1.5\n")
    write_manifest(path)
    (tmp_path / "score.json").write_text(json.dumps({"schema": 1, "mean": 0.4321, "n_features": 1, "chance": 1 / 306}))
    return path


def write_manifest(path, a=0.9, **changed):
    """Write the manifest of a submission as kit export would, made by one run and alignment."""
    steps = [
        {"step": "runs", "runs": {"fluo": {"config": {"model": {"dim": 96}}, "baseline": None}}},
        {"step": "align", "a": a},
    ]
    manifest = {
        "schema": 1,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "rows": 2,
        "ids": {"file": "metadata_test.csv", "sha256": "of-another"},
        "steps": steps,
        "uses_well_position": True,
        **changed,
    }
    manifest_path(path).write_text(json.dumps(manifest))
