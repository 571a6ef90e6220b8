"""The child process that runs kaggle: it does not outlive kit, however kit ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

KIT = """
import sys
from pathlib import Path
sys.executable = sys.argv[1]  # beside which the command is
from kit.kaggle.command import run
run(["competitions", "submit"])
"""
KAGGLE = """#!/bin/sh
exec 9>"$(dirname "$0")/said"
echo sending >&9
sleep 20 9>&-
echo sent >&9
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends the child, where it is Linux")
def test_an_upload_ends_with_a_kit_that_is_killed(tmp_path):
    (tmp_path / "python").symlink_to(sys.executable)
    script, said = tmp_path / "kaggle", tmp_path / "said"
    script.write_text(KAGGLE)
    script.chmod(0o755)
    os.mkfifo(said)
    command = [sys.executable, "-c", KIT, tmp_path / "python"]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as kit, said.open() as heard:
        assert heard.readline() == "sending\n"
        kit.send_signal(signal.SIGKILL)
        assert heard.read() == ""  # up to its end
    assert kit.returncode == -signal.SIGKILL
