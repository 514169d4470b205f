"""Users who come from the older systems, one kind for each format."""

import json
import random
import time
from typing import Any

from loadtest.load.base import PROJECT, READ_KEY, WRITE_KEY, Paced, books, dump, ledger, one_counted
from loadtest.load.socket import Closed

JSON = {"content-type": "application/json"}
COLOURS = ("red", "blue", "green")


class ColourUser(Paced):
    """Format 1: an action on a colour, and `/ws` for the list."""

    rate = 1.0

    def on_start(self) -> None:
        self.socket = self.connect("/ws")
        self.socket.send(dump({"action": "add_api_key", "api_key": READ_KEY}))

    def step(self, due: float) -> None:
        action = random.choice(("click", "hover"))
        with one_counted(action) as fine:
            answer = self.send(
                "POST",
                "/v1/events",
                due,
                "format 1",
                headers=JSON | {"Authorization": WRITE_KEY},
                data=dump({"action": action, "color": random.choice(COLOURS)}),
            )
            if answer is not None:
                fine.append(True)


class RailsUser(Paced):
    """Format 2: the same by form, with ActionCable."""

    rate = 1.0

    def on_start(self) -> None:
        self.socket = self.connect(
            f"/v1/events/cable?api_key={READ_KEY}",
            **{"Sec-WebSocket-Protocol": "actioncable-v1-json"},
        )
        identifier = dump({"channel": "ClicksChannel"})
        self.socket.send(dump({"command": "subscribe", "identifier": identifier}))

    def step(self, due: float) -> None:
        action = random.choice(("click", "hover"))
        colour = random.choice(COLOURS)
        with one_counted(action) as fine:
            answer = self.send(
                "POST",
                "/v1/events",
                due,
                "format 2",
                headers={
                    "Authorization": f"Token token={WRITE_KEY}",
                    "content-type": "application/x-www-form-urlencoded",
                },
                data=f"action_color[action_name]={action}&action_color[color_name]={colour}",
            )
            if answer is not None:
                fine.append(True)


class BlogReader(Paced):
    """Format 3: a view of an article, answered with the article's counts."""

    rate = 0.5

    def on_start(self) -> None:
        self.socket = self.connect(f"/ws?api_key={WRITE_KEY}")
        self._article = ledger.new_id()
        self._views = 0

    def step(self, due: float) -> None:
        id = ledger.new_id()
        view = {
            "message": "views",
            "id": id,
            "articleId": self._article,
            "articleTitle": "A title",
            "currentPage": "/posts/a-title",
            "refreshed": self._views > 0,
        }
        error: Exception | None = None
        page, article = f"{id}:page_view", f"{id}:article_view"
        with books("page_view", [page]) as pages, books("article_view", [article]) as articles:
            try:
                self.socket.send(dump(view))
                while self._views < 1 or not pages:
                    counts = json.loads(self.socket.receive())
                    if counts.get("totalViews", 0) > self._views:
                        self._views = counts["totalViews"]
                        pages.append(page)
                        articles.append(article)
            except (OSError, Closed) as gone:
                error = gone
        self.report("seen", "format 3", time.monotonic() - due, error)
        if error is not None:
            self.on_start()


class Van(Paced):
    """Format 4: puts its position, and sees it on `/ws?vehicle-id=`."""

    rate = 1.0

    def on_start(self) -> None:
        self._id = ledger.new_id()
        self._n = 0
        self._stored = 0
        self._put(time.monotonic())
        self.socket = self.connect(f"/ws?vehicle-id={self._id}&api_key={READ_KEY}")

    def step(self, due: float) -> None:
        error: Exception | None = None
        if not self._put(due):
            return
        try:
            while self._seen() < self._n:
                pass
        except (OSError, Closed) as gone:
            error = gone
        self.report("seen", "format 4", time.monotonic() - due, error)
        if error is not None:
            self.socket = self.connect(f"/ws?vehicle-id={self._id}&api_key={READ_KEY}")

    def _seen(self) -> int:
        """How far the position that came is."""
        return int(json.loads(self.socket.receive())["n"]["N"])

    def _put(self, due: float) -> bool:
        self._n += 1
        try:
            answer = self.send(
                "PUT",
                f"/v1/items/vehicle-id/{self._id}",
                due,
                "format 4",
                headers=JSON | {"x-api-key": WRITE_KEY},
                data=dump({"n": self._n}),
            )
            if answer is not None:
                self._stored = self._n
            return answer is not None
        finally:
            ledger.put(self._id, self._stored, self._n)


class CollectorUser(Paced):
    """Format 5: a button and a page view, with HTTP Basic."""

    rate = 1.0

    def step(self, due: float) -> None:
        id = ledger.new_id()
        path, type_, field = random.choice(
            (
                ("/button/click", "button_click", "button_id"),
                ("/web/page_view", "page_view", "url"),
            )
        )
        sent: dict[str, Any] = {"id": id, "session_id": "s", field: f"x{random.randrange(9)}"}
        with books(type_, [id]) as acknowledged:
            answer = self.send(
                "POST",
                path,
                due,
                "format 5",
                auth=(PROJECT, WRITE_KEY),
                headers=JSON,
                data=dump(sent),
            )
            if answer is not None:
                acknowledged.append(id)
