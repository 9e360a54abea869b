"""Rows of many requests in common batches: a queue counted in tokens, and one thread that computes.

A row waits 5 ms at most for others, unless a batch is under way, which takes longer than that anyway.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from pet.data.examples import Example
from pet.serving.refusals import Refused

T = TypeVar("T")

LONGEST_WAIT = 0.005
"""Seconds that the first row of a batch waits for others."""

WAITING_BATCHES = 64
"""Rows of so many full batches may wait; where one batch takes 0.2 s, the last of them waits for 13 s."""

WAITING_CALLS = 16
"""So much work that shares no batch may wait."""

_CHARACTERS_PER_TOKEN = 4


def estimated_tokens(row: Example, longest: int) -> int:
    """Return about how many tokens a row has, at most the `longest` input: good enough to fill batches by.

    The classifier divides a batch by the tokens that it really has.
    """
    return min(longest, 2 + sum(map(len, row.fields.values())) // _CHARACTERS_PER_TOKEN)


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A row that waits for its scores, since so many seconds of the loop's clock."""

    row: Example
    tokens: int
    since: float
    answer: asyncio.Future[np.ndarray]


class Batches:
    """The queue and the thread of a classifier; `start` and `stop` belong to the loop that the server runs in.

    `compute` gives scores, float32 [n, c], of rows of at most `longest` tokens; `budget` is the tokens of a
    batch; `seen` is told the number of rows of each batch.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Example]], np.ndarray],
        longest: int,
        budget: int,
        seen: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.budget, self.most_tokens = budget, WAITING_BATCHES * budget
        self.tokens, self._calls = 0, 0
        self._compute, self._longest, self._seen = compute, longest, seen
        self._waiting: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="classifier")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to compute what comes."""
        self._filled = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._work())

    @property
    def alive(self) -> bool:
        """Whether rows that come are computed."""
        return self._task is not None and not self._task.done()

    async def stop(self) -> None:
        """End, once nothing waits."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._thread.shutdown()

    async def scores(self, rows: Sequence[Example]) -> np.ndarray:
        """Return what is computed of rows, float32 [n, c], in their order.

        Raises `Refused` with 429 if so much waits that these would wait too long.
        """
        loop = asyncio.get_running_loop()
        sizes = [estimated_tokens(row, self._longest) for row in rows]
        if self.tokens and self.tokens + sum(sizes) > self.most_tokens:
            raise Refused(429, f"{len(self._waiting)} rows wait already: send these again in a second.", "overloaded")
        waiting = [
            _Waiting(row, size, loop.time(), loop.create_future()) for row, size in zip(rows, sizes, strict=True)
        ]
        self._waiting.extend(waiting)
        self.tokens += sum(sizes)
        self._filled.set()
        return np.stack(await asyncio.gather(*(one.answer for one in waiting)))

    async def call(self, work: Callable[[], T]) -> T:
        """Do other work with the classifier in its thread: neither it nor its tokenizer may be used by two.

        Raises `Refused` with 429 if much of that kind waits already.
        """
        if self._calls >= WAITING_CALLS:
            raise Refused(429, f"{self._calls} such requests wait already: send this one again later.", "overloaded")
        self._calls += 1
        try:
            return await self._in_thread(work)
        finally:
            self._calls -= 1

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _work(self) -> None:
        while True:
            await self._filled.wait()
            await self._others()
            batch = self._taken()
            try:
                for one, answer in zip(batch, await self._computed(batch), strict=True):
                    if not one.answer.done():  # whoever asked may have gone
                        one.answer.set_result(answer)
            except Exception as error:
                await self._one_by_one(batch, error)

    async def _others(self) -> None:
        """Wait for others to come, if there is room for them in the batch and the first has not waited yet."""
        left = self._waiting[0].since + LONGEST_WAIT - asyncio.get_running_loop().time()
        if left > 0 and self.tokens < self.budget:
            await asyncio.sleep(left)

    def _taken(self) -> list[_Waiting]:
        """Return the rows of the next batch: those that came first, as many as its tokens allow, one at least."""
        batch, tokens = [self._waiting.popleft()], 0
        tokens += batch[0].tokens
        while self._waiting and tokens + self._waiting[0].tokens <= self.budget:
            batch.append(self._waiting.popleft())
            tokens += batch[-1].tokens
        self.tokens -= tokens
        if not self._waiting:
            self._filled.clear()
        return batch

    async def _computed(self, batch: Sequence[_Waiting]) -> np.ndarray:
        rows = [one.row for one in batch]
        found = await self._in_thread(lambda: self._compute(rows))
        self._seen(len(rows))
        return found

    async def _one_by_one(self, batch: Sequence[_Waiting], error: Exception) -> None:
        """Let only the rows fail that are to blame for an error of their batch."""
        for one in batch:
            found: np.ndarray | Exception = error
            if len(batch) > 1:
                try:
                    (found,) = await self._computed([one])
                except Exception as own:
                    found = own
            if one.answer.done():
                continue
            if isinstance(found, Exception):
                one.answer.set_exception(found)
            else:
                one.answer.set_result(found)
