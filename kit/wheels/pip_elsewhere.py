"""Run pip as on another machine: python pip_elsewhere.py '{"installed": FOLDER, "python": "3.12"}' PIP'S ARGUMENTS

pip's --python-version chooses wheels by their tags, but reads conditions such as `python_version < "3.12"` by the Python that
runs it, and what is installed from that Python's folders. Here both are the other machine's.
"""

import json
import sys

import pip._vendor.packaging.markers as markers
from pip._internal.cli.main import main


def become(installed: str, python: str) -> None:
    """Let pip take this process for one of that Python on Linux, x86_64, with what the folder `installed` lists."""
    there = {
        **markers.default_environment(),
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_system": "Linux",
        "sys_platform": "linux",
        "os_name": "posix",
        "platform_machine": "x86_64",
    }
    markers.default_environment = lambda: there  # type: ignore[assignment, return-value]  # the same keys, of which pip has a class
    own = [path for path in sys.path if not path.rstrip("/").endswith(("site-packages", "dist-packages"))]
    sys.path[:] = [*own, installed]


if __name__ == "__main__":
    become(**json.loads(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
