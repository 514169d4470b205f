"""What both Python peers do with messages: count in memory, and say so."""

import json
import os

PORT = int(os.environ["PEER_PORT"])
INTERVAL_S = float(os.environ["PEER_INTERVAL_MS"]) / 1000


class Counts:
    """Nothing is stored, nothing counts once: only what a library's own server would do."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._changed = False

    def answer(self, text: str | bytes) -> tuple[str, str | None]:
        """(the message's type, what to answer)"""
        message = json.loads(text)
        match message["type"]:
            case "subscribe":
                return "subscribe", self._as_json(type="snapshot", id=message["id"])
            case "track":
                for event in message["events"]:
                    subject = event["subject"]
                    self._counts[subject] = self._counts.get(subject, 0) + 1
                self._changed = True
                done = {"accepted": len(message["events"]), "duplicates": 0}
                return "track", _text({"type": "ack", "ref": message["ref"], **done})
        return message["type"], None

    def news(self) -> str | None:
        """What changed since the last call."""
        if not self._changed:
            return None
        self._changed = False
        return self._as_json(type="update", id=0)

    def _as_json(self, **head: object) -> str:
        return _text({**head, "totals": self._counts, "total": sum(self._counts.values())})


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
