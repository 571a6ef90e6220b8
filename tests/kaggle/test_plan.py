"""What is checked of a submission before anybody is asked: columns, IDs, values, the manifest, the local score."""

import hashlib
import json

import pytest

from kit.errors import KitError
from kit.kaggle.plan import prepare
from kit.profiles.manifest import manifest_path

from .conftest import write_manifest

IDS = "ID,Metadata_Plate,Metadata_Well\n1,p,A01\n2,p,A02\n"


def test_a_manifest_that_fits_vouches_for_the_ids(submission):
    plan = prepare(submission, "m")
    assert plan.contents.said == "2 rows x 1 feature, IDs and values as kit export checked them"
    assert plan.warnings == [
        "these features use the well position (--align): their local score says little about the compounds' effects"
    ]
    assert plan.competition == "cell-line-transferability-challenge-cvdd"


def test_with_ids_the_file_is_read_unless_they_are_the_manifests(submission, tmp_path):
    ids = tmp_path / "metadata_test.csv"
    ids.write_text(IDS)
    assert f"every ID of {ids} once, in order" in prepare(submission, "m", ids=ids).contents.said
    write_manifest(submission, ids={"file": ids.name, "sha256": hashlib.sha256(IDS.encode()).hexdigest()})
    assert "as kit export checked" in prepare(submission, "m", ids=ids).contents.said
    ids.write_text(IDS.replace("2,p", "3,p"))
    with pytest.raises(KitError, match="lacks ID '3'"):
        prepare(submission, "m", ids=ids)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "has no column ID"),
        ("ID,a\n", "has no row below its header"),
        ("ID,a\n1,0.5\n1,1\n", "ID '1' appears in 2 rows"),
        ("ID,a\n1,0.5\n2,nan\n", "a of ID 2 is nan; need a finite number"),
        ("ID\n1\n", "has no feature column beside ID"),
    ],
)
def test_without_manifest_and_ids_what_can_be_checked_is(tmp_path, text, said):
    path = tmp_path / "other.csv"
    path.write_text(text)
    with pytest.raises(KitError, match=said):
        prepare(path, "m")
    path.write_text("ID,a\n1,0.5\n2,1\n")
    plan = prepare(path, "m")
    assert plan.contents.said == "2 rows x 1 feature, every value finite"
    assert any("were not compared with the challenge's: give --ids" in warning for warning in plan.warnings)


def test_what_is_no_file_or_message_is_refused(submission, tmp_path):
    with pytest.raises(KitError, match="does not exist"):
        prepare(tmp_path / "none.csv", "m")
    with pytest.raises(KitError, match="--message is empty"):
        prepare(submission, " ")


def test_a_manifest_of_another_file_is_not_recorded(submission):
    submission.write_text("ID,a\n1,0.75\n")
    plan = prepare(submission, "m")
    assert plan.contents.manifest is None
    assert any("changed after its manifest" in warning for warning in plan.warnings)
    manifest_path(submission).unlink()
    assert any("no manifest" in warning for warning in prepare(submission, "m").warnings)


def test_the_local_score_is_of_this_file(submission, tmp_path):
    path = tmp_path / "score.json"
    assert prepare(submission, "m").text().endswith("local score: 43.2 %, its null - %, chance 0.3 %")
    path.write_text(json.dumps({"mean": 0.5, "n_features": 384, "chance": 0.1, "null": {"value": 0.012}}))
    plan = prepare(submission, "m")
    assert plan.text().endswith("local score: 50.0 %, its null 1.2 %, chance 10.0 %")
    assert "scored 384 features and submission.csv has 1: is it the score of another file?" in plan.warnings[-1]
    write_manifest(submission, columns_made_by={"step": "rotate"})
    assert "384" not in prepare(submission, "m").warnings[-1], "rotated after scoring"
    write_manifest(submission, source={"file": "wells.parquet"})
    path.write_text(json.dumps({"files": {"a/raw.parquet": {"mean": 0.1}, "a/wells.parquet": {"mean": 0.2}}}))
    assert prepare(submission, "m").score == {"mean": 0.2}
    write_manifest(submission)
    assert "does not hold a score of submission.csv" in prepare(submission, "m").warnings[-1]
    path.write_text("{")
    with pytest.raises(KitError, match="is damaged"):
        prepare(submission, "m")
    path.unlink()
    assert "no score.json beside submission.csv" in prepare(submission, "m").warnings[-1]
