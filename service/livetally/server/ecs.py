"""On ECS: hear that this task is to stop, before the signal says so.

ECS takes a task out of the load balancer first, waits the deregistration delay, and only then
sends SIGTERM. The task's metadata says at once what is coming (`DesiredStatus`), which leaves all
that time for viewers to move over. Source: the ECS task metadata endpoint, version 4.
"""

import asyncio
import logging

import aiohttp

log = logging.getLogger(__name__)

#: The variable in which ECS tells a container where its metadata is.
METADATA_VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"

POLL_S = 2.0


async def wait_for_stop(metadata_url: str) -> None:
    """Return when the task's desired status is STOPPED. Failures are logged and tried again."""
    timeout = aiohttp.ClientTimeout(total=POLL_S)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        while True:
            try:
                async with client.get(f"{metadata_url}/task") as response:
                    task = await response.json()
                if task["DesiredStatus"] == "STOPPED":
                    log.info("ECS is going to stop this task")
                    return
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
                log.warning("the task metadata can't be read: %s", error)
            await asyncio.sleep(POLL_S)
