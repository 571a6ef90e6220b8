"""A page of docs followed to the letter: its commands, files, snippets and quoted outputs.

What a block is follows from its fence: none, commands of kit; `sh`, commands that a test cannot run, whose words are checked;
`text`, what they print, or files that lie there; `csv`, the first lines of the file named before it; `python`, a snippet.
"""

import contextlib
import io
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from kit.cli.main import cli
from tests.commands import kit_command

DOCS = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True)
class Block:
    """A fenced block: what its fence says, its text, and the tables named in the prose since the block before."""

    kind: str
    text: str
    tables: list[str]

    def lines(self) -> list[str]:
        return self.text.splitlines()

    def commands(self) -> list[list[str]]:
        """Return the words of each command line."""
        return [words for line in self.text.replace("\\\n", " ").splitlines() if (words := shlex.split(line, comments=True))]


def sections(page: Path) -> dict[str, list[Block]]:
    """Return the blocks of each section of a page, by the first word of its heading."""
    found = {}
    for part in re.split(r"^## ", page.read_text(), flags=re.MULTILINE)[1:]:
        pieces = re.split(r"^```(\w*)\n(.*?)^```$", part, flags=re.MULTILINE | re.DOTALL)
        blocks = [
            Block(kind, text, re.findall(r"`([\w/.-]+\.csv)`", prose))
            for prose, kind, text in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=False)
        ]
        found[part.split()[0].rstrip(".,")] = blocks
    return found


class Walk:
    """Follows a page in one folder. differs: what differs from machine to machine, or from the page's plates to the test's."""

    def __init__(self, folder: Path, differs: re.Pattern) -> None:
        self.folder, self.differs = folder, differs
        self.names: dict[str, object] = {}

    def follow(self, blocks: list[Block]) -> str:
        """Run blocks in order, see that they do what the page says, and return all they printed."""
        said, everything, last, tables = "", "", "prose", []
        for block, following in zip(blocks, [*blocks[1:], None], strict=True):
            tables += block.tables
            if block.kind == "":
                fails = following is not None and following.text.startswith(
                    "kit: "
                )  # what a failed command says is quoted below it
                said = "".join(self.command(words, code=int(fails)) for words in block.commands())
            elif block.kind == "sh":
                self.check(block)
            elif block.kind == "python":
                said = self.python(block.text)
            elif block.kind == "csv":
                lines = (self.folder / tables[-1]).read_text().splitlines()
                assert block.lines() == lines[: len(block.lines())], tables[-1]
            elif last in ("", "python"):
                self.see_said(block.text, said)
            elif last != "sh":
                assert all((self.folder / line).is_file() for line in block.lines()), block.text
            everything += said if block.kind in ("", "python") else ""
            last = block.kind
        return everything

    def command(self, words: list[str], code: int = 0) -> str:
        """Run a command of the page."""
        assert words[0] == "kit", words
        with contextlib.chdir(self.folder):
            done = kit_command(*words[1:], code=code)
        return done.stdout + done.stderr

    def check(self, block: Block) -> None:
        """See that every command of kit in a block has a verb and options that kit knows."""
        for words in block.commands():
            if words[0] == "kit":
                verb, arguments = cli.commands[words[1]], words[2:]
                while hasattr(verb, "commands"):
                    verb, arguments = verb.commands[arguments[0]], arguments[1:]
                verb.make_context(words[1], arguments)

    def python(self, text: str) -> str:
        """Run a snippet, with the names of those before it."""
        printed = io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(printed):
            exec(compile(text, "page", "exec"), self.names)
        return printed.getvalue()

    def see_said(self, quoted: str, said: str) -> None:
        """See that the lines quoted were printed, in that order; `...` stands for lines left out, or for the end of a line."""
        printed = iter(self.plain(said))
        for line in self.plain(quoted):
            start = line.removesuffix("...")
            found = line == "..." or any(other == line or (start != line and other.startswith(start)) for other in printed)
            assert found, f"not printed, or not in this order: {line}\n{said}"

    def plain(self, text: str) -> list[str]:
        """Return the lines with one space between words and # for what differs."""
        return [" ".join(self.differs.sub("#", line).split()) for line in text.splitlines()]


def dead_links(page: Path) -> list[str]:
    """Return the links of a page, to files and headings, that lead nowhere."""
    dead = []
    for file, heading in re.findall(r"\]\((?!https?:)([\w./-]*)#?([\w-]*)\)", page.read_text()):
        target = page.parent / (file or page.name)
        text = target.read_text() if target.is_file() else ""
        slugs = [
            re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        ]
        if not target.exists() or (heading and heading not in slugs):
            dead.append(f"{file}#{heading}")
    return dead
