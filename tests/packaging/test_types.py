"""`make lint` checks types: what mypy is told, and that nothing is waved through without a word."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
JITTED = {"kit.kernels.device_triton", "kit.kernels.view_triton"}
A_REASON = re.compile(r"# type: ignore\[[a-z-]+(, [a-z-]+)*\]  # \w")


def unexplained(text: str) -> list[int]:
    """The lines that silence the type checker without saying which complaint and why."""
    return [n for n, line in enumerate(text.splitlines(), 1) if "type: ignore" in line and not A_REASON.search(line)]


def test_every_silenced_line_says_which_complaint_and_why():
    sources = [path for folder in ("kit", "kernels") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 150
    assert {str(path): lines for path in sources if (lines := unexplained(path.read_text()))} == {}


def test_the_check_can_fail():
    assert unexplained("x = f(a)  # type: ignore[arg-type]  # the stub names two of three kinds") == []
    assert unexplained("a\nx = f(a)  # type: ignore\n") == [2]
    assert unexplained("x = f(a)  # type: ignore[arg-type]") == [1]


def test_mypy_checks_every_function_and_hides_no_error():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert settings["disallow_untyped_defs"]
    assert settings["check_untyped_defs"]
    assert settings["warn_unused_ignores"]
    assert settings["enable_error_code"] == ["ignore-without-code"]
    assert not {"ignore_errors", "disable_error_code", "exclude", "follow_imports"} & {
        key for table in (settings, *settings["overrides"]) for key in table
    }
    untyped = [table["module"] for table in settings["overrides"] if table.get("disallow_untyped_defs") is False]
    assert {module for modules in untyped for module in modules} == JITTED
    assert {key for table in settings["overrides"] for key in table} == {
        "module",
        "disallow_untyped_defs",
        "ignore_missing_imports",
    }
