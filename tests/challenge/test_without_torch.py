"""Export, check, score, report and submit do their work where torch cannot be imported."""

import subprocess
import sys

WALK = """
import sys
sys.modules["torch"] = None  # any import of it fails from here on
from pathlib import Path
from kit.challenge.check import check
from kit.challenge.export import export
from kit.challenge.score import score, scores_text
from kit.kaggle.plan import prepare
import kit.kaggle.submit, kit.kaggle.submissions, kit.report.page
folder, metadata, ids = map(Path, sys.argv[1:])
export(folder / "features.csv", ids, folder / "submission.csv")
print(check(folder / "submission.csv", ids).rows)
print(scores_text(score([folder / "submission.csv"], metadata, ids=ids)))
print(prepare(folder / "submission.csv", "m").text())
assert not [name for name in sys.modules if name.startswith("torch.")]
"""


def test_the_way_to_kaggle_needs_no_torch(table, metadata, ids, tmp_path):
    table.to_csv(tmp_path / "features.csv", index=False)
    done = subprocess.run([sys.executable, "-c", WALK, tmp_path, metadata, ids], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("84\n")
    assert "chance" in done.stdout
