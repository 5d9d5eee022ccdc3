"""Customers, created from what a channel proves or claims. One address is one customer; nothing is merged here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, or_, select, update
from sqlalchemy.engine import Connection

from schemas import ids
from schemas.interaction import Contact
from store.sql import insert, insert_many_new
from store.tables import customers


@dataclass(frozen=True, slots=True)
class Customer:
    id: str
    kind: str
    address: str
    name: str
    tier: str | None
    tags: tuple[str, ...]
    segment: str | None
    agreement: str | None
    created_at: datetime


def ensure(conn: Connection, contacts: Sequence[Contact], at: datetime) -> list[str]:
    """Each contact's customer; new rows for addresses that have not been seen. Nameless contacts get one of their
    own."""
    found: list[str] = []
    rows: dict[str, dict[str, Any]] = {}
    for contact in contacts:
        sender = contact.sender
        address = sender.address or ids.interaction_id(contact.channel, contact.account, contact.native_id)
        kind = sender.kind if sender.address else "anonymous"
        customer_id = ids.customer_id(kind, address)
        found.append(customer_id)
        row = {"id": customer_id, "kind": kind, "address": address, "name": sender.name, "tags": [], "created_at": at}
        rows.setdefault(customer_id, row)
    insert_many_new(conn, customers, [rows[customer_id] for customer_id in sorted(rows)])
    return found


def classify(
    conn: Connection,
    kind: str,
    address: str,
    at: datetime,
    **known: Any,
) -> str:
    """Set what the company knows of a customer, who need not have written yet: `tier`, `segment`, `agreement`, `tags`
    (a list), `name`. What is not given stays as it is. Gives the customer's id."""
    customer_id = ids.customer_id(kind, address)
    first = {"tags": [], **known}
    statement = insert(conn, customers).values(id=customer_id, kind=kind, address=address, created_at=at, **first)
    if known:
        statement = statement.on_conflict_do_update(index_elements=["id"], set_=known)
    else:
        statement = statement.on_conflict_do_nothing()
    conn.execute(statement)
    return customer_id


def by_id(conn: Connection, customer_ids: Sequence[str]) -> dict[str, Customer]:
    rows = conn.execute(select(customers).where(customers.c.id.in_(customer_ids)))
    return {row.id: _customer(row) for row in rows}


def by_address(conn: Connection, address: str) -> list[Customer]:
    """Those with this address, of any kind."""
    return [_customer(row) for row in conn.execute(select(customers).where(customers.c.address == address))]


def classified(conn: Connection, limit: int) -> list[Customer]:
    """Those of whom the company has said something, by address."""
    said = or_(*(column.is_not(None) for column in (customers.c.tier, customers.c.segment, customers.c.agreement)))
    tagged = customers.c.tags != []
    rows = conn.execute(select(customers).where(or_(said, tagged)).order_by(customers.c.address).limit(limit))
    return [_customer(row) for row in rows]


def _customer(row: Row[Any]) -> Customer:
    values = {**row._asdict(), "tags": tuple(row.tags or ())}
    return Customer(**values)


def tag(conn: Connection, kind: str, address: str, name: str) -> None:
    """Add a tag to a customer who is known."""
    known = customers.c.id == ids.customer_id(kind, address)
    tags = conn.scalar(select(customers.c.tags).where(known).with_for_update())
    if tags is not None and name not in tags:
        conn.execute(update(customers).where(known).values(tags=[*tags, name]))
