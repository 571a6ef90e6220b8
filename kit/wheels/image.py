"""What a machine has installed: the list of its packages, as pip prints it."""

import re
from dataclasses import dataclass
from pathlib import Path

from kit.errors import UsageError
from kit.files import existing_file

KAGGLE = Path(__file__).with_name("kaggle_image.txt")
GLIBC = 35  # minor version of the glibc 2.x that is assumed where a list does not say: that of Kaggle's image
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.+!_-]+)")


@dataclass(frozen=True)
class Image:
    """A machine's packages by canonical name, and what the comments of its list say of it."""

    packages: dict[str, str]  # name -> version
    python: str = ""  # 3.12
    glibc: int = GLIBC  # 35 for 2.35
    date: str = ""


NOTHING = Image({})


def canonical(name: str) -> str:
    """Return a package's name as indexes compare it: Jinja2 and jinja2, tomli_w and tomli-w are one."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_image(path: Path) -> Image:
    """Return what a file of `pip list --format=freeze` lists; comments `# python 3.12`, `# glibc 2.35` and `# date ...` count.

    Raises:
        UsageError: no such file, no package in it, or a line that is not NAME==VERSION.
    """
    packages: dict[str, str] = {}
    said: dict[str, str] = {}
    for number, line in enumerate(existing_file(path).read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        line = line.strip()
        if line.startswith("#"):
            word, _, value = line.lstrip("# ").partition(" ")
            said.setdefault(word, value)
        elif line:
            found = _LINE.fullmatch(line)
            if found is None:
                raise UsageError(f"{path}, line {number}: {line[:60]!r} is not NAME==VERSION; "
                                 "make the list with: pip list --format=freeze")  # fmt: skip
            packages[canonical(found[1])] = found[2]
    if not packages:
        raise UsageError(f"{path} lists no package; make it with: pip list --format=freeze")
    glibc = re.fullmatch(r"2\.(\d+)", said.get("glibc", ""))
    return Image(packages, said.get("python", ""), int(glibc[1]) if glibc else GLIBC, said.get("date", ""))
