"""Tensors that say they are on `cuda:0` and are computed on the CPU, with a GPU's rules about devices.

An operation of tensors on both devices fails as it does with a GPU, except where torch allows it: scalars of
the host, copies, and index tensors of the host.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.pretend_cuda.graphs import capturing
from tests.pretend_cuda.memory import Memory

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
MEMORY = Memory()

_ACROSS_DEVICES = ("copy_", "_to_copy", "index", "index_put", "index_put_", "_index_put_impl_")


_IN_PLACE_VIEWS = ("squeeze_", "unsqueeze_", "t_", "transpose_", "as_strided_")
"""They change a tensor's shape and no number, so the wrapper's shape has to change too."""


def _addmm_dtype_out(
    total: Tensor, left: Tensor, right: Tensor, out_dtype: torch.dtype, *, alpha: float = 1, out: Tensor
) -> Tensor:
    assert total.dtype == out.dtype == out_dtype == torch.float32
    assert left.dtype == right.dtype
    assert left.dtype in (torch.float16, torch.bfloat16)
    return torch.addmm(total, left.to(out_dtype), right.to(out_dtype), alpha=alpha, out=out)


_EMULATED: dict[Any, Callable[..., Any]] = {torch.ops.aten.addmm.dtype_out: _addmm_dtype_out}
"""What torch computes on GPUs alone; by its rules on dtypes."""


class PretendedTensor(Tensor):
    """Holds the tensor of the CPU that it is computed with, `held`."""

    @staticmethod
    def __new__(cls, held: Tensor) -> "PretendedTensor":
        tensor = Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=CUDA,
        )
        tensor.held = held
        tensor.block = MEMORY.block(held.untyped_storage())
        return tensor

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})

    def __deepcopy__(self, memo: dict[int, Any]) -> "PretendedTensor":
        copied = PretendedTensor(self.held.clone()).requires_grad_(self.requires_grad)
        if isinstance(self, nn.Parameter):
            copied._is_param = True
        memo[id(self)] = copied
        return copied

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy; copy it to host memory first")

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.numpy()

    def data_ptr(self) -> int:
        return self.held.data_ptr()

    def untyped_storage(self) -> Any:
        return self.held.untyped_storage()


_data = Tensor.data


def _set_data(tensor: Tensor, value: Tensor) -> None:
    """A wrapper does not take over another's `held`, so the tensors change places."""
    if not (isinstance(tensor, PretendedTensor) or isinstance(value, PretendedTensor)):
        _data.__set__(tensor, value)
        return
    fresh = PretendedTensor(value.held) if isinstance(value, PretendedTensor) else value.detach()
    if isinstance(tensor, nn.Parameter):
        fresh = nn.Parameter(fresh, tensor.requires_grad)
    # As `torch.utils.swap_tensors`, which refuses tensors that somebody has a weak reference to.
    tensor.__class__, fresh.__class__ = fresh.__class__, tensor.__class__
    tensor.__dict__, fresh.__dict__ = fresh.__dict__, tensor.__dict__
    torch._C._swap_tensor_impl(tensor, fresh)


def settable_data() -> property:
    """`Tensor.data`, to be set from one device's memory to the other's."""
    return property(_data.__get__, _set_data)


class Factories(TorchDispatchMode):
    """Sees the operations that no tensor of the device takes part in, which may make one."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


def computed(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Runs an operation on the CPU and says where its results are.

    Raises:
        RuntimeError: its tensors are on both devices.
    """
    ours: list[PretendedTensor] = []
    hosts: list[Tensor] = []

    def held(leaf: Any) -> Any:
        if isinstance(leaf, PretendedTensor):
            ours.append(leaf)
            return leaf.held
        if isinstance(leaf, Tensor):
            hosts.append(leaf)
        return leaf

    inside = mapped(held, args)
    options = {name: mapped(held, value) for name, value in kwargs.items()}
    name = func.overloadpacket.__name__
    if ours and name not in _ACROSS_DEVICES:
        _check_one_device(func, hosts)
    on_cuda = bool(ours)
    if options.get("device") is not None:
        on_cuda = torch.device(options["device"]).type == "cuda"
        options["device"] = CPU if on_cuda else options["device"]
    run = _EMULATED.get(func, func)
    recorder = capturing() if ours or on_cuda else None
    if recorder is None:
        result = run(*inside, **options)
    else:
        _check_capture(name, hosts, on_cuda)
        result = recorder.record(run, func, inside, options)
    if name in _IN_PLACE_VIEWS and ours:
        with torch._C._DisableTorchDispatch():
            func(*args, **kwargs)
    given = {id(tensor.held): tensor for tensor in ours}

    def placed(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or id(leaf) in given:
            return given.get(id(leaf), leaf)
        return PretendedTensor(leaf) if on_cuda else leaf

    return mapped(placed, result)


def mapped(change: Callable[[Any], Any], tree: Any) -> Any:
    """Lists and tuples of tensors and others, as torch's operations take and give them."""
    if isinstance(tree, (list, tuple)):
        return type(tree)(mapped(change, leaf) for leaf in tree)
    return change(tree)


def _check_capture(name: str, hosts: list[Tensor], on_cuda: bool) -> None:
    if not on_cuda or any(tensor.dim() > 0 for tensor in hosts):
        raise RuntimeError(
            f"CUDA error: {name} of the host's memory is not permitted when stream is capturing"
        )


def _check_one_device(func: Any, hosts: list[Tensor]) -> None:
    strangers = [tensor for tensor in hosts if tensor.dim() > 0]
    if strangers:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in strangers)
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but {func} got tensors of shape {shapes} on cpu "
            "beside those on cuda:0"
        )
