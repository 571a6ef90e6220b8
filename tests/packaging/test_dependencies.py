"""What pyproject.toml asks for is what the code imports, and its lower bounds are the versions that make test-oldest runs."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

import kit

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = CONFIG["project"]
EXTRAS = PROJECT["optional-dependencies"]
GROUPS = {"build": CONFIG["build-system"]["requires"], "dependencies": PROJECT["dependencies"], **EXTRAS}
IMPORT_NAMES = {
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "opencv-python-headless": "cv2",
    "umap-learn": "umap",
    "vl-convert-python": "vl_convert",
}
# Asked for and not imported by kit/ or kernels/.
NOT_IMPORTED = {
    "kaggle": "its command line is run",
    "six": "kaggle imports it and does not ask for it",
    "tensorboard": "torch.utils.tensorboard imports it",
    "s3fs": "fsspec imports it",
}
# Imported late, where they are found: what another package brings along, and rivals of the benches.
BROUGHT_ALONG = {
    "markupsafe": "jinja2",
    "PIL": "matplotlib",
    "fsspec": "s3fs and torch",
    "tensorstore": "kit.bench.store compares with it",
    "copairs": "kit.bench.measures compares with it",
    "pip": "every environment has it; kit wheels runs it",
}
UNTESTED_BOUNDS = {"torch"}  # the wheel at hand is one version


def name_and_bound(requirement: str) -> tuple[str, str, str]:
    """'moto[server]>=5.0' -> ('moto', '>=', '5.0')."""
    return re.match(r"([\w.-]+)(?:\[.*?\])?(>=|==)([\d.]+)", requirement).groups()


def imported() -> set[str]:
    """The top-level packages that kit/ and kernels/ import, anywhere in a file."""
    found = set()
    for folder in ("kit", "kernels"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"kit"}


def constraints(file: str) -> dict[str, str]:
    lines = (ROOT / "constraints" / file).read_text().splitlines()
    pins = [re.match(r"([\w.-]+)==([\w.+]+)", line) for line in lines if line and not line.startswith("#")]
    return {pin[1]: pin[2] for pin in pins}


def import_name(requirement: str) -> str:
    name = name_and_bound(requirement)[0]
    return IMPORT_NAMES.get(name, name.replace("-", "_"))


def test_each_dependency_is_imported_or_stays_for_a_reason():
    asked = [wish for group, wishes in GROUPS.items() if group not in ("build", "dev") for wish in wishes]
    used = imported()
    idle = [wish for wish in asked if import_name(wish) not in used and name_and_bound(wish)[0] not in NOT_IMPORTED]
    assert not idle, f"asked for, never imported by kit/ or kernels/: {idle}"


def test_each_import_is_asked_for():
    asked = {import_name(wish) for group, wishes in GROUPS.items() if group not in ("build", "dev") for wish in wishes}
    assert imported() - asked - set(BROUGHT_ALONG) == set()


def same(left: str, right: str) -> bool:
    """2.1 and 2.1.0 are one version."""
    numbers = [[int(part) for part in text.split(".")] for text in (left, right)]
    width = max(map(len, numbers))
    return len({tuple(row + [0] * (width - len(row))) for row in numbers}) == 1


@pytest.mark.parametrize("group", GROUPS)
def test_lower_bounds_are_the_versions_of_the_oldest_run(group):
    oldest = constraints("oldest.txt")
    bounds = [name_and_bound(wish) for wish in GROUPS[group]]
    wrong = [name for name, sign, bound in bounds if sign == ">=" and not same(bound, oldest.get(name, "0"))]
    assert set(wrong) <= UNTESTED_BOUNDS


def test_every_dependency_has_a_newest_version_that_was_run():
    newest = constraints("newest.txt")
    assert {name_and_bound(wish)[0] for wishes in GROUPS.values() for wish in wishes} <= set(newest)
    assert newest["torch"] == constraints("oldest.txt")["torch"] == "2.13.0"


def test_the_distribution_is_not_named_as_somebody_elses():
    assert PROJECT["name"] == "cellpaint-kit"
    assert PROJECT["scripts"] == {"kit": "kit.cli.main:main"}
    assert importlib.metadata.version("cellpaint-kit") == kit.__version__
