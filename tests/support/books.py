"""What a database of the office looks like from outside: its shape and its rows, the same words for both engines."""

import sqlalchemy as sa
from alembic import command
from alembic.runtime.migration import MigrationContext

from back_office.store.engine import make_engine, migrations_config

VERSIONS_TABLE = "alembic_version"
_TRIGGERS = {
    "sqlite": "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY 1, 2",
    "postgresql": (
        "SELECT t.tgname, t.tgrelid::regclass::text, p.prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
        "WHERE NOT t.tgisinternal ORDER BY 1, 2"
    ),
}
_FUNCTIONS = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1"


class Books:
    """A database whose version moves: `up` and `down` are what the release does."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = make_engine(sa.make_url(url))

    def version(self) -> str:
        with self.engine.connect() as looking:
            return MigrationContext.configure(looking).get_current_revision() or ""

    def up(self, to: str = "head") -> None:
        config = migrations_config()
        with self.engine.begin() as tx:
            config.attributes["connection"] = tx
            command.upgrade(config, to)

    def shape(self) -> dict[str, object]:
        """Return tables, columns, keys, checks, indexes, triggers and functions."""
        with self.engine.connect() as tx:
            look = sa.inspect(tx)
            found: dict[str, object] = {}
            for table in sorted(look.get_table_names()):
                columns = [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in look.get_columns(table)]
                found[table] = (
                    columns,
                    _told(look.get_pk_constraint(table)),
                    _sorted(look.get_foreign_keys(table)),
                    _sorted(look.get_check_constraints(table)),
                    _sorted(look.get_unique_constraints(table)),
                    _sorted(look.get_indexes(table)),
                )
            name = tx.dialect.name
            found["triggers"] = [tuple(row) for row in tx.exec_driver_sql(_TRIGGERS[name])]
            if name == "postgresql":
                found["functions"] = list(tx.exec_driver_sql(_FUNCTIONS).scalars())
            return found

    def rows(self) -> dict[str, dict[str, list[object]]]:
        """Return every row, by table and column; rows in the order of their whole content."""
        found = {}
        with self.engine.connect() as tx:
            for table in sa.inspect(tx).get_table_names():
                if table == VERSIONS_TABLE:
                    continue
                result = tx.execute(sa.text(f'SELECT * FROM "{table}"'))  # noqa: S608 - our own tables
                names = list(result.keys())
                lines = sorted((tuple(_plain(value) for value in row) for row in result), key=repr)
                found[table] = {name: [line[at] for line in lines] for at, name in enumerate(names)}
        return found

    def put(self, rows: dict[str, dict[str, list[object]]]) -> None:
        """Put rows in as they are; on PostgreSQL in whatever order they point to each other."""
        with self.engine.begin() as tx:
            if tx.dialect.name == "postgresql":
                tx.exec_driver_sql("SET LOCAL session_replication_role = replica")
            for name, columns in rows.items():
                table = sa.table(name, *map(sa.column, columns))
                lines = [dict(zip(columns, line, strict=True)) for line in zip(*columns.values(), strict=True)]
                if lines:
                    tx.execute(sa.insert(table), lines)

    def close(self) -> None:
        self.engine.dispose()


def common(rows, other):
    """Return of `rows` what tables and columns both have, lines sorted by just those."""
    return {
        table: sorted(
            zip(*(columns[name] for name in columns if name in other[table]), strict=True) if columns else (), key=repr
        )
        for table, columns in rows.items()
        if table in other
    }


def _plain(value):
    return bytes(value) if isinstance(value, memoryview) else value


def _sorted(found):
    return sorted(map(_told, found), key=repr)


def _told(found):
    """Return what was found with the conditions of indexes as texts, which can be compared."""
    if isinstance(found, dict):
        return {name: _told(value) for name, value in found.items()}
    return str(found) if isinstance(found, sa.ClauseElement) else found
