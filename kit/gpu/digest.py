"""What a run found, in at most 60 lines for the eye."""

LINES = 60
_HEAD = ("card", "memory", "capability", "driver", "cards", "system", "cpus", "nvcc", "torch", "cuda", "triton", "numpy")


def summary(found: dict) -> str:
    """Return the summary of all that a session found: what it depends on, then each part's outcome and its own lines."""
    machine = found["machine"]
    versions = ", ".join(f"{name} {machine[name]}" for name in _HEAD if machine.get(name) not in (None, ""))
    took = f", {found['seconds']:.0f} s of {found['seconds_allowed']:.0f}" if "seconds" in found else ""
    head = [f"make gpu: {found['run']}, {found['date']}, commit {machine.get('commit', 'unknown')}{took}", versions or "no facts"]
    if not machine.get("card"):
        head.append("no GPU: nothing below was run on one")
    if found["rehearsal"]:
        head.append("a rehearsal: the GPU's parts ran small, on the CPU; no number of them means anything")
    if "stopped" in found:
        head.append(found["stopped"])
    parts = [_part(name, part) for name, part in found["parts"].items()]
    room = LINES - len(head) - len(parts)
    each = [min(len(lines) - 1, room // max(len(parts), 1)) for lines in parts]
    for place, lines in enumerate(parts):  # what short parts leave goes to long ones, in order
        spare = room - sum(each)
        each[place] += min(max(spare, 0), len(lines) - 1 - each[place])
    body = [line[:230] for lines, own in zip(parts, each, strict=True) for line in [lines[0], *_cut(lines[1:], own)]]
    return "\n".join([*(line[:300] for line in head), *body]) + "\n"


def _cut(lines: list[str], most: int) -> list[str]:
    """Return at most so many lines; the last then says how many are left out."""
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], f"  ... {len(lines) - most + 1} more in results.json"] if most > 0 else []


def _part(name: str, part: dict) -> list[str]:
    state = part["state"]
    took = f", {part['seconds']:.0f} s of {part['box']:.0f}" if "seconds" in part else ""
    why = f": {part['why']}" if part.get("why") else ""
    lines = [f"{name}: {state}{took}{why}"]
    found = part.get("found") or {}
    own = list(found.get("lines") or _tables(found) or part.get("last_lines") or [])
    if state in ("failed", "cut") and found.get("lines"):
        own += [f"said last: {line}" for line in (part.get("last_lines") or [])[-3:]]
    return lines + [f"  {line}" for line in own]


def _tables(found: dict) -> list[str]:
    """Return a line for each table of kit.kernels.bench: our time, the share of the memory floor, the rivals' over ours."""
    bandwidth, lines = found.get("copy_gb_s"), []
    for table in found.get("tasks", ()):
        ours, *rest = table["rows"]
        others = [row for row in rest if row["ms"] is not None]
        if ours["ms"] is None:
            rivals = "; ".join(f"{row['name']} {row['ms']:.2f} ms" for row in others)
            lines.append(f"{table['task']}: {ours['name']} {ours['note']}" + f"; {rivals}" * bool(rivals))
            continue
        floor = f", {100 * table['bytes'] / ours['ms'] / 1e6 / bandwidth:.0f} % of the memory floor" if bandwidth else ""
        share = f", {100 * table['share']:.1f} % of the time of both" if table["share"] is not None else ""
        rivals = "; ".join(f"{row['name']} {row['ms'] / ours['ms']:.2f} x" for row in others)
        lines.append(f"{table['task']}: {ours['ms']:.2f} ms{floor}{share}; {rivals}")
    return lines + [f"no time left for {name}" for name in found.get("left_out", ()) if found.get("tasks") is not None]
