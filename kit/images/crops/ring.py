"""A ring of host buffers that sites are decoded into and copied to the device from. R samples, V sites a sample, C channels."""

import contextlib

import torch


class Ring:
    """Host buffers, uint8 [R, V, C, H, W] each. For a GPU they are pinned, and copies run on their own stream.

    On a CPU the sites are used in place. The caller fills buffer i between `wait(i)` and `upload(i)`, and issues all
    work on the sites within `on_stream()`.
    """

    def __init__(self, count: int, shape: tuple[int, ...], device: torch.device):
        gpu = device.type == "cuda"
        self.buffers = [torch.empty(shape, dtype=torch.uint8, pin_memory=gpu) for _ in range(count)]
        self._device = device
        self._stream = torch.cuda.Stream(device) if gpu else None
        self._staging = torch.empty(shape, dtype=torch.uint8, device=device) if gpu else None
        self._copied = [torch.cuda.Event() for _ in range(count)] if gpu else []

    def wait(self, i: int) -> torch.Tensor:
        """Return buffer i once it is no longer in use."""
        if self._copied:
            self._copied[i].synchronize()  # of the last upload; at once where there was none
        return self.buffers[i]

    def upload(self, i: int, samples: int) -> torch.Tensor:
        """Return the first `samples` of buffer i on the device, sites flattened: uint8 [samples * V, C, H, W]."""
        sites = self.buffers[i][:samples].flatten(0, 1)
        if self._staging is None:
            return sites
        staged = self._staging[:samples].flatten(0, 1)  # one is enough: the stream copies and tiles in turn
        staged.copy_(sites, non_blocking=True)
        self._copied[i].record()
        return staged

    def free(self) -> None:
        """Free the buffers; nothing can be read or uploaded after it."""
        self.buffers, self._staging, self._copied = [], None, []

    def on_stream(self) -> contextlib.AbstractContextManager:
        """Return the context in which device work belongs to the ring's stream."""
        return torch.cuda.stream(self._stream)  # nothing happens for None

    def mark(self) -> torch.cuda.Event | None:
        """Return an event that completes with all work so far on the stream; None on a CPU."""
        return None if self._stream is None else self._stream.record_event()

    def hand_over(self, done: torch.cuda.Event | None, tensors: list[torch.Tensor]) -> None:
        """Make the caller's current stream wait for `done`, and keep the tensors' memory from reuse until it is done too."""
        if done is None:
            return
        stream = torch.cuda.current_stream(self._device)
        stream.wait_event(done)
        for tensor in tensors:
            tensor.record_stream(stream)
