"""A Celery app whose tasks each count one event, by a client that was made at import."""

import os

from celery import Celery

from livetally.client import Client

client = Client()
app = Celery("tasks", broker=os.environ["BROKER"])
app.conf.update(
    task_default_queue=os.environ["QUEUE"],
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


@app.task(name="count")
def count() -> None:
    client.track("click", os.environ["QUEUE"])
