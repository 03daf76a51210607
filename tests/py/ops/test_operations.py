"""The operations of the contract."""

from py_worker import ops
from py_worker.protocol_gen import OPERATIONS


def test_every_operation_of_the_contract_is_there() -> None:
    for name in OPERATIONS:
        assert callable(ops.find(name)), name
