"""What a new migration must not do to tables that are in use: hold them for long, or rewrite them.

Looks at the SQL that each migration since the last release would run; `python -m migrations.check` does so.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

RELEASED = "0004_lexical_weights"
"""Everything up to here has run in the field, and stays as it is."""

CREATED = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\S+)", re.IGNORECASE)
TABLE = re.compile(
    r"ALTER TABLE (?:IF EXISTS |ONLY )*(\S+)|CREATE .*?INDEX .*? ON (?:ONLY )?(\S+)", re.I | re.S
)
INDEX_WORK = re.compile(
    r"(?:(?:CREATE|DROP) (?:UNIQUE )?INDEX|SET|RESET|DO|BEGIN|COMMIT|START)\b", re.IGNORECASE
)
RISKS = (
    (r"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)", "holds up writers: migrations.concurrently.create_index"),
    (r"ADD COLUMN (?!.*\b(?:DEFAULT|GENERATED)\b).*NOT NULL", "fails where there are rows: give a default"),
    (r"ADD COLUMN .*GENERATED ALWAYS AS \(.*STORED", "rewrites the table: fill a plain column bit by bit"),
    (r"ALTER COLUMN \S+ (?:SET DATA )?TYPE", "may rewrite the table: add a column instead"),
    (r"ALTER COLUMN \S+ SET NOT NULL", "reads the whole table: validate a check constraint first"),
    (r"ADD CONSTRAINT (?!.*(?:NOT VALID|USING INDEX))", "reads the whole table: NOT VALID, validate later"),
    (r"\bRENAME\b", "breaks the version before, which still runs: add, and remove in a later release"),
)


def find_risks(statements: str) -> list[str]:
    """What is wrong with the SQL of one migration, a line each. Tables that it makes itself are its own."""
    parts = [part.strip() for part in statements.split(";\n\n") if part.strip()]
    own = {name for part in parts for name in CREATED.findall(part)}
    found = []
    for part in parts:
        named = TABLE.search(part)
        if named is None or (named[1] or named[2]) in own:
            continue
        first_line = " ".join(part.split())[:100]
        found += [f"{first_line}: {why}" for risk, why in RISKS if re.search(risk, part, re.I | re.S)]
    if any("CONCURRENTLY" in part for part in parts):
        others = [part for part in parts if not INDEX_WORK.match(part)]
        found += [f"{' '.join(part.split())[:100]}: not beside a concurrent index" for part in others]
    return found


def lint_new_migrations(folder: Path) -> list[str]:
    """The risks of every migration after the last release, with the migration's name."""
    scripts = ScriptDirectory(str(folder))
    found = []
    for script in scripts.walk_revisions(base=RELEASED, head="heads"):
        if script.revision == RELEASED:
            continue
        written = io.StringIO()
        options = {"as_sql": True, "output_buffer": written}
        context = MigrationContext.configure(dialect_name="postgresql", opts=options)
        with context.begin_transaction(), Operations.context(context):
            script.module.upgrade()
        found += [f"{script.revision}: {risk}" for risk in find_risks(written.getvalue())]
    return found
