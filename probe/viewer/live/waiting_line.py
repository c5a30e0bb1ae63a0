"""A waiting line: questions of several pages that one model answers, one at a time."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from queue import SimpleQueue

from probe.viewer.live.session import Reply

MOST_WAITING = 8
"""Questions that may wait; who comes then is told to come back, and does not wait for minutes."""


class LineFullError(RuntimeError):
    """The waiting line is full."""


@dataclass(eq=False)
class Turn:
    """One question in the line; its reply comes when it was its turn."""

    act: Callable[[], Reply]
    done: "asyncio.Future[Reply]" = field(repr=False)


class WaitingLine:
    """Questions in the order in which they came, the first of which is being answered.

    All passes run in one thread of their own: the loop that serves pages goes on meanwhile, and no
    two passes share the model. The line changes in the loop's thread alone.
    """

    def __init__(self, most: int = MOST_WAITING) -> None:
        """Start with nobody in the line.

        Args:
            most: The most questions that wait while another is answered.
        """
        self._most = most
        self._turns: deque[Turn] = deque()
        self._moved = asyncio.Event()
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # A daemon: a pass cannot be interrupted, and must not keep a stopped program alive.
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._turns)

    def stop(self, patience: float) -> None:
        """Take no more questions, and wait for so many seconds for the pass that is under way."""
        self._work.put(None)
        self._thread.join(patience)

    async def answer(self, act: Callable[[], Reply]) -> AsyncGenerator[int | Reply, None]:
        """Wait for the turn of a question and answer it.

        Args:
            act: What answers it, in the model's thread.

        Yields:
            The number of questions before this one, each time that it has changed, 0 when it is
            answered; then its reply.

        Raises:
            LineFullError: if too many wait already.
        """
        if len(self._turns) > self._most:
            raise LineFullError(f"{self._most} questions wait already; ask again in a while")
        turn = Turn(act, asyncio.get_running_loop().create_future())
        self._turns.append(turn)
        try:
            while ahead := self._turns.index(turn):
                yield ahead
                while self._turns.index(turn) == ahead:
                    await self._moved.wait()
        except BaseException:  # whoever asked has gone; the others move up
            self._remove(turn)
            raise
        # From here on the turn is in the model's hands: it leaves the line when its pass has ended,
        # also if whoever asked has gone, so that the next pass does not begin before.
        turn.done.add_done_callback(lambda _: self._remove(turn))
        self._start(turn)
        yield 0
        yield await asyncio.shield(turn.done)

    def _remove(self, turn: Turn) -> None:
        self._turns.remove(turn)
        self._moved.set()
        self._moved = asyncio.Event()

    def _start(self, turn: Turn) -> None:
        loop = asyncio.get_running_loop()

        def answer() -> None:
            try:
                reply = turn.act()
            except BaseException as failure:  # noqa: BLE001  raised again where it is awaited
                loop.call_soon_threadsafe(turn.done.set_exception, failure)
            else:
                loop.call_soon_threadsafe(turn.done.set_result, reply)

        self._work.put(answer)

    def _run(self) -> None:
        while (act := self._work.get()) is not None:
            act()
