"""The queue's order and bounds."""

import threading

from msgspec import Raw

from py_worker.protocol_gen import RequestMessage
from py_worker.server.request_queue import Admitted, RequestQueue
from py_worker.session.context import OperationContext


def request(request_id: int, size: int = 10) -> Admitted:
    return Admitted(RequestMessage(id=request_id, epoch=0, op="reset", args=Raw(b"\x80")), size)


def id_of(taken: Admitted | None) -> int:
    assert taken is not None
    return taken.message.id


def test_first_in_first_out() -> None:
    queue = RequestQueue()
    assert all(queue.put(request(i)) for i in (1, 2, 3))
    assert [id_of(queue.get()) for _ in range(3)] == [1, 2, 3]


def test_the_running_request_counts() -> None:
    queue = RequestQueue(max_requests=2)
    assert queue.put(request(1))
    assert queue.put(request(2))
    queue.get()
    assert not queue.put(request(3))
    queue.finish()
    assert queue.put(request(3))
    assert not queue.put(request(4))


def test_bytes_are_bounded_but_one_request_always_fits() -> None:
    queue = RequestQueue(max_bytes=100)
    assert queue.put(request(1, 500))
    assert not queue.put(request(2, 1))
    queue.get()
    assert queue.put(request(2, 60))
    assert queue.put(request(3, 40))
    assert not queue.put(request(4, 1))
    assert (queue.state().requests, queue.state().bytes) == (2, 100)


def test_closing_drops_what_waits_and_wakes_the_reader() -> None:
    queue = RequestQueue()
    found: list[object] = []
    reader = threading.Thread(target=lambda: found.append(queue.get()))
    reader.start()
    queue.close()
    reader.join(10)
    assert found == [None]
    assert not queue.put(request(1))
    assert queue.state().requests == 0


def test_a_cancel_between_taking_and_beginning_is_not_lost() -> None:
    queue = RequestQueue()
    queue.put(request(1))
    taken = queue.get()
    assert taken is not None
    queue.cancel(1)
    context = OperationContext(1, "reset")
    queue.begin(context)
    assert taken.cancelled
    assert context.cancel(), "already cancelled"


def test_only_the_request_named_is_cancelled() -> None:
    queue = RequestQueue()
    first, second, third = (request(i) for i in (1, 2, 3))
    for item in (first, second, third):
        queue.put(item)
    queue.cancel(2)
    assert [item.cancelled for item in (first, second, third)] == [False, True, False]


def test_the_next_operation_is_told_and_stays() -> None:
    queue = RequestQueue()
    assert queue.next_op() is None
    queue.put(request(1))
    assert queue.next_op() == "reset"
    assert id_of(queue.get()) == 1
    assert queue.next_op() is None
