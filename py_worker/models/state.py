"""What of a module is its state: it decides what the module computes, and its configuration does not."""

from torch import Tensor, nn


def module_state(module: nn.Module) -> dict[str, Tensor]:
    """Parameters, tied ones once, and the buffers that the module counts as its state, by name."""
    persistent = module.state_dict().keys()
    buffers = {name: buffer for name, buffer in module.named_buffers() if name in persistent}
    return {**dict(module.named_parameters()), **buffers}
