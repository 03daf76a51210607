"""Replies on their way out, and those that are remembered."""

import select

from py_worker.server.replies import EncodedReply, Outbox, RememberedReplies


def reply(request_id: int, size: int = 1) -> EncodedReply:
    return EncodedReply(request_id, [bytes(size)])


def test_the_outbox_wakes_and_keeps_the_order() -> None:
    outbox = Outbox()
    assert outbox.take() == []
    for request_id in range(20_000):  # far more than a socket's buffer has bytes for on some systems
        outbox.post(reply(request_id))
    assert select.select([outbox.fileno()], [], [], 0)[0]
    assert [taken.request_id for taken in outbox.take()] == list(range(20_000))
    assert not select.select([outbox.fileno()], [], [], 0)[0]
    outbox.close()


def test_a_reply_that_may_wait_goes_with_the_next() -> None:
    outbox = Outbox()
    outbox.post(EncodedReply(1, [b"x"], may_wait=True))
    assert not select.select([outbox.fileno()], [], [], 0)[0]
    outbox.post(reply(2))
    assert select.select([outbox.fileno()], [], [], 0)[0]
    assert [taken.request_id for taken in outbox.take()] == [1, 2]
    outbox.close()


def test_the_oldest_are_forgotten_by_number() -> None:
    remembered = RememberedReplies(max_replies=3)
    for request_id in range(5):
        remembered.add(reply(request_id))
    assert [remembered.get(i) is not None for i in range(5)] == [False, False, True, True, True]


def test_the_oldest_are_forgotten_by_bytes_and_the_newest_stays() -> None:
    remembered = RememberedReplies(max_bytes=100)
    for request_id in range(3):
        remembered.add(reply(request_id, 40))
    assert [remembered.get(i) is not None for i in range(3)] == [False, True, True]
    remembered.add(reply(3, 1000))
    assert [remembered.get(i) is not None for i in range(4)] == [False, False, False, True]
