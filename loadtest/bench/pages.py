"""How smooth the page at / is while the counts of 200 messages a second arrive: real Chromium.

    python -m loadtest.bench.pages [--updates 200] [--seconds 10]

Prints the frames a second, the median and the 95th and 99th percentile of the interval between two
(of requestAnimationFrame), and the share of its time that the main thread works, which says more
where a machine without a graphics card draws by software.
"""

import argparse
import asyncio
import itertools
import statistics
import tempfile
from pathlib import Path

import aiohttp
from playwright.async_api import CDPSession, Page

from loadtest.lib.stand import Bench, stand
from service.tests.support.browser.chromium import launched

# Two topics are watched, and each may send a frame this often: enough for 200 messages a second.
FRAME_INTERVAL_MS = 8
WORK = ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
FRAMES = """(ms) => new Promise((done) => {
  const at = [];
  const note = (now) => {
    at.push(now);
    if (now - at[0] < ms) requestAnimationFrame(note);
    else done(at);
  };
  requestAnimationFrame(note);
})"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=200, help="messages a second (200)")
    parser.add_argument("--seconds", type=int, default=10)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        stand(Path(folder)) as all_,
        all_.database() as bench,
    ):
        asyncio.run(measure(bench, options.updates, options.seconds))


async def measure(bench: Bench, updates: int, seconds: int) -> None:
    keys = {"page_read_key": bench.read_key, "page_write_key": bench.write_key}
    with bench.serve(frame_interval_ms=FRAME_INTERVAL_MS, **keys) as server:
        url = f"http://127.0.0.1:{server.port}"
        async with launched() as browser:
            page = await browser.new_page(viewport={"width": 1440, "height": 900})
            heard: list[str] = []
            page.on("websocket", lambda one: one.on("framereceived", lambda _: heard.append("")))
            await page.goto(url)
            await page.wait_for_selector("html[data-connection=live]")
            sending = asyncio.create_task(send(url, bench.write_key, updates))
            try:
                await page.wait_for_timeout(2_000)
                heard.clear()
                session = await page.context.new_cdp_session(page)
                print(report(*await frames(page, session, seconds), len(heard) / seconds))
            finally:
                sending.cancel()


async def send(url: str, key: str, updates: int) -> None:
    """Counts at this rate, of both types in turn: each event is a message to the page."""
    colours = ("red", "teal", "gold", "navy", "pink", "olive", "coral", "indigo")
    headers = {"x-api-key": key}
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with aiohttp.ClientSession(url, headers=headers) as http, asyncio.TaskGroup() as tasks:
        for n in range(10**9):
            await asyncio.sleep(started + n / updates - loop.time())
            event = {"type": ("click", "hover")[n % 2], "subject": colours[n // 2 % len(colours)]}
            tasks.create_task(post(http, event))


async def post(http: aiohttp.ClientSession, event: dict[str, str]) -> None:
    async with http.post("/v1/events", json=event) as response:
        response.raise_for_status()


async def frames(
    page: Page, session: CDPSession, seconds: int
) -> tuple[list[float], dict[str, float]]:
    """The intervals between frames, in ms, and how many seconds each kind of work took."""
    await session.send("Performance.enable")
    before = await work(session)
    at = await page.evaluate(FRAMES, seconds * 1_000)
    after = await work(session)
    intervals = [later - earlier for earlier, later in itertools.pairwise(at)]
    return intervals, {name: after[name] - before[name] for name in WORK}


async def work(session: CDPSession) -> dict[str, float]:
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    return {each["name"]: each["value"] for each in metrics}


def report(intervals: list[float], spent: dict[str, float], messages: float) -> str:
    percentiles = statistics.quantiles(intervals, n=100)
    busy = spent["TaskDuration"] / (sum(intervals) / 1_000)
    late = sum(each > 1.5 * 1_000 / 60 for each in intervals) / len(intervals)
    parts = ", ".join(
        f"{name.removesuffix('Duration').lower()} {1_000 * seconds / len(intervals):.2f}"
        for name, seconds in spent.items()
    )
    return (
        f"{messages:.0f} messages a second arrived\n"
        f"{1_000 / statistics.mean(intervals):.1f} frames a second; an interval is"
        f" {statistics.median(intervals):.1f} ms (median), p95 {percentiles[94]:.1f} ms,"
        f" p99 {percentiles[98]:.1f} ms; {late:.1%} come late\n"
        f"the main thread works {busy:.0%} of the time; ms a frame: {parts}"
    )


if __name__ == "__main__":
    main()
