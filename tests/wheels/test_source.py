"""The compiled wheel goes out only if auditwheel grants it the machine's glibc; a made auditwheel stands in."""

import pytest

from kit.errors import KitError, UsageError
from kit.wheels.source import Builder
from tests.wheels.made import made_wheel

GRANTS = """
import shutil, sys
repair, flag, platform, out_flag, out, wheel = sys.argv[1:]
assert (repair, flag, out_flag) == ("repair", "--plat", "-w")
if platform != "manylinux_2_35_x86_64":
    sys.exit(f"cannot repair to {platform}: too-recent versioned symbols")
shutil.copytree(wheel.rpartition("/")[0], out)
shutil.move(f"{out}/{wheel.rpartition('/')[2]}", f"{out}/kit-{platform}.whl")
"""


@pytest.fixture
def builder(tmp_path, monkeypatch):
    """A builder whose wheel is made already."""
    (tmp_path / "source" / "kit-1.0").mkdir(parents=True)
    switches = []

    def build(self, what, tree, out, given):
        switches.append((what, tree.name, given["KIT_CPU_EXT"]))
        return made_wheel(out, "kit", "1.0", tag="cp311-cp311-linux_x86_64").name

    monkeypatch.setattr(Builder, "_build", build)
    yield Builder(tmp_path)
    assert switches in ([], [("build_wheel", "kit-1.0", "1")])


def test_a_compiled_wheel_needs_the_grant(builder, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="--binary needs auditwheel"):
        builder.binary_wheel(tmp_path, 35)


@pytest.mark.parametrize("glibc", [35, 31])
def test_what_is_granted_goes_out_and_nothing_else(builder, tmp_path, monkeypatch, glibc):
    tools, out = tmp_path / "tools", tmp_path / "out"
    tools.mkdir()
    out.mkdir()
    (tools / "auditwheel.py").write_text(GRANTS)
    monkeypatch.syspath_prepend(tools)
    monkeypatch.setenv("PYTHONPATH", str(tools))
    if glibc == 35:
        assert builder.binary_wheel(out, glibc) == out / "kit-manylinux_2_35_x86_64.whl"
    else:
        with pytest.raises(
            KitError, match=r"glibc 2\.31; leave out --binary: cannot repair to manylinux_2_31_x86_64: too-recent"
        ):
            builder.binary_wheel(out, glibc)
    assert [path.name for path in out.iterdir()] == (["kit-manylinux_2_35_x86_64.whl"] if glibc == 35 else [])
