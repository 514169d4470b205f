"""A client of the items API."""

from typing import Any

from livetally.schema.keys import Role
from service.tests.support.server import Service


async def put(
    service: Service, path: str, value: object, key: str = "", **headers: str
) -> tuple[int, dict[str, Any]]:
    head = {"x-api-key": key or service.keys[Role.WRITE], **headers}
    options: dict[str, Any] = {"data": value} if isinstance(value, bytes) else {"json": value}
    if isinstance(value, bytes):
        head["content-type"] = "application/json"
    async with service.http.put(f"/v1/items/{path}", headers=head, **options) as response:
        return response.status, await response.json()


async def get(service: Service, path: str) -> tuple[int, dict[str, Any]]:
    headers = {"x-api-key": service.keys[Role.READ]}
    async with service.http.get(f"/v1/items/{path}", headers=headers) as response:
        return response.status, await response.json()


async def delete(service: Service, path: str, **headers: str) -> tuple[int, dict[str, Any]]:
    head = {"x-api-key": service.keys[Role.WRITE], **headers}
    async with service.http.delete(f"/v1/items/{path}", headers=head) as response:
        return response.status, await response.json()
