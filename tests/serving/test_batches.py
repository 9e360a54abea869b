"""The queue: rows of many requests share batches, a full one refuses, and a bad row harms no other."""

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from pet.data.examples import Example
from pet.serving.batches import WAITING_CALLS, Batches, estimated_tokens
from pet.serving.refusals import Refused


def row(text: str) -> Example:
    return Example("0", {"text": text})


def lengths(rows: Sequence[Example]) -> np.ndarray:
    """A stand-in for a classifier: it says how long a text is."""
    return np.asarray([[len(one.fields["text"]), 0] for one in rows], np.float32)


def test_rows_of_many_requests_are_computed_together_and_each_gets_its_own() -> None:
    seen: list[int] = []

    async def run() -> list[np.ndarray]:
        batches = Batches(lengths, longest=100, budget=1000, seen=seen.append)
        batches.start()
        found = await asyncio.gather(*(batches.scores([row("x" * n), row("y")]) for n in range(1, 31)))
        await batches.stop()
        assert batches.tokens == 0 and not batches.alive
        return found

    assert [one[:, 0].tolist() for one in asyncio.run(run())] == [[n, 1] for n in range(1, 31)]
    assert sum(seen) == 60 and len(seen) <= 2  # those that came before the first batch began


def test_a_batch_is_filled_by_tokens() -> None:
    seen: list[int] = []

    async def run() -> None:
        batches = Batches(lengths, longest=50, budget=100, seen=seen.append)
        batches.start()
        await batches.scores([row("x" * 1000)] * 7)  # 50 tokens each: more are cut
        await batches.stop()

    asyncio.run(run())
    assert seen == [2, 2, 2, 1]
    assert estimated_tokens(row("x" * 1000), 50) == 50 and estimated_tokens(row("abcdefgh"), 50) == 4


def test_a_full_queue_refuses_and_goes_on() -> None:
    go = threading.Event()

    def slow(rows: Sequence[Example]) -> np.ndarray:
        go.wait(10)
        return lengths(rows)

    async def run() -> None:
        batches = Batches(slow, longest=10, budget=10)
        batches.start()
        first = asyncio.ensure_future(batches.scores([row("x" * 100)] * 100))  # as much as one request may have
        await asyncio.sleep(0.02)
        with pytest.raises(Refused, match=r"\d+ rows wait already: send these again") as refused:
            await batches.scores([row("x" * 100)])
        assert (refused.value.status, refused.value.kind) == (429, "overloaded")
        calls = [asyncio.ensure_future(batches.call(lambda: 1)) for _ in range(WAITING_CALLS)]
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="wait already"):
            await batches.call(lambda: 1)
        go.set()
        assert len(await first) == 100 and await asyncio.gather(*calls) == [1] * WAITING_CALLS
        assert (await batches.scores([row("abc")])).tolist() == [[3, 0]]
        await batches.stop()

    asyncio.run(run())


def test_a_row_that_cannot_be_computed_fails_alone() -> None:
    def picky(rows: Sequence[Example]) -> np.ndarray:
        if any(one.fields["text"] == "bad" for one in rows):
            raise ValueError("bad row")
        return lengths(rows)

    async def run() -> list[object]:
        batches = Batches(picky, longest=10, budget=100)
        batches.start()
        asked = (batches.scores([row(text)]) for text in ("one", "bad", "three"))
        found = await asyncio.gather(*asked, return_exceptions=True)
        gone = asyncio.ensure_future(batches.scores([row("bad")]))
        await asyncio.sleep(0)
        gone.cancel()  # whoever asked has gone
        again = await batches.scores([row("four")])
        await batches.stop()
        return [*found, again]

    one, bad, three, four = asyncio.run(run())
    assert isinstance(bad, ValueError)
    assert [np.asarray(found).tolist() for found in (one, three, four)] == [[[3, 0]], [[5, 0]], [[4, 0]]]
