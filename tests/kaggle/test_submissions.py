"""The table of past submissions: whose row of Kaggle's list is whose, the difference of the scores, what changed."""

import json
import tomllib

import pytest

from kit.errors import KitError
from kit.kaggle import submissions as module
from kit.kaggle.answers import REFUSED, Failure
from kit.kaggle.changes import changes
from kit.kaggle.command import Refused
from kit.kaggle.competition import identity
from kit.kaggle.record import Record, new_record, read_record
from kit.kaggle.submissions import submissions

STEPS = [{"step": "runs", "runs": {"fluo": {"config": {"model": {"dim": 96}}}}}, {"step": "align", "a": 0.9}]
ROW = {"ref": "7", "fileName": "s.csv", "description": "m", "date": "2026-01-01 00:00:07", "status": "SubmissionStatus.COMPLETE"}


@pytest.fixture
def listed(monkeypatch):
    """What Kaggle lists, or the error that it fails with."""
    rows: list = []

    def answer(competition):
        if rows and isinstance(rows[0], Exception):
            raise rows[0]
        return rows

    monkeypatch.setattr(module, "list_submissions", answer)
    return rows


def record(records, score=0.4, steps=STEPS, **submission):
    table = {"file": "s.csv", "message": "m", "competition": "c", "sha256": "0", **submission}
    return new_record(table["file"], table, steps, None if score is None else {"mean": score}, None, records)


def test_a_row_is_found_by_the_servers_number_not_by_name_and_message(listed, tmp_path):
    first, second = record(tmp_path, ref="7"), record(tmp_path, ref="8")  # the same name and message
    listed += [{**ROW, "ref": "8", "publicScore": "0.45"}, {**ROW, "publicScore": "0.39"}]
    lines = [line for line in submissions(records=tmp_path).splitlines() if "s.csv" in line]
    assert [line.split()[:5] for line in lines] == [
        [second.name, "40.0", "-", "0.45", "+5.0"],
        [first.name, "40.0", "-", "0.39", "-1.0"],
    ]
    assert second.name == f"{first.name}-2"


def test_without_a_number_the_servers_date_decides(listed, tmp_path):
    old = {key: value for key, value in ROW.items() if key != "ref"}
    record(tmp_path, date="2026-01-01 00:00:09")
    listed += [{**old, "publicScore": "0.39"}]
    assert "0.39" not in submissions(records=tmp_path)
    listed += [{**old, "date": "2026-01-01 00:00:09", "publicScore": "0.41"}]
    assert " 0.41 " in submissions(records=tmp_path)
    assert identity(ROW) == ("7",)
    assert identity(old) == ("s.csv", "m", "2026-01-01 00:00:07")


def test_records_of_earlier_versions_go_by_name_and_message():
    earlier = Record(path=None, submission={"file": "s.csv", "message": "m"}, steps=[], score={})
    assert earlier.is_row(ROW)
    assert not earlier.is_row({**ROW, "description": "another"})


def test_a_final_score_is_kept_and_shown_without_kaggle(listed, tmp_path):
    path = record(tmp_path, ref="7")
    listed += [{**ROW, "status": "SubmissionStatus.PENDING", "publicScore": ""}]
    assert " pending " in submissions(records=tmp_path)
    assert "public_score" not in tomllib.loads((path / "run.toml").read_text())["submission"]
    listed[0] = {**ROW, "publicScore": "0.39"}
    submissions(records=tmp_path)
    assert tomllib.loads((path / "run.toml").read_text())["submission"]["public_score"] == "0.39"
    listed[0] = Refused(Failure(kind=REFUSED, message="closed"))
    table = submissions(records=tmp_path)
    assert " 0.39 " in table
    assert "public scores as last recorded: Kaggle refused: closed" in table.splitlines()[-1]


def test_kaggle_may_count_in_per_cent(listed, tmp_path):
    record(tmp_path, ref="7")
    listed += [{**ROW, "publicScore": "39.1"}]
    lines = submissions(records=tmp_path).splitlines()
    assert lines[1].split()[1:5] == ["40.0", "-", "39.1", "-0.9"]
    assert lines[2].startswith("difference: public less local, in points; the local score is of other wells")


def test_what_changed_stands_below(listed, tmp_path):
    record(tmp_path, steps=STEPS)
    record(tmp_path, steps=[STEPS[0], {"step": "align", "a": 0.7}, {"step": "l2"}])
    record(tmp_path, steps=[STEPS[0], {"step": "align", "a": 0.7}, {"step": "l2"}])
    lines = [line for line in submissions(records=tmp_path).splitlines() if line.startswith("    changed")]
    assert lines == ["    changed: nothing that the manifests record", "    changed: with l2, align.a 0.9 -> 0.7"]


def test_changes_of_steps():
    bigger = [{"step": "runs", "runs": {"fluo": {"config": {"model": {"dim": 384}}}}}, STEPS[1]]
    assert changes(STEPS, bigger) == "fluo.model.dim 96 -> 384"
    assert changes(STEPS, [*STEPS, {"step": "whiten", "mode": "tvn", "ridge": 0.1}]) == "with whiten (mode tvn, ridge 0.1)"
    assert changes(STEPS, STEPS[:1]) == "without align"
    assert changes(STEPS, [*STEPS, STEPS[1]]) == "with align#2 (a 0.9)"
    assert changes(STEPS, STEPS) == ""
    many = [{"step": "x", **{f"k{i}": 1 for i in range(9)}}], [{"step": "x", **{f"k{i}": 2 for i in range(9)}}]
    assert changes(*many).endswith("x.k5 1 -> 2 and 3 more")


def test_the_null_of_a_local_score_stands_beside_it(listed, tmp_path):
    path = record(tmp_path)
    null = {"value": 0.0123, "final_features_only": False}
    (path / "score.json").write_text(json.dumps({"mean": 0.4321, "null": null}))
    assert " 43.2    1.2 " in submissions(records=tmp_path)
    null |= {"final_features_only": True, "note": "null of the final features only: why"}
    (path / "score.json").write_text(json.dumps({"mean": 0.4321, "null": null}))
    lines = submissions(records=tmp_path).splitlines()
    assert " 43.2   1.2* " in lines[1]
    assert lines[2] == "* null of the final features only: why"


def test_a_damaged_record_hides_no_other(listed, tmp_path):
    assert "no submission recorded" in submissions(records=tmp_path)
    record(tmp_path)
    for name, text in {"2020-bad": "[submission", "2020-empty": "[submission]\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.toml").write_text(text)
    lines = submissions(records=tmp_path).splitlines()
    assert " 40.0 " in lines[1]
    assert ["bad is not a readable record" in line or "empty is not a readable record" in line for line in lines[-2:]] == [
        True
    ] * 2
    with pytest.raises(KitError, match="not a readable record: 'file'"):
        read_record(tmp_path / "2020-empty")
