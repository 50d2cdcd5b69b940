"""What a hypertable refuses once it has columnstore (compression), and what it loses without a word."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.facts.timescale import FALSE, option, switched_on
from tidelock.core.lint.edit import Edit
from tidelock.core.lint.known import target
from tidelock.core.lint.rule import Remark, rule
from tidelock.core.lint.timescale.sight import columnstore, compressed, hypertable, in_block
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.action import Action, Column
    from tidelock.core.lint.known import Table
    from tidelock.core.lint.look import Look


@rule(
    "TS020",
    "ADD COLUMN that columnstore refuses",
    Severity.ERROR,
    why="With columnstore enabled a new column may be nullable or have a constant default, and nothing else: NOT NULL "
    "without a default, now() or random() as default, REFERENCES, UNIQUE, GENERATED and IDENTITY are refused (0A000), "
    "compressed chunks or not. On a table without columnstore, as in most tests, all of it passes.",
    fix="add the column nullable, and set its default for rows to come in a second statement",
    on=("add column",),
    refused=("0A000",),
)
def add_column(look: Look) -> Iterator[Remark]:
    """ADD COLUMN with more than a constant default."""
    for each in look.actions("add column"):
        table = columnstore(look.known, each.table)
        if not table or not table.hypertable or each.column is None or each.column.serial:
            continue
        if why := _refuses(each.column):
            one = len([*look.actions("add column")]) == len(look.facts.actions) == 1 and not in_block(look)
            yield Remark(
                message=f"{each.table} has columnstore, which refuses to add {each.name}: {why}",
                rewrite=_plain_column(look.text, each) if one else "",
            )


def _refuses(column: Column) -> str:
    kinds = {each.kind for each in column.constraints}
    if column.generated:
        return f"it is generated ({column.generated})"
    if found := sorted(kinds & {"foreign key", "unique", "primary key"}):
        return f"it has a {found[0]}"
    if column.default and column.default != "constant":
        return "its default is not a constant"
    if column.not_null and not column.default:
        return "it is NOT NULL without a default"
    return ""


def _plain_column(text: str, action: Action) -> str:
    """ADD COLUMN with name and type alone, and SET DEFAULT after it, when the text is simple."""
    pattern = rf"^(\s*ALTER\s+TABLE\s.*?ADD\s+(?:COLUMN\s+)?(?:IF\s+NOT\s+EXISTS\s+)?\"?{re.escape(action.name)}\"?)\s"
    head = re.match(pattern, text, re.IGNORECASE | re.DOTALL)
    column = action.column
    if head is None or column is None or column.generated:
        return ""
    made = f"{head[1]} {column.type};"
    default = re.search(r"\bDEFAULT\s+((?:[^\s(,;]|\([^()]*\))+)", text, re.IGNORECASE)
    if column.default and default:
        made += f"\nALTER TABLE {action.table} ALTER COLUMN {action.name} SET DEFAULT {default[1]};"
    return made


@rule(
    "TS021",
    "a serial column over columnstore is all NULL",
    Severity.ERROR,
    why="`ADD COLUMN x serial` is accepted on a hypertable with compressed chunks, and makes a NOT NULL column in "
    "which every compressed row is NULL; columns that were added with a default before lose their values too "
    "(1,445 of 1,445 rows). `WHERE x IS NULL` finds none of them, as the planner believes the constraint; UPDATEs "
    "of such rows fail with 23502. A defect of TimescaleDB 2.28 and 2.29 (timescale/timescaledb#8091).",
    fix="add a nullable bigint, and give new rows their number: SET DEFAULT nextval('…')",
    on=("add column",),
)
def serial(look: Look) -> Iterator[Remark]:
    """ADD COLUMN serial."""
    for each in look.actions("add column"):
        table = columnstore(look.known, each.table)
        if not table or not table.hypertable or each.column is None or not each.column.serial:
            continue
        sequence = f"{each.table}_{each.name}_seq"
        also = f", and {', '.join(sorted(table.fragile))} with it" if table.fragile else ""
        rewrite = (
            f"ALTER TABLE {each.table} ADD COLUMN IF NOT EXISTS {each.name} bigint;\n"
            f"CREATE SEQUENCE IF NOT EXISTS {sequence} OWNED BY {each.table}.{each.name};\n"
            f"ALTER TABLE {each.table} ALTER COLUMN {each.name} SET DEFAULT nextval('{sequence}');"
        )
        yield Remark(message=f"{each.name} becomes NULL in all compressed rows of {each.table}{also}", rewrite=rewrite)


REWRITES = ("cluster", "set unlogged", "set logged", "set tablespace", "set access method")
MOVES = ("reorder_chunk", "move_chunk", "merge_chunks", "merge_chunks_concurrently", "add_reorder_policy")


@rule(
    "TS022",
    "a rewrite of chunks loses a column's default",
    Severity.ERROR,
    why="A column that was added with a default has its value in the catalog only, for all rows that were compressed "
    "then. CLUSTER, SET UNLOGGED, reorder_chunk, merge_chunks and VACUUM FULL of a chunk rewrite the chunk and forget "
    "it: 8,643 of 8,643 rows became NULL, without an error (timescale/timescaledb#8091).",
    fix="first compress anew: compress_chunk(decompress_chunk(…)) of every compressed chunk",
    on=(*REWRITES, "vacuum full", "call"),
)
def forgets_default(look: Look) -> Iterator[Remark]:
    """Whatever rewrites chunks after ADD COLUMN … DEFAULT on compressed ones."""
    for table in _rewritten(look):
        columns = ", ".join(sorted(table.fragile))
        place = min(table.fragile.values())
        yield Remark(
            message=f"{columns} of {table.name} (added in {place.path} over compressed chunks) becomes NULL in every "
            f"compressed row",
            rewrite=f"{_recompress(table.name)}\n{look.text}",
        )


RECOMPRESS = """\
SELECT compress_chunk(decompress_chunk(format('%I.%I', chunk_schema, chunk_name)::regclass))
  FROM timescaledb_information.chunks
 WHERE hypertable_name = 'TABLE' AND is_compressed;"""


def _recompress(name: str) -> str:
    return RECOMPRESS.replace("TABLE", name.rpartition(".")[2])


def _rewritten(look: Look) -> Iterator[Table]:
    """Tables with fragile columns whose chunks a statement rewrites."""
    fragile = [each for each in look.known.tables.values() if each.fragile and each.columnstore]
    for each in look.actions(*REWRITES):
        found = look.known.table(each.table)
        if found in fragile or not each.table:
            yield from (one for one in fragile if one is found or not each.table)
    chunks = any("_timescaledb_internal." in each.table for each in look.actions("vacuum full", "cluster"))
    moves = [target(each) for each in look.calls(*MOVES)]
    chunks = chunks or any("_timescaledb_internal." in each for each in moves)
    shown = {*moves, *(target(each) for each in look.calls("show_chunks"))} if moves else set()
    yield from (each for each in fragile if each.name in shown or chunks)


@rule(
    "TS023",
    "a default over compressed chunks is in the catalog only",
    Severity.WARNING,
    why="ADD COLUMN … DEFAULT on a hypertable with compressed chunks is instant: no chunk holds the value. Whoever "
    "later runs VACUUM FULL on a chunk, CLUSTER, reorder_chunk or merge_chunks turns it into NULL, without an error "
    "(timescale/timescaledb#8091).",
    fix="compress the chunks anew after it, or add the column without a default and set the default for rows to come",
    on=("add column",),
)
def default_in_catalog(look: Look) -> Iterator[Remark]:
    """ADD COLUMN with a constant default over compressed chunks, unless the file recompresses."""
    for each in look.actions("add column"):
        table = compressed(look.known, each.table)
        if not table or any(_recompresses(later.facts.actions) for later in look.file.statements[look.number + 1 :]):
            continue
        if table.hypertable and each.column and each.column.default == "constant" and not each.column.serial:
            yield Remark(
                message=f"no compressed chunk of {each.table} holds {each.name}: a rewrite of the chunk makes it NULL",
                rewrite="" if in_block(look) else f"{look.text.rstrip().rstrip(';')};\n{_recompress(each.table)}",
            )


def _recompresses(actions: tuple[Action, ...]) -> bool:
    calls = [each for each in actions if each.what == "call"]
    if any(each.arguments.get("recompress") is True for each in calls):
        return True
    return {"compress_chunk", "decompress_chunk"} <= {each.name.rpartition(".")[2] for each in calls}


@rule(
    "TS024",
    "a column's type under compressed chunks",
    Severity.ERROR,
    why="ALTER COLUMN … TYPE is refused as soon as one chunk is compressed (0A000 `operation not supported on "
    "hypertables with compressed chunks`), even from varchar to text. On a test database without compressed chunks it "
    "passes.",
    fix="add a column of the new type, write both, fill it, and drop the old one in a later file; or decompress all "
    "chunks first",
    on=("alter type",),
    refused=("0A000",),
)
def alter_type(look: Look) -> Iterator[str]:
    """ALTER COLUMN TYPE."""
    for each in look.actions("alter type"):
        table = compressed(look.known, each.table)
        if table and table.hypertable and each.column:
            yield (
                f"{each.table} may have compressed chunks, and {each.name} cannot become {each.column.type} under them"
            )


@rule(
    "TS025",
    "row security and columnstore exclude each other",
    Severity.ERROR,
    why="ENABLE (or DISABLE, or FORCE) ROW LEVEL SECURITY on a hypertable with columnstore is refused, and so is "
    "columnstore on a table with row security (0A000). CREATE POLICY passes, and protects nothing: the policies "
    "are not enforced.",
    fix="choose one; for tenants, put a security_barrier view before the hypertable and grant only that",
    on=("enable row security", "disable row security", "force row security", "no force row security", "set options"),
    refused=("0A000",),
)
def row_security(look: Look) -> Iterator[str]:
    """Both, in either order."""
    for each in look.facts.actions:
        table = look.known.table(each.table)
        if table is None:
            continue
        if each.what.endswith("row security") and table.hypertable and table.columnstore:
            yield f"{each.table} has columnstore, under which row security can be neither enabled nor disabled"
        if each.what == "set options" and table.row_security and _enables(each):
            yield f"{each.table} has row security, and columnstore refuses it"


def _enables(action: Action) -> bool:
    settings = dict(action.options)
    return switched_on(settings, "compress") or switched_on(settings, "enable_columnstore")


@rule(
    "TS026",
    "VALIDATE CONSTRAINT under columnstore",
    Severity.ERROR,
    why="VALIDATE CONSTRAINT is refused on a hypertable with columnstore (0A000). It is not needed either: there ADD "
    "CONSTRAINT … NOT VALID reads all rows at once, so the constraint holds as soon as it is there.",
    fix="delete the statement, and write ADD CONSTRAINT without NOT VALID",
    on=("validate constraint",),
    refused=("0A000",),
)
def validate(look: Look) -> Iterator[str]:
    """VALIDATE CONSTRAINT."""
    for each in look.actions("validate constraint"):
        table = columnstore(look.known, each.table)
        if table and table.hypertable:
            yield f"{each.table} has columnstore, which refuses to validate {each.name}"


@rule(
    "TS027",
    "NOT VALID reads every row all the same",
    Severity.WARNING,
    why="On a hypertable with columnstore ADD CONSTRAINT … CHECK … NOT VALID is checked against all rows, compressed "
    "ones too, under AccessExclusive locks on all chunks; a row that breaks it stops the file (23514).",
    fix="mend the rows first, and apply it when little is read and written",
    on=("add constraint",),
)
def not_valid(look: Look) -> Iterator[str]:
    """ADD CONSTRAINT CHECK NOT VALID."""
    for each in look.actions("add constraint"):
        table = compressed(look.known, each.table)
        found = each.constraint
        if table and table.hypertable and found and found.not_valid and found.kind == "check":
            yield f"{each.table} is read as a whole while it is locked: NOT VALID does not defer {found.name or 'it'}"


@rule(
    "TS028",
    "columnstore switched off over compressed chunks",
    Severity.ERROR,
    why="`cannot disable columnstore on hypertable with columnstore chunks` (0A000): every chunk has to be "
    "decompressed first, and the policy has to go, or it compresses the next one.",
    fix="remove the policy and decompress all chunks first",
    on=("set options",),
    refused=("0A000",),
)
def switched_off(look: Look) -> Iterator[Remark]:
    """SET (timescaledb.compress = false)."""
    for each in look.actions("set options"):
        table = compressed(look.known, each.table)
        values = [option(dict(each.options), name) for name in ("compress", "enable_columnstore")]
        if table is None or not any(value is not None and value.lower() in FALSE for value in values):
            continue
        if any(call.name.rpartition(".")[2] in UNPACKS for one in look.earlier for call in one.facts.actions):
            continue
        yield Remark(
            message=f"{each.table} may have compressed chunks, over which columnstore cannot be switched off",
            rewrite=f"CALL remove_columnstore_policy('{each.table}', if_exists => true);\n"
            f"SELECT decompress_chunk(c, true) FROM show_chunks('{each.table}') c;\n{look.text}",
        )


UNPACKS = ("decompress_chunk", "convert_to_rowstore")


@rule(
    "TS029",
    "rows change in compressed chunks",
    Severity.WARNING,
    why="UPDATE, and DELETE with a condition, decompress the rows they touch, segment by segment, and stop at "
    "100,000 of them: 53400 `tuple decompression limit exceeded by operation`. What passes on a small test "
    "database fails on the large one, and what passes leaves chunks half compressed.",
    fix="limit it to the chunks that are not compressed yet (WHERE time > …), or to a segmentby column and some days",
    on=("update", "delete"),
)
def rows_change(look: Look) -> Iterator[str]:
    """UPDATE or DELETE that is not limited by time."""
    for each in look.actions("update", "delete"):
        table = compressed(look.known, each.table)
        if not table or not table.hypertable or not table.time or (each.what == "delete" and "where" not in each.flags):
            continue
        if not re.search(rf"\bWHERE\b.*\b{re.escape(table.time)}\b", look.text, re.IGNORECASE | re.DOTALL):
            yield (
                f"{each.what.upper()} without a limit on {table.time} decompresses chunks of {each.table}, up to "
                "100,000 rows"
            )


@rule(
    "TS030",
    "a column that columnstore is ordered by",
    Severity.ERROR,
    why="A column of `segmentby` or `orderby` cannot be dropped while compressed chunks have it: 0A000 `cannot drop "
    "orderby or segmentby column from a chunk with columnstore enabled`.",
    fix="decompress all chunks and take the column out of the settings first",
    on=("drop column",),
    refused=("0A000",),
)
def packing_column(look: Look) -> Iterator[str]:
    """DROP COLUMN of a segmentby or orderby column."""
    for each in look.actions("drop column"):
        table = compressed(look.known, each.table)
        if table and each.name in table.packing:
            yield f"{each.name} is what compressed chunks of {each.table} are segmented or ordered by"


@rule(
    "TS031",
    "an old name",
    Severity.NOTE,
    why="add_compression_policy, compress_chunk and their like still work; since 2.18 they are called "
    "add_columnstore_policy, convert_to_columnstore, … and the old names are deprecated.",
    fix="use the new name; add_columnstore_policy is a procedure: CALL it",
    optional=True,
    on=("call",),
)
def old_names(look: Look) -> Iterator[Remark]:
    """Deprecated functions."""
    for each in look.calls(*OLD):
        name = each.name.rpartition(".")[2]
        rewrite, edit = "", _called(look, name) if name in PROCEDURES else None
        if edit:
            rewrite = edit.text + look.text[edit.end :]
        yield Remark(message=f"{name} is now {OLD[name]}", rewrite=rewrite)


OLD = {
    "add_compression_policy": "add_columnstore_policy",
    "remove_compression_policy": "remove_columnstore_policy",
    "decompress_chunk": "convert_to_rowstore",
}
PROCEDURES = ("add_compression_policy", "remove_compression_policy")


def _called(look: Look, name: str) -> Edit | None:
    """`SELECT old(` → `CALL new(`; only where that is the whole statement."""
    found = re.match(rf"\s*SELECT\s+(?:public\.)?{name}\s*\(", look.text, re.IGNORECASE)
    return Edit(0, found.end(), f"CALL {OLD[name]}(") if found and len(look.facts.actions) == 1 else None


@rule(
    "TS032",
    "columnstore on what is no hypertable",
    Severity.ERROR,
    why="The options `timescaledb.*` are for hypertables and continuous aggregates: on a plain table they are refused "
    "(22023), and so are policies (TS001 `is not a hypertable or a continuous aggregate`).",
    fix="call create_hypertable first",
    on=("set options", "call"),
    refused=(
        "22023",
        "TS001",
    ),
)
def no_hypertable(look: Look) -> Iterator[str]:
    """Options and policies on a plain table that a file has created."""
    for each in look.actions("set options"):
        if any(name.startswith(("timescaledb.", "tsdb.")) for name in each.options) and _plain(look, each.table):
            yield f"{each.table} is a plain table: options of TimescaleDB are refused"
    for each in look.actions("call"):
        name = each.name.rpartition(".")[2]
        if name.startswith("add_") and name.endswith("_policy") and _plain(look, target(each)):
            yield f"{target(each)} is a plain table: {name} is refused"


def _plain(look: Look, name: str) -> bool:
    found = look.known.table(name)
    whole = found is not None and found.whole and not found.partitioned
    return whole and hypertable(look.known, name) is None and not look.known.is_aggregate(name)
