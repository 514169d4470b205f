"""PyPI's `picows`, its core in Cython, on uvloop: a `send` of the same bytes to each."""

import asyncio

import uvloop
from counts import INTERVAL_S, PORT, Counts
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

counts = Counts()
viewers: set[WSTransport] = set()


class Listener(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        kind, answer = counts.answer(frame.get_payload_as_bytes())
        if answer is not None:
            transport.send(WSMsgType.TEXT, answer.encode())
        if kind == "subscribe":
            viewers.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        viewers.discard(transport)


async def main() -> None:
    await ws_create_server(lambda request: Listener(), "127.0.0.1", PORT, backlog=4096)
    while True:
        await asyncio.sleep(INTERVAL_S)
        if (news := counts.news()) is not None:
            payload = news.encode()
            for viewer in viewers:
                viewer.send(WSMsgType.TEXT, payload)


uvloop.run(main())
