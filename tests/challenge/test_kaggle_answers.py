"""The texts that three versions of the kaggle command line printed (record_kaggle.py) are read alike, whichever is installed."""

import json

import pytest

from kit.challenge.kaggle_answers import CREDENTIALS_WAYS, accepted, reason

from .loopback import MESSAGES
from .record_kaggle import RECORDED, SCENARIOS

VERSIONS = json.loads(RECORDED.read_text())
ASK = (
    ". Check that challenge is the right competition (--competition), that it is open, and that you accepted its rules at "
    "https://www.kaggle.com/competitions/challenge/rules"
)
NO_CREDENTIALS = f"no Kaggle credentials, or they were not accepted: {CREDENTIALS_WAYS}"
EXPECTED = {
    "accepted": None,
    "not uploaded": "Kaggle did not accept the submission: Could not submit to competition; "
    "the upload was interrupted, try again",
    "create 403": f"Kaggle refused: {MESSAGES[403]}{ASK}",
    "listed": None,
    "none listed": None,
    "no credentials": NO_CREDENTIALS,
    **{f"submit {status}": f"Kaggle refused: {MESSAGES[status]}{ASK}" for status in (400, 403, 404)},
    **{f"list {status}": f"Kaggle refused: {MESSAGES[status]}{ASK}" for status in (403, 404)},
    **{f"{verb} 401": NO_CREDENTIALS for verb in ("submit", "list")},
    **{f"{verb} 429": f"Kaggle refused: {MESSAGES[429]}. Wait a few minutes and try again" for verb in ("submit", "list")},
    **{
        f"{verb} 500": f"Kaggle failed: {MESSAGES[500]}. The fault is on Kaggle's side: try again later"
        for verb in ("submit", "list")
    },
}


def read(answer: dict) -> str | None:
    return reason(answer["code"], answer["stdout"], answer["stderr"], "challenge")


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
    assert reason(1, "", crash, "challenge") == "the kaggle command failed: TypeError: 'NoneType' object"
    trace = "Traceback (most recent call last):\n  File \"kaggle\", line 5\n\nModuleNotFoundError: No module named 'six'\n"
    assert reason(1, "", trace, "challenge") == "the kaggle command failed: ModuleNotFoundError: No module named 'six'"
    assert reason(1, "", "", "challenge") == "the kaggle command failed: no message"


def test_a_warning_before_the_message_is_no_message():
    warned = "Warning: Your Kaggle API key is readable by other users on this system!\nNot found\n"
    assert reason(1, warned, "", "challenge") == f"Kaggle refused: Not found{ASK}"


def test_a_description_is_no_failure():
    rows = "fileName,date,description,status\nsubmission.csv,2026-01-01,Could not submit to competition,COMPLETE\n"
    assert reason(0, rows, "", "challenge") is None
