"""Puts the parts of a worker together and runs them."""

from py_worker.server.endpoint import CurveKeys
from py_worker.server.hello import make_hello
from py_worker.server.operation_loop import OperationLoop, RunOperation
from py_worker.server.replies import Outbox
from py_worker.server.request_queue import RequestQueue
from py_worker.server.socket_thread import Connection, SocketThread
from py_worker.session.context import Progress
from py_worker.session.session import Session


class Worker:
    """One session behind one connection.

    Args:
        endpoint: where the controller listens.
        token: the run's token.
        silence_s: longest silence of the controller.
        run_operation: does what a request asks for.
        keys: for tcp.
    """

    def __init__(
        self,
        endpoint: str,
        token: str,
        silence_s: float,
        run_operation: RunOperation,
        keys: CurveKeys | None = None,
    ) -> None:
        progress = Progress()
        self.session = Session()
        self._queue = RequestQueue()
        self._outbox = Outbox()
        connection = Connection(endpoint, make_hello(token), keys, silence_s=silence_s)
        self._socket = SocketThread(connection, self._queue, self._outbox, progress)
        self._loop = OperationLoop(self._queue, self.session, run_operation, self._outbox.post, progress)

    def run(self) -> int:
        """Serves until the conversation ends; returns the process's exit status."""
        self._socket.start()
        self._loop.run()
        status = self._socket.finish()
        self._outbox.close()
        return status

    def describe(self) -> str:
        """What is running, or ran last, for people."""
        state = self._queue.state()
        if state.running is not None:
            return (
                f"running was {state.running.describe()}, {state.running.elapsed_ms:.0f} ms after its start"
            )
        if state.last is not None:
            return f"no operation was running, the last was {state.last.describe()}"
        return "no operation had run"
