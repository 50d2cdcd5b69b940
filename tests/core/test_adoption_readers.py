"""Other tools' files: what is taken as up, what as a marker, and checksums as the tools recorded them.

The checksums here were written by the tools themselves (see docs/adopting for versions), not by us.
"""

from __future__ import annotations

import pytest

from tidelock.core.adoption.tool import TOOLS
from tidelock.core.adoption.writing import written


def read_files(tool: str, files: dict[str, str]):
    return TOOLS[tool].read({name: text.encode() for name, text in files.items()})


def test_dbmate_takes_the_first_up_block_alone():
    text = "-- note\n-- migrate:up transaction:false\nCREATE TABLE a (id int);\n-- migrate:down\nDROP TABLE a;\n"
    [found] = read_files("dbmate", {"db/20240101_make_a.sql": text})
    assert (found.key, found.sql, found.transaction) == ("20240101", "CREATE TABLE a (id int);\n", False)


def test_dbmate_without_its_marker_says_why():
    [found] = read_files("dbmate", {"1_a.sql": "CREATE TABLE a (id int);"})
    assert found.sql is None
    assert "migrate:up" in found.why_not


def test_goose_takes_what_stands_between_up_and_down_without_markers():
    text = (
        "-- +goose NO TRANSACTION\n-- +goose Up\n-- +goose StatementBegin\nCREATE FUNCTION f() RETURNS int\n"
        "LANGUAGE sql AS $$ SELECT 1; $$;\n-- +goose StatementEnd\n-- +goose Down\nDROP FUNCTION f;\n"
    )
    [found] = read_files("goose", {"00003_f.sql": text})
    assert found.key == "3"
    assert found.sql == "CREATE FUNCTION f() RETURNS int\nLANGUAGE sql AS $$ SELECT 1; $$;\n"
    assert not found.transaction


def test_goose_with_environment_variables_is_not_turned_into_sql():
    [found] = read_files("goose", {"1_a.sql": "-- +goose ENVSUB ON\n-- +goose Up\nSELECT '$X';\n"})
    assert found.sql is None


def test_golang_migrate_takes_the_up_files():
    found = read_files("golang-migrate", {"2_b.up.sql": "B", "1_a.up.sql": "A", "1_a.down.sql": "no", "readme.md": ""})
    assert [(each.key, each.sql) for each in found] == [("1", "A"), ("2", "B")]


def test_tern_takes_what_stands_above_its_line_and_no_templates():
    plain, template = read_files(
        "tern",
        {
            "001_a.sql": "---- tern: disable-tx ----\nA;\n---- create above / drop below ----\nDROP;",
            "002_b.sql": '{{ template "x" }}',
        },
    )
    assert (plain.sql, plain.transaction) == ("A;\n", False)
    assert template.sql is None


def test_diesel_orders_folders_as_text_and_reads_their_metadata():
    found = read_files(
        "diesel",
        {
            "m/2024-01-02-000000_b/up.sql": "B",
            "m/2024-01-02-000000_b/metadata.toml": "run_in_transaction = false",
            "m/2024-01-01-000000_a/up.sql": "A",
            "m/2024-01-01-000000_a/down.sql": "no",
        },
    )
    assert [(each.key, each.transaction) for each in found] == [("20240101000000", True), ("20240102000000", False)]


def test_sqlx_sums_are_sha384():
    [found] = read_files("sqlx", {"1_a.up.sql": "-- no-transaction\r\nA", "1_a.down.sql": "no"})
    assert len(found.sums) == 2
    assert {len(each) for each in found.sums} == {96}
    assert not found.transaction


CUSTOMERS = """CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
"""
OTHER_CUSTOMERS = """CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    email text
);
"""
SHA384 = "30f687edf30680022a207250dec463dc0b6815c9479aa4b5f773cb7724f87aed178f491dcf09a642cd065e078de227e5"
LIQUIBASE = f"--liquibase formatted sql\n\n--changeset ada:1\n{CUSTOMERS}--rollback DROP TABLE customers;\n"


