"""A text drawing of a well's sites: the position of each field, top row first."""

from collections.abc import Iterable

from kit.images.source.positions import Point

_SAME = 5.0  # um: stage coordinates closer than this are one row or column


def draw_grid(fields: dict[int, Point]) -> str:
    """Return lines of text with each field's number at its place; the margins give micrometres from the well's centre."""
    columns, rows = _lines(x for x, _ in fields.values()), _lines(y for _, y in fields.values())[::-1]
    cells = [["." for _ in columns] for _ in rows]
    for number, (x, y) in sorted(fields.items()):
        row, column = _nearest(rows, y), _nearest(columns, x)
        cells[row][column] = f"f{number:02d}" if cells[row][column] == "." else cells[row][column] + f"+f{number:02d}"
    width = max(6, *(len(cell) + 1 for line in cells for cell in line))
    lines = [" " * 10 + "".join(f"{x:>{width}.0f}" for x in columns) + "  um"]
    lines += [f"{y:>10.0f}" + "".join(f"{cell:>{width}}" for cell in line) for y, line in zip(rows, cells, strict=True)]
    return "\n".join(lines)


def _lines(values: Iterable[float]) -> list[float]:
    found: list[float] = []
    for value in sorted(values):
        if not found or value - found[-1] > _SAME:
            found.append(value)
    return found


def _nearest(lines: list[float], value: float) -> int:
    return min(range(len(lines)), key=lambda index: abs(lines[index] - value))
