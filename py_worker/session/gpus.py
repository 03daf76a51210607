"""The GPUs that this process can use."""

import os
import re
import sys
from pathlib import Path

import torch

_DRIVER = Path("/dev/nvidiactl")


def gpu_names() -> list[str]:
    """Of `cuda:0`, `cuda:1` and so on; none where CUDA does not start, which is said on standard error.

    CUDA counts them, once it is started. Before, torch asks the driver's management library, which also
    counts GPUs that this process cannot use (of partitioned ones, MIG, it sees one slice).
    """
    # A driver too old for this build of torch makes CUDA "not available"; starting it says why.
    unexplained = torch.version.cuda is not None and _DRIVER.exists() and not _hidden()
    if not torch.cuda.is_available() and not unexplained:
        return []
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    except (RuntimeError, AssertionError, torch.cuda.DeferredCudaCallError) as error:
        print(f"CUDA does not start, so no GPU is used: {error}", file=sys.stderr, flush=True)
        return []


def _hidden() -> bool:
    """Whether the user leaves this process no GPU, as the controller does with `worker.device: cpu`."""
    return re.match(r"\s*(\d|GPU-|MIG-)", os.environ.get("CUDA_VISIBLE_DEVICES", "0")) is None


def shown_in_words() -> str:
    """How many GPUs there are here, and what limits them: `1 CUDA device (CUDA_VISIBLE_DEVICES=3)`."""
    count, shown = len(gpu_names()), os.environ.get("CUDA_VISIBLE_DEVICES")
    limit = "" if shown is None else f" (CUDA_VISIBLE_DEVICES={shown})"
    return f"{count} CUDA device{'' if count == 1 else 's'}{limit}"
