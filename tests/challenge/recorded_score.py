"""Command lines whose output and score.json users have had since 0.1.0, with what they gave then (tests/challenge/recorded)."""

from pathlib import Path

from .conftest import make_table

RECORDED = Path(__file__).parent / "recorded"
COMMANDS = {  # run in a folder that has what `write_features` writes
    "two_lines": "score two_lines.csv --metadata metadata --seeds 2 --json score.json",
    "one_line": "score two_lines.csv one_line.parquet --metadata metadata --label pert_iname --cross all --k 3 --json score.json",
}


def write_features(folder: Path, metadata: Path) -> None:
    make_table().to_csv(folder / "two_lines.csv", index=False)
    make_table(["U1", "U2"], seed=1).to_parquet(folder / "one_line.parquet")
    (folder / "metadata").symlink_to(metadata)
