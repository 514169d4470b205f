"""SQS in: messages become events and items, and are deleted once those are committed."""

import asyncio

from ..health import Health, wait


class Queue:
    """The loop that reads the queue."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._closing = asyncio.Event()

    async def run(self) -> None:
        while not self._closing.is_set():
            self._health.beat("queue")
            await wait(self._closing, 1)

    def close(self) -> None:
        self._closing.set()
