"""The texts that three versions of the kaggle command line printed (record_kaggle.py) are read alike, whichever is installed."""

import json

import pytest

from kit.kaggle.answers import INTERRUPTED, QUOTA, Failure, accepted, find_failure, rules_hint, submission_ref
from kit.kaggle.credentials import CREDENTIALS_WAYS

from .loopback import MESSAGES
from .record import RECORDED, SCENARIOS

VERSIONS = json.loads(RECORDED.read_text())
ASK = (
    ". Check that challenge is the right competition (--competition), that it is open, and that you accepted its rules at "
    "https://www.kaggle.com/competitions/challenge/rules"
)
NO_CREDENTIALS = f"no Kaggle credentials, or they were not accepted: {CREDENTIALS_WAYS}"
EXPECTED = {
    "accepted": None,
    "not uploaded": "Kaggle did not accept the upload: Could not submit to competition; it was interrupted, try again",
    "create 403": f"Kaggle refused: {MESSAGES[403]}{ASK}",
    "listed": None,
    "none listed": None,
    "no credentials": NO_CREDENTIALS,
    **{f"submit {status}": f"Kaggle refused: {MESSAGES[status]}{ASK}" for status in (403, 404)},
    "submit 400": f"Kaggle refused: {MESSAGES[400]}. Kaggle counts days in UTC: the next one starts at 00:00 UTC",
    **{f"list {status}": f"Kaggle refused: {MESSAGES[status]}{ASK}" for status in (403, 404)},
    **{f"{verb} 401": NO_CREDENTIALS for verb in ("submit", "list")},
    **{f"{verb} 429": f"Kaggle refused: {MESSAGES[429]}. Wait a few minutes and try again" for verb in ("submit", "list")},
    **{
        f"{verb} 500": f"Kaggle failed: {MESSAGES[500]}. The fault is on Kaggle's side: try again later"
        for verb in ("submit", "list")
    },
}


def reason(code: int, stdout: str, stderr: str) -> str | None:
    failure = find_failure(code, stdout, stderr)
    return None if failure is None else failure.text(rules_hint("challenge"))


def read(answer: dict) -> str | None:
    return reason(answer["code"], answer["stdout"], answer["stderr"])


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_failure_is_the_servers_message_in_one_line(version, name):
    assert read(VERSIONS[version][name]) == EXPECTED[name]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_answer_to_a_submission_is_the_servers(version):
    assert accepted(VERSIONS[version]["accepted"]["stdout"]) == "Successfully submitted to the challenge"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_that_cannot_be_reached_asks_for_no_rules(version):
    line = read(VERSIONS[version]["unreachable"])
    assert line.startswith("Kaggle cannot be reached: HTTPConnectionPool(host='127.0.0.1'")
    assert "\n" not in line
    assert "rules" not in line


def test_the_versions_differ_and_each_has_every_scenario():
    assert set(VERSIONS) == {"1.8.4", "2.2.4", "2.2.5"}
    assert all(set(answers) == set(SCENARIOS) for answers in VERSIONS.values())
    assert len({json.dumps(answers["submit 403"]) for answers in VERSIONS.values()}) == 3
    assert {version: answers["not uploaded"]["code"] for version, answers in VERSIONS.items()} == {
        "1.8.4": 0,
        "2.2.4": 0,
        "2.2.5": 1,
    }


def test_what_breaks_in_the_command_itself_is_no_refusal():
    crash = "TypeError: 'NoneType' object\n\nIf this is unexpected, you can re-run with `kaggle --debug [command]` to see more."
    assert reason(1, "", crash) == "the kaggle command failed: TypeError: 'NoneType' object"
    trace = "Traceback (most recent call last):\n  File \"kaggle\", line 5\n\nModuleNotFoundError: No module named 'six'\n"
    assert reason(1, "", trace) == "the kaggle command failed: ModuleNotFoundError: No module named 'six'"
    assert reason(1, "", "") == "the kaggle command failed: no message"


def test_a_warning_before_the_message_is_no_message():
    warned = "Warning: Your Kaggle API key is readable by other users on this system!\nNot found\n"
    assert reason(1, warned, "") == f"Kaggle refused: Not found{ASK}"


def test_a_description_is_no_failure():
    rows = "fileName,date,description,status\nsubmission.csv,2026-01-01,Could not submit to competition,COMPLETE\n"
    assert reason(0, rows, "") is None


@pytest.mark.parametrize("version", VERSIONS)
def test_what_failed_before_the_upload_or_in_it_is_tried_again_and_what_came_after_never(version):
    answers = VERSIONS[version]
    found = {name: find_failure(a["code"], a["stdout"], a["stderr"]) for name, a in answers.items()}
    again = {name for name, failure in found.items() if failure and failure.may_pass}
    assert again == {"submit 429", "submit 500", "list 429", "list 500", "not uploaded", "unreachable"}
    assert not any(failure and failure.is_unsure for failure in found.values())
    after = answers["create 403"]
    for said in ("Internal error", "HTTPSConnectionPool(host='x'): Read timed out", "502 Server Error: Bad Gateway"):
        lost = find_failure(1, after["stdout"].replace(MESSAGES[403], said), after["stderr"].replace(MESSAGES[403], said))
        assert (lost.is_unsure, lost.may_pass) == (True, False), said
    ended = Failure(kind=INTERRUPTED, message="no answer for 300 s", began=True)  # by kit, at whatever point
    assert (ended.is_unsure, ended.may_pass) == (True, False)
    full = find_failure(
        1, after["stdout"].replace(MESSAGES[403], MESSAGES[429]), after["stderr"].replace(MESSAGES[403], MESSAGES[429])
    )
    assert (full.is_unsure, full.may_pass) == (False, False)


def test_failures_that_exit_with_zero():
    old = "Could not find competition - please verify that you entered the correct competition ID.\n"
    assert reason(0, old, "").startswith("Kaggle refused: Could not find competition - please verify")
    used = "Dataset creation error: The requested slug is in use.\n"
    assert find_failure(0, used, "").text() == "Kaggle refused: The requested slug is in use"
    assert find_failure(0, "Kernel push error: Notebook not found\n", "").text() == "Kaggle refused: Notebook not found"
    lost = find_failure(
        0, "Starting upload for file a.zip\nUpload unsuccessful: a.zip\nYour private Dataset is being created\n", ""
    )
    assert (lost.kind, lost.message) == (INTERRUPTED, "Upload unsuccessful: a.zip")


def test_the_ways_to_say_that_the_day_is_used_up():
    for said in ("Your team has used its daily Submission allowance (5) today, please try again tomorrow UTC",
                 "daily limit of 5 reached", "Maximum number of submissions reached"):  # fmt: skip
        assert find_failure(1, "", said).kind == QUOTA, said


def test_the_number_of_a_submission_is_a_line_of_its_own():
    assert submission_ref("Submission ref: 51234567\n4 submissions remaining today.\nSuccessfully submitted") == "51234567"
    assert submission_ref("Successfully submitted; Submission ref: 5") is None
