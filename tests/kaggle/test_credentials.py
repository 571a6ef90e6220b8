"""Where credentials are found, and that none of them is shown."""

import base64
import json

from kit import doctor
from kit.kaggle.credentials import CREDENTIALS_WAYS, find_credentials, without_secrets


def test_every_place_of_credentials_is_looked_at(tmp_path, monkeypatch):
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "XDG_CONFIG_HOME", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", "")  # as not set
    for name in (".config/kaggle/kaggle.json", "own/kaggle.json", "token", ".kaggle/access_token.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
    assert find_credentials() == ""
    (tmp_path / ".config/kaggle/kaggle.json").touch()
    assert find_credentials() == "", "where ~/.kaggle is there, kaggle looks nowhere else"
    (tmp_path / ".kaggle").rmdir()
    assert find_credentials() == "kaggle.json"
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "own"))
    assert find_credentials() == ""
    monkeypatch.setenv("KAGGLE_API_V1_TOKEN", str(tmp_path / "token"))
    (tmp_path / "token").touch()
    assert find_credentials() == "", "a notebook's token counts in a notebook"
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    assert find_credentials() == "token"
    monkeypatch.delenv("KAGGLE_API_V1_TOKEN")
    (tmp_path / ".kaggle").mkdir()
    (tmp_path / ".kaggle/access_token.txt").touch()
    assert find_credentials() == "access_token.txt"


def test_doctor_names_the_same_ways_and_never_a_value(tmp_path, monkeypatch):
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert doctor._kaggle() == f"absent: {CREDENTIALS_WAYS}"
    (tmp_path / ".kaggle").mkdir()
    for name in ("credentials.json", "kaggle.json", "access_token"):  # each is asked before those above it
        (tmp_path / ".kaggle" / name).write_text("secret")
        assert doctor._kaggle() == f"present ({name})"
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", "secret")
    assert doctor._kaggle() == "present (KAGGLE_USERNAME and KAGGLE_KEY)"


def test_no_credential_is_shown_wherever_it_comes_from(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KAGGLE_CONFIG_DIR", raising=False)
    monkeypatch.setenv("KAGGLE_API_TOKEN", "token-of-the-environment")
    folder = tmp_path / ".kaggle"
    folder.mkdir()
    (folder / "kaggle.json").write_text(json.dumps({"username": "someone", "key": "key-of-the-file"}))
    (folder / "access_token").write_text("token-of-the-file\n")
    (folder / "credentials.json").write_text(json.dumps({"username": "someone", "refresh_token": "token-of-the-login"}))
    basic = base64.b64encode(b"someone:key-of-the-file").decode()
    shown = without_secrets(f"token-of-the-environment key-of-the-file token-of-the-file token-of-the-login {basic}")
    assert shown == "*** *** *** *** ***"
    assert without_secrets("{'Authorization': 'Bearer unknown.token-1'}") == "{'Authorization': 'Bearer ***'}"
    (tmp_path / "elsewhere").write_text("token-of-another-file")
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(tmp_path / "elsewhere"))
    assert without_secrets("token-of-another-file") == "***"
    signed = "Max retries exceeded with url: /upload/a.csv?upload_id=x&sig=y (Caused by"
    assert without_secrets(signed) == "Max retries exceeded with url: /upload/a.csv?*** (Caused by"
    assert without_secrets("What failed? someone asked") == "What failed? someone asked"
