"""The logs of a run: metrics.jsonl, the progress line, and TensorBoard if requested."""

import json
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from kit.errors import UsageError
from kit.files import write_whole
from kit.model.history import step_of

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Metrics:
    """One JSON object a line in metrics.jsonl, each with its `step` (steps done); `event` lines record events.

    On a resume the lines of steps after the checkpoint are taken out, and TensorBoard drops them: those steps are done again.
    """

    def __init__(self, folder: Path, *, step: int, tensorboard: bool = False):
        self.path = folder / "metrics.jsonl"
        if self.path.is_file():
            lines = [line for line in self.path.read_text().splitlines(keepends=True) if step_of(line) <= step]
            write_whole(self.path, "".join(lines))
        self._file = self.path.open("a", buffering=1)  # a line at a time
        self._board = _open_board(folder, step) if tensorboard else None

    def write(self, step: int, values: dict) -> None:
        """Append one line."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        if self._board:
            for name, value in _flatten(values):
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        self._file.close()
        if self._board:
            self._board.close()


def _flatten(values: dict, prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            yield prefix + name, value


def _open_board(folder: Path, step: int) -> "SummaryWriter":
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError("train.tensorboard = true needs tensorboard: pip install cellpaint-kit[tensorboard]") from error
    return SummaryWriter(folder / "tensorboard", purge_step=step + 1)


def memory_gb(device: torch.device) -> float:
    """Return the peak memory so far: of the device's tensors on a GPU, of the whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
