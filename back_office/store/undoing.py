"""What a migration's way back needs: it is refused where the release before cannot hold what stands in the books."""

from typing import Final

from alembic import op

from back_office.store.faults import StoreDowngradeError

_SQLITE: Final = "sqlite"


def refuse_where(rows: str, why: str) -> None:
    """Refuse the way back where there are rows; `rows` is what follows FROM, `why` follows their number."""
    if op.get_context().as_sql:
        return
    (count,) = op.get_bind().exec_driver_sql(f"SELECT count(*) FROM {rows}").one()  # noqa: S608 - of the migrations
    if count:
        message = f"{count} {why}"
        raise StoreDowngradeError(message)


def drop_tables(*tables: str) -> None:
    """Drop tables in this order, those that point to others first; their indexes and triggers go with them."""
    for table in tables:
        op.drop_table(table)


def drop_functions(*names: str) -> None:
    """Drop the functions of triggers that are gone; SQLite's triggers have none."""
    if op.get_bind().dialect.name != _SQLITE:
        for name in names:
            op.execute(f"DROP FUNCTION {name}()")


def drop_columns(table: str, *names: str) -> None:
    """Drop columns, and with each what it alone was checked for."""
    for name in names:
        op.drop_column(table, name)
