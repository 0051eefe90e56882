"""What alembic runs: the migrations on the connection that store/engine.py opened, inside its transaction."""

from typing import Any

from alembic import context

connection: Any = context.config.attributes["connection"]
context.configure(connection=connection, transactional_ddl=True)
context.run_migrations()
