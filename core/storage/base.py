"""The base of every table: one metadata, names that migrations can rely on, and text that Postgres takes."""

from __future__ import annotations

import json
import re
from typing import Any

from sqlalchemy import Dialect, MetaData, Text
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

REPLACEMENT = "\ufffd"
NUL_IN_JSON = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def to_storable_text(text: str) -> str:
    """Postgres stores neither NUL nor half a surrogate pair, and people can send both."""
    if "\x00" in text:
        text = text.replace("\x00", REPLACEMENT)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(REPLACEMENT if "\ud800" <= character <= "\udfff" else character for character in text)
    return text


def to_storable_json(value: Any) -> str:
    """JSON that jsonb accepts; see `to_storable_text`."""
    dumped = to_storable_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    return NUL_IN_JSON.sub(rf"\1{REPLACEMENT}", dumped) if "\\u0000" in dumped else dumped


class StorableText(TypeDecorator[str]):
    """`text`, with what Postgres refuses replaced on the way in."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else to_storable_text(value)


class Base(DeclarativeBase):
    """What all tables of Threadlore inherit from."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {str: StorableText()}  # noqa: RUF012 (SQLAlchemy reads it from the class)
