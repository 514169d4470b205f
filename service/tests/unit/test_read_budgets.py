"""Who reads now, who is next, and who waits in vain."""

import asyncio

import pytest

from livetally.web import read_budgets
from livetally.web.read_budgets import Asker, Budgets, Turns

BUDGETS = Budgets(connections=3, key_reads=2, project_reads=2, key_rate=1, project_rate=1)
MUCH, ALSO, LITTLE = Asker(1, 1), Asker(1, 2), Asker(2, 3)


async def waiting(turns: Turns, asker: Asker) -> "asyncio.Task[None]":
    """Somebody who has to wait."""
    task = asyncio.create_task(turns.enter(asker))
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_who_asks_little_comes_before_who_asks_much() -> None:
    """One project has its share and keeps the others waiting; the next turn is another project's,
    though it came last."""
    turns = Turns(BUDGETS)
    for asker in (MUCH, ALSO, Asker(3, 4)):
        await turns.enter(asker)
    first = [await waiting(turns, MUCH) for _ in range(5)]
    last = await waiting(turns, LITTLE)
    turns.leave(ALSO)
    await last
    assert not any(task.done() for task in first)
    turns.leave(MUCH)
    await first[0]
    assert not first[1].done()
    for task in first[1:]:
        task.cancel()


async def test_a_connection_is_left_to_the_others() -> None:
    """However large a project's budget, and though nobody else asks, it never has all."""
    turns = Turns(BUDGETS._replace(project_reads=100, key_reads=100))
    await turns.enter(MUCH)
    await turns.enter(MUCH)
    more = await waiting(turns, ALSO)
    await turns.enter(LITTLE)
    more.cancel()


async def test_who_gives_up_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waited too long, who was cancelled, and who was cancelled at the very moment when their
    turn came: all turns are there again afterwards."""
    monkeypatch.setattr(read_budgets, "WAIT_S", 0.01)
    turns = Turns(BUDGETS)
    for _ in range(2):
        await turns.enter(MUCH)
    with pytest.raises(TimeoutError):
        await turns.enter(ALSO)
    monkeypatch.undo()
    cancelled, late = await waiting(turns, ALSO), await waiting(turns, ALSO)
    cancelled.cancel()
    turns.leave(MUCH)
    late.cancel()
    turns.leave(MUCH)
    await asyncio.wait([cancelled, late])
    for asker in (MUCH, ALSO, LITTLE):
        async with asyncio.timeout(1):
            await turns.enter(asker)
