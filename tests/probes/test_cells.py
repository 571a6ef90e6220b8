"""kit benchmark cell-dino-cells: made cells whose class a head can see, and what it says of bad input."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.probes.cells import cell_dino_cells, cells_text
from kit.probes.images import Plan
from kit.probes.training import Schedule
from tests.commands import kit_command


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Write 80 cells of 24 px on four plates, of two classes: striped and plain; return how to write their table."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    label_N = np.arange(80) % 2
    images = rng.integers(0, 60, (80, 1, 24, 24)).astype(np.uint8)
    images[label_N == 0, :, ::2] += 150
    np.savez("x.npz", images=images)
    table = pd.DataFrame({"class": np.where(label_N == 0, "striped", "plain"), "plate": [f"P{i // 20}" for i in range(80)]})
    return lambda **columns: table.assign(**columns).to_csv("x.csv", index=False)


def test_a_head_sees_the_class(made, monkeypatch, capsys):
    monkeypatch.delenv("KIT_QUIET", raising=False)
    made()
    heads, network = (Schedule(epochs=1, least_steps=steps, rates=(1e-2,), decays=(1e-4,)) for steps in (40, 3))
    plan = Plan(seeds=[0], shares=(0.2, 1.0), schedule=heads, network=network)
    found = cell_dino_cells(Path("x.npz"), Path("x.csv"), label="class", leave_out="plate", plan=plan)
    shown = capsys.readouterr().err
    assert re.search(r"seed 1 of 1: embed: 100%.* 400/400 .*crop", shown), "five crops of each of 80 cells"
    assert re.search(r"seed 1 of 1: heads: 100%.* 8/8 .*model", shown)
    rows = ["linear", "two layers", "attention, five heads", "trained whole"]
    assert list(found["rows"]) == [f"random weights: {row}" for row in rows]
    linear = found["rows"]["random weights: linear"]["1"]["mean"]
    assert linear > 0.75
    said = cells_text(found).splitlines()
    assert said[0].split() == ["macro-F1", "20", "%", "labels", "100", "%", "labels"]
    assert said[1].split()[-1] == f"{linear:.3f}"
    assert said[5].startswith("chance 0.500: each class named as often")
    assert (
        said[6] == "80 images of 2 classes (class, one class each), 16 px crops; of 4 groups (plate) a fifth is tested; one seed"
    )


@pytest.mark.parametrize(
    ("options", "columns", "said", "code"),
    [
        (["--label", "moa"], {}, "--label is given 2 times", 2),
        (["--shares", "0,10"], {}, "--shares 0,10: need percents above 0 and at most 100, such as 1,10,100", 2),
        (["--crop", "20"], {}, "--crop 20: need a multiple of the patch, 8 px, no larger than the images, 24 px", 2),
        ([], {"class": "striped"}, "--label class: need two classes of two images each; striped alone has them", 1),
        ([], {"class": ""}, "--label class: need two classes of two images each; none has them", 1),
        ([], {"plate": "P1"}, "--leave-out plate: all labelled images are of P1; need two", 1),
        (["--weights", "none.safetensors"], {}, "none.safetensors does not exist", 1),
    ],
)
def test_what_it_refuses(made, options, columns, said, code):
    made(**columns)
    words = ("cell-dino-cells", "x.npz", "x.csv", "--label", "class", "--leave-out", "plate", *options)
    assert said in kit_command("benchmark", *words, code=code).stderr
