"""The command `aws-setup`: a queue and what leads to it, without Terraform."""

import argparse
import asyncio
from typing import Any

from .command import CommandError, add_command, number
from .server import plainly_refused


def add(commands: Any) -> None:
    command = add_command(
        commands,
        "aws-setup",
        _run,
        "make a queue, its dead letters, and a topic and a bucket that lead to it; safe any time",
        ends="AWS is found by the usual variables: AWS_REGION, AWS_ENDPOINT_URL, … What was made is"
        "\nprinted as the settings LIVETALLY_* that name it.",
    )
    command.add_argument("--queue", default="livetally", help="its name; …-dead for dead letters")
    command.add_argument("--topic", default="livetally", help="whose notices go to the queue")
    command.add_argument("--bucket", default="livetally", help="for inbox and archive")
    command.add_argument("--inbox", default="inbox/", help="objects under this are read (inbox/)")
    command.add_argument(
        "--visibility-s", type=number(5, 43_200), default=60, metavar="S", help="time-out (60)"
    )
    command.add_argument(
        "--receives",
        type=number(1, 1000),
        default=5,
        metavar="N",
        help="then a message is dead (5)",
    )


def _run(arguments: argparse.Namespace) -> int:
    with plainly_refused():
        from ..base.aws import FAILURES
        from ..queue.setup import set_up

        try:
            made = asyncio.run(
                set_up(
                    queue=arguments.queue,
                    topic=arguments.topic,
                    bucket=arguments.bucket,
                    inbox=arguments.inbox,
                    visibility_s=arguments.visibility_s,
                    receives=arguments.receives,
                )
            )
        except FAILURES as error:
            raise CommandError(str(error)) from None
    print(f"LIVETALLY_QUEUE_URL={made.queue_url}")
    print(f"LIVETALLY_DEAD_LETTER_QUEUE_URL={made.dead_letter_queue_url}")
    print(f"LIVETALLY_ARCHIVE_URL=s3://{made.bucket}/archive")
    return 0