@pytest.mark.parametrize(
    ("tool", "name", "text", "recorded"),
    [
        ("flyway", "V1__create_customers.sql", CUSTOMERS, "1916150359"),
        ("flyway", "V1__create_customers.sql", CUSTOMERS.replace("\n", "\r\n"), "1916150359"),
        ("flyway", "V1__create_customers.sql", f"\ufeff{CUSTOMERS}", "1916150359"),
        ("sqlx", "20240101120700_create_customers.up.sql", OTHER_CUSTOMERS, SHA384),
        ("sqlx", "20240101120700_create_customers.up.sql", OTHER_CUSTOMERS.replace("\n", "\r\n"), SHA384),
        (
            "atlas",
            "20240101120700_create_customers.sql",
            OTHER_CUSTOMERS,
            "Cb5lPblDHOG0+gnxTWumCzCConJcS7II2GnEZpgklyM=",
        ),
        ("liquibase", "changes/001-customers.sql", LIQUIBASE, "9:5467a0afa75bf50179195e196354b68d"),
    ],
)
def test_a_checksum_is_as_the_tool_recorded_it(tool: str, name: str, text: str, recorded: str):
    [found] = read_files(tool, {name: text})
    assert recorded in found.sums


def test_flyway_orders_versions_as_numbers_and_repeatables_last():
    found = read_files(
        "flyway",
        {"V10__c.sql": "C", "V2__b.sql": "B", "V1_5__a.sql": "A", "R__view.sql": "V", "U2__b.sql": "no", "V3.sql": "D"},
    )
    assert [(each.key, each.repeatable) for each in found] == [
        ("1.5", False), ("2", False), ("3", False), ("10", False), ("R__view.sql", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("flyway.conf", "flyway.placeholders.who=app\n"),
        ("conf/flyway.toml", '[flyway]\nmixed = true\n[flyway.placeholders]\nwho = "app"\n'),
    ],
)
def test_flyways_placeholders_come_from_its_settings(name: str, settings: str):
    known, unknown = read_files(
        "flyway",
        {name: settings, "V1__a.sql": "GRANT x TO ${who};", "V2__b.sql": "${nobody}"},
    )
    assert known.sql == "GRANT x TO app;"
    assert unknown.sql is None


def test_alembic_comes_after_down_revision_and_depends_on():
    found = read_files(
        "alembic",
        {
            "versions/c3_c.py": "revision: str = 'c3'\ndown_revision = ('a1',)\ndepends_on = 'label'\n",
            "versions/b2_b.py": "revision = 'b2'\ndown_revision = 'a1'\nbranch_labels = ('label',)\n",
            "versions/a1_a.py": "revision = 'a1'\ndown_revision = None\ndef upgrade():\n    x = 1\n",
        },
    )
    assert [each.key for each in found] == ["a1", "b2", "c3"]
    assert found[2].after == ("a1", "b2")


def test_django_comes_after_its_dependencies_over_apps():
    found = read_files(
        "django",
        {
            "shop/migrations/0002_b.py": "class Migration:\n    dependencies = [('shop', '0001_a'), ('pay', '0001_a')]\n",
            "shop/migrations/0001_a.py": "class Migration:\n    dependencies = [swappable('x')]\n",
            "pay/migrations/0001_a.py": "class Migration:\n    dependencies = [('shop', '0001_a')]\n",
            "pay/migrations/__init__.py": "",
        },
    )
    assert [each.key for each in found] == ["shop.0001_a", "pay.0001_a", "shop.0002_b"]


def test_yoyo_reads_depends_and_leaves_rollbacks():
    found = read_files(
        "yoyo",
        {"0001.b.sql": "-- depends: 0002.a\nB", "0002.a.sql": "A", "0001.b.rollback.sql": "no", "0003.c.py": "x = 1"},
    )
    assert [each.key for each in found] == ["0002.a", "0001.b", "0003.c"]
    assert found[2].sql is None


def test_liquibase_reads_changesets_and_leaves_rollbacks_and_comments():
    text = (
        "--liquibase formatted sql\n--property name:t value:orders\n\n--changeset ada:1 runInTransaction:false\n"
        "--comment: x\nCREATE TABLE ${t} (id int);\n--rollback DROP TABLE orders;\n"
        "--changeset ada:two endDelimiter:@@ splitStatements:false\nSELECT 1\n@@\n"
    )
    first, second = read_files(
        "liquibase", {"changes/001.sql": text, "root.yaml": "- include:\n    file: changes/001.sql\n"}
    )
    assert (first.key, first.sql, first.transaction) == (
        "changes/001.sql::1::ada", "CREATE TABLE orders (id int);\n", False,
    )  # fmt: skip
    assert second.sql == "SELECT 1\n;\n"


