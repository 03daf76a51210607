"""For all tests of the worker's Python."""

import os

# Triton's kernels run on the CPU, by NumPy. Read when Triton is first imported, which torch may do anywhere.
os.environ["TRITON_INTERPRET"] = "1"
