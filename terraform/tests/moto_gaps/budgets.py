"""Budgets: nobody can ask who is told, and tags are forgotten."""

import json
from typing import Any

from moto.budgets.responses import BudgetsResponse


def fill() -> None:
    tags: dict[str, list[dict[str, str]]] = {}
    create_of_moto = BudgetsResponse.create_budget

    def create_budget(response: Any) -> Any:
        name = response._get_param("Budget")["BudgetName"]
        arn = f"arn:aws:budgets::{response._get_param('AccountId')}:budget/{name}"
        tags[arn] = response._get_param("ResourceTags") or []
        return create_of_moto(response)

    def list_tags_for_resource(response: Any) -> str:
        return json.dumps({"ResourceTags": tags.get(response._get_param("ResourceARN"), [])})

    def describe_subscribers_for_notification(response: Any) -> str:
        budgets = response.backend.budgets[response._get_param("AccountId")]
        wanted = _key(response._get_param("Notification"))
        found = [
            subscriber
            for notification in budgets[response._get_param("BudgetName")].notifications
            if _key(notification.details) == wanted
            for subscriber in notification.subscribers
        ]
        return json.dumps({"Subscribers": found})

    for call in (create_budget, list_tags_for_resource, describe_subscribers_for_notification):
        setattr(BudgetsResponse, call.__name__, call)


def _key(notification: dict[str, Any]) -> tuple[str, float]:
    return notification["NotificationType"], float(notification["Threshold"])