@pytest.mark.parametrize(
    ("root", "names"),
    [
        ("- include: {file: changes/b.sql, relativeToChangelogFile: true}", "db/changes/b.sql db/changes/a.sql"),
        ("- include:\n    relativeToChangelogFile: true\n    file: changes/a.sql\n- include: {file: db/changes/b.sql}", "db/changes/a.sql db/changes/b.sql"),
        ('<include file="classpath:db/changes/b.sql"/>\n<!-- <include file="x"/> -->', "db/changes/b.sql db/changes/a.sql"),
        ('{"includeAll": {"path": "changes/", "relativeToChangelogFile": true}}', "db/changes/a.sql db/changes/b.sql"),
        ("- includeAll:\n    path: db/changes", "db/changes/a.sql db/changes/b.sql"),
        ("- include: {file: more/log.yaml, relativeToChangelogFile: true}\n- include: {file: changes/a.sql, relativeToChangelogFile: true}", "db/changes/b.sql db/changes/a.sql"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("above", ["", "app/src/main/resources/"])
def test_liquibase_knows_a_file_by_its_path_from_where_the_search_begins(above: str, root: str, names: str):
    suffix = {"<": "xml", "{": "json"}.get(root[0], "yaml")
    files = {
        f"{above}db/root.{suffix}": root,
        f"{above}db/more/log.yaml": "- include: {file: ../changes/b.sql, relativeToChangelogFile: true}"
        if "more" in root
        else "",
        f"{above}db/changes/a.sql": LIQUIBASE,
        f"{above}db/changes/b.sql": LIQUIBASE,
    }
    assert [each.key.partition("::")[0] for each in read_files("liquibase", files)] == names.split()


def test_sqitch_computes_the_ids_of_its_plan():
    """The plan and ids of a real run of Sqitch 1.3.1."""
    plan = (
        "%syntax-version=1.0.0\n%project=shop\n%uri=https://example.org/shop/\n\n"
        "create_customers 2026-11-01T10:00:00Z Ada Größe <ada@example.org> # create customers\n"
        "create_orders [create_customers] 2026-11-02T10:00:00Z Ada Größe <ada@example.org> # create orders\n"
    )
    found = read_files(
        "sqitch", {"sqitch.plan": plan, "deploy/create_customers.sql": "A", "deploy/create_orders.sql": "B"}
    )
    assert [each.key for each in found] == [
        "d739d1f035d08c6364ed48743420950d1804e239",
        "0e413426e9c271e054d49d2b7c98178367ccd5ec",
    ]


def test_a_reworked_change_has_its_script_under_the_tag():
    who = "2026-01-01T00:00:00Z A <a@b>"
    plan = f"%project=p\na {who}\n@v1 {who}\na [a@v1] {who}\n"
    found = read_files("sqitch", {"sqitch.plan": plan, "deploy/a@v1.sql": "OLD", "deploy/a.sql": "NEW"})
    assert [each.sql for each in found] == ["OLD", "NEW"]


def test_numbers_stay_where_they_give_the_tools_order():
    originals = read_files("golang-migrate", {"7_b.up.sql": "B", "10_c.up.sql": "C"})
    assert [each.name for each in written("golang-migrate", originals)] == ["007_b.sql", "010_c.sql"]


def test_numbers_are_made_where_they_do_not_and_pending_ones_come_last():
    originals = read_files("yoyo", {"a.sql": "A", "b.sql": "B", "c.sql": "C"})
    files = written("yoyo", originals, pending={"b"})
    assert [each.name for each in files] == ["001_a.sql", "002_c.sql", "003_b.sql"]


def test_a_pending_number_below_an_applied_one_may_run_out_of_order():
    originals = read_files("dbmate", {"1_a.sql": "-- migrate:up\nA;", "2_b.sql": "-- migrate:up\nB;"})
    late, applied = written("dbmate", originals, pending={"1"})
    assert "-- tidelock: out-of-order\n" in late.text
    assert "out-of-order" not in applied.text


def test_a_file_says_what_it_was_and_what_proves_it():
    [file] = written("sqlx", read_files("sqlx", {"1_a.sql": "A;"}))
    first, *rest = file.text.splitlines()
    assert first.startswith("-- tidelock: was sqlx 1 (")
    assert rest == ["", "A;"]
