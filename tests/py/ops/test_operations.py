"""The operations of the contract."""

import pkgutil

from py_worker import ops
from py_worker.protocol_gen import OPERATIONS


def test_every_operation_of_the_contract_is_there() -> None:
    for name in OPERATIONS:
        assert callable(ops.find(name)), name


def test_every_module_is_an_operation_of_the_contract() -> None:
    modules = {module.name for module in pkgutil.iter_modules(ops.__path__) if not module.ispkg}
    assert modules == set(OPERATIONS)
