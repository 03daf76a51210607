"""A plugin of pytest: the tests run with a pretended GPU, `-p tests.pretend_cuda.plugin`.

A CPU finds no fault with a tensor that was made in the wrong place. This device does: it shows code for GPUs
to be complete and consistent, with the arithmetic of the CPU. It says nothing of speed or of CUDA's kernels.
"""

from tests.pretend_cuda.build import load

load()  # before the first import of torch

from tests.pretend_cuda.runtime import install  # noqa: E402

install()
