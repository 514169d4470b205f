"""SQS: the redrive-allow policy is forgotten, the redrive policy comes back with blanks, and to set
any attribute forgets the policy.
"""

import json
from typing import Any

from moto.sqs.models import Queue


def fill() -> None:
    Queue.BASE_ATTRIBUTES = [*Queue.BASE_ATTRIBUTES, "RedriveAllowPolicy"]
    Queue.redrive_allow_policy = None
    attributes_of_moto = Queue.attributes.fget
    set_of_moto = Queue._set_attributes

    def attributes(queue: Queue) -> dict[str, Any]:
        told = attributes_of_moto(queue)
        found = {name: value for name, value in told.items() if value not in (None, "")}
        if policy := found.get("RedrivePolicy"):
            found["RedrivePolicy"] = json.dumps(json.loads(policy), separators=(",", ":"))
        return found

    def set_attributes(queue: Queue, told: dict[str, Any], now: float | None = None) -> None:
        kept = {"Policy": queue.policy} if hasattr(queue, "_policy_json") else {}
        set_of_moto(queue, {**kept, **told}, now)

    Queue.attributes = property(attributes)
    Queue._set_attributes = set_attributes
