"""The role that the service runs as: it reads and writes rows, and owns nothing.

Whoever breaks into a process of ours can't drop a table, nor read another database's files. Made by
`livetally migrate`, which runs as the owner. Day partitions are made and dropped by functions that
run with the owner's rights, and that only this role may call.
"""

from psycopg.conninfo import conninfo_to_dict

from . import sql
from .database import MigrationError, connect


async def prepare(owner_url: str, service_url: str) -> str:
    """Make the role that `service_url` names, with its password, and grant what it needs.

    Safe to run any time, and needed after each migration. Returns the role's name. Raises
    MigrationError when the URL names no role, or one with rights that a service must not have.
    """
    named = conninfo_to_dict(service_url)
    role, password = named.get("user"), named.get("password")
    if not role or not password:
        raise MigrationError("LIVETALLY_SERVICE_DATABASE_URL names no user and password.")
    async with await connect(owner_url, application="livetally migrate") as connection:
        # Hashed here: a server that logs statements must not log the password.
        secret = connection.pgconn.encrypt_password(
            str(password).encode(), str(role).encode(), b"scram-sha-256"
        )
        async with connection.transaction():
            await connection.execute(sql.query("service_role_lock"))
            cursor = await connection.execute(sql.query("service_role_excess"), (role,))
            if excess := await cursor.fetchall():
                raise MigrationError(
                    f"The role {role!r} is {excess[0]['excess']}: the service needs one of its own."
                )
            cursor = await connection.execute(
                sql.query("service_role_statements"), (role, secret.decode())
            )
            for row in await cursor.fetchall():
                await connection.execute(row["statement"], prepare=False)
    return str(role)
