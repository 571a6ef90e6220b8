"""Between the host and a GPU without either waiting for the other: small arrays go up, a step's flags come down a step later."""

import numpy as np
import torch
from torch import Tensor


def upload(values: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """Return host values on the device. A GPU copies them from pinned memory in its own time; plain `.to` waits for it."""
    host = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    if device.type != "cuda":
        return host.to(device)
    return host.pin_memory().to(device, non_blocking=True)


class Lagged:
    """A small tensor that the host will read later: its copy starts now, and only `read` waits for it."""

    def __init__(self, values: Tensor):
        self._values, self._copied = values.detach(), None
        if values.device.type == "cuda":
            self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._values.copy_(values, non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record()

    def read(self) -> list:
        """Return the values, once the device has come as far as where this was made."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._values.tolist()
