"""What all tables share: the metadata with its naming rules, and the kinds of columns that recur."""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# Compared by code points on every server.
KEY = sa.Text(collation="C")


def id_column() -> sa.Column[object]:
    return sa.Column("id", sa.Uuid(), primary_key=True)


def ref(
    name: str, target: str, *, primary_key: bool = False, nullable: bool = False, index: bool = False
) -> sa.Column[object]:
    return sa.Column(name, sa.ForeignKey(target), primary_key=primary_key, nullable=nullable, index=index)


def moment(name: str, *, nullable: bool = False, server_default: sa.TextClause | None = None) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, server_default=server_default)
