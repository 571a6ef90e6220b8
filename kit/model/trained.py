"""A backbone with the modules that train it: what every objective has, whatever its heads are."""

from torch import nn

from kit.model.distributed import Group
from kit.model.heads import BatchNormRows
from kit.model.vit import Vit


class Trained(nn.Module):
    """A backbone; subclasses add their heads as further children."""

    def __init__(self, backbone: Vit):
        super().__init__()
        self.backbone = backbone

    def parts(self) -> dict[str, nn.Module]:
        """The modules whose gradients are clipped one by one."""
        return dict(self.named_children())

    def join(self, group: Group) -> None:
        """Take the batch statistics of the heads over every process of the group."""
        for module in self.modules():
            if isinstance(module, BatchNormRows):
                module.group = group
