"""What the use cases need of the outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from tidelock.core.adoption.match import History
    from tidelock.core.check import Check
    from tidelock.core.critical import Critical, Seen
    from tidelock.core.drift import Baseline
    from tidelock.core.model import Migration, Observed, Place, Plan, PlannedMigration, StepRecord
    from tidelock.core.proof import LockLook, Result, State
    from tidelock.core.report import AppliedMigration, Event, Happening
    from tidelock.core.snapshot import Key, Snapshot
    from tidelock.core.statement import Object, Script, Statement
    from tidelock.core.step import Step
    from tidelock.core.surroundings import Surroundings


class Sink(Protocol):
    """Whoever watches a run."""

    def emit(self, event: Event) -> None:
        """Show, or log, or drop it. Must not raise."""

    def close(self) -> None:
        """Give back what is held, such as a terminal."""


class Scene(Protocol):
    """What a run lets those see who look on."""

    @property
    def migration(self) -> Migration:
        """The migration at hand."""

    @property
    def conn(self) -> Any:
        """The psycopg connection that statements are sent through. In a step's transaction it is of it."""

    @property
    def plan(self) -> PlannedMigration:
        """The migration at hand, with its script and steps."""

    def connect(self) -> Any:
        """Another connection to the same server; the caller closes it."""

    def snapshot(self) -> Snapshot:
        """The schema as `conn` sees it now, also inside of a transaction."""

    def query(self, statements: Sequence[str]) -> None:
        """SQL through `conn`, as the run sends its own: seen by its watch, with its limits. A lock that is not had
        in time makes the run try the step again."""

    def note(self, event: str, detail: Mapping[str, object]) -> None:
        """A line in the journal about the migration at hand: part of the open transaction, or committed at once."""

    def noted(self, event: str) -> list[tuple[int, str, dict[str, Any]]]:
        """(version, run, detail) of such lines, oldest first."""

    def tell(self, what: Happening, text: str, place: Place | None = None, **more: Any) -> None:
        """An event about the migration at hand."""

    def pause(self, seconds: float) -> bool:
        """Wait, at the expense of the run's patience; False when there is none left."""


class StepHooks:
    """Whoever looks on while steps run; it overrides what it cares for. A transaction that is tried again comes by
    again, from `opened` on."""

    def attends(self, step: Step) -> bool:
        """Whether it looks on at this step. Then statements are sent one by one."""
        del step
        return True

    def prepare(self, step: Step) -> None:
        """Nothing of the step has been sent, and no transaction is open."""

    def opened(self, step: Step) -> None:
        """Its transaction is open."""

    def before(self, step: Step, statement: Statement) -> None:
        """It is about to be sent."""

    def instead(self, step: Step, statement: Statement) -> bool:
        """Do what a statement asks for in another way, and say True: it is not sent."""
        del step, statement
        return False

    def after(self, step: Step, statement: Statement) -> None:
        """The server has done it. Its transaction is open, unless no transaction holds the step."""

    def closing(self, step: Step) -> None:
        """Its statements are done; its record and COMMIT follow."""

    def committed(self, step: Step) -> None:
        """The step's COMMIT was answered."""

    def ended(self, step: Step) -> None:
        """It is over, also when it failed; the connection may be gone. Must not raise."""


class Shadows(Protocol):
    """Throw-away databases for proofs."""

    @property
    def server(self) -> str:
        """`PostgreSQL 18.6`, for people and for the cache."""

    @property
    def disposable(self) -> bool:
        """The server is there for this run alone: what a file does to it harms nobody."""

    def create(self) -> str:
        """An empty database; returns its name."""

    def clone(self, name: str) -> str:
        """A copy of one."""

    def drop(self, name: str) -> None:
        """Drop one."""

    def available(self) -> frozenset[str]:
        """Extensions that can be created here."""

    @property
    def roles(self) -> frozenset[str]:
        """Roles that were on the server before."""

    def take_turn(self) -> bool:
        """Be the one run on this server whose files make roles; False while another is."""

    def note_roles(self, named: Iterable[str]) -> frozenset[str]:
        """Those of these roles that migrations have made so far."""

    def drop_roles(self, keep: frozenset[str] = frozenset()) -> None:
        """Drop those that migrations have made; the databases that know them are gone."""

    def stop(self) -> None:
        """Drop all databases under the hands of whoever works in them."""

    def database(self, name: str) -> Database:
        """The port to one, as `apply` uses it."""

    def stopping(self, name: str, step: int, statement: int | None) -> Database:
        """The same, whose client dies (raises `Died`) after a statement of a step (counted from 1, and from 0), or
        when the step was committed."""

    def looking(self, name: str, looks: list[LockLook]) -> Database:
        """The same, which notes what each statement locks, rewrites and scans."""

    def state(self, name: str, known: State | None = None, *, once: bool = False) -> State:
        """What is in it: schema, rows of tables, sequences. `known` is an earlier look at the same database;
        `once` says that there will be no other."""

    def forget(self, name: str, version: int) -> None:
        """Make its ledger believe that a version was never run."""

    def environment(self, name: str) -> Mapping[str, str]:
        """DATABASE_URL and PG* for a program that is to use it."""

    def made_of(self, schema: str) -> str:
        """A database with a schema that is given as SQL; returns its name."""

    def copy_of(self, source: str, named: Iterable[str] = ()) -> str:
        """A database with the schema and the ledger of another server's (its DSN); returns its name. Roles from there
        that it needs, or that are `named`, are made here."""


class Cache(Protocol):
    """What was proved before, by content."""

    def get(self, key: str) -> Result | None:
        """A result, as it was put."""

    def put(self, key: str, result: Result) -> None:
        """Keep it."""


class Server(Protocol):
    """A database and its server, as backups see them."""

    @property
    def database(self) -> str:
        """Its name."""

    @property
    def target(self) -> str:
        """`database@host:port`."""

    def connect(self, application: str, database: str = "") -> Any:
        """A psycopg connection in autocommit, to another database of the server when one is named."""

    def environment(self, database: str = "") -> Mapping[str, str]:
        """PG* variables for the clients of PostgreSQL, the password among them."""

    def schema(self, conn: Any) -> bytes:
        """The canonical snapshot of the schema, as stored."""


class BackupProvider(Protocol):
    """A system of the user's that makes backups."""

    def make(self, plan: str, tell: Callable[[str], None]) -> str:
        """Let it make one for a plan and wait until that is whole: its id there. Raises a BackupFault."""


class Database(Protocol):
    """One target database, as the use cases see it."""

    @property
    def target(self) -> str:
        """`database@host:port`, for people."""

    def observe(self) -> Observed:
        """One look: ledger, unfinished steps, lease, versions. Connects when there is no connection."""

    def holder(self) -> str:
        """Who holds the lease, since when, and whether it is silent or gone; empty when nobody does."""

    def surroundings(self) -> Surroundings:
        """What cutting files into steps depends on in this database."""

    def stored_text(self, version: int) -> str | None:
        """The text that was applied as this version, when it was kept."""

    def beside(self, version: int) -> Mapping[str, str]:
        """The `Script.beside` of what was applied as this version; empty where that was not kept."""

    def promoted(self) -> bool:
        """Wait while the server observed is a standby; True when it takes writes by now, and is to be observed anew."""

    def check(self, plan: Plan) -> None:
        """Refuse, before anything runs, what this connection cannot carry."""

    def lease(
        self, plan_scripts: Sequence[Script], highest_version: int, detail: Mapping[str, object]
    ) -> AbstractContextManager[None]:
        """Be the one runner; waits, within its patience, for another. Makes or upgrades the ledger first.

        `plan_scripts` may carry a CREATE TABLE for the ledger, whose columns are then honoured. On leaving, all
        that was done is durable.
        """

    def renewed(self) -> Observed:
        """A second look, as the holder of the lease: what was seen before may be old."""

    def note(self, event: str, detail: Mapping[str, object]) -> None:
        """A line in the journal about no migration. Only inside `lease`."""

    def secured(self, backup: str) -> None:
        """The id of the backup that precedes this run: it stands in each row that follows. Only inside `lease`."""

    def apply(self, pending: Sequence[PlannedMigration]) -> Iterator[AppliedMigration]:
        """Run what is left of each migration, in order; each comes back when it is recorded. Only inside `lease`."""

    def soundness(self, keyed: Sequence[tuple[str, str]]) -> list[Check]:
        """What may be wrong with the live database. `keyed`: (table, place) of those that files give a primary key."""

    def snapshot(self) -> Snapshot:
        """The schema as it is now."""

    def written(self, keys: Collection[Key]) -> Mapping[Key, datetime] | None:
        """Object → when its entry in the catalog was last written; None when the server does not note it."""

    def baseline(self) -> Baseline | None:
        """The schema as it was when the database was adopted, when that was kept."""

    def critical(self, wanted: Sequence[Critical]) -> list[Seen]:
        """How the critical tables are found, in that order."""

    def fall_back(self, path: str, text: str, script: Script, tables: Sequence[str]) -> None:
        """Run a fallback script in one transaction with its line in the journal. Only inside `lease`."""

    def others_were_here(self) -> bool:
        """There is a table by a name in which another tool keeps its history: a cheap look before `histories`."""

    def histories(self) -> list[History]:
        """What other tools have recorded in this database."""

    def histories_looked_for(self) -> Mapping[str, tuple[str, ...]]:
        """Tool → tables, for a message."""

    def states(self, objects: Iterable[Object]) -> dict[Object, str | None]:
        """present, absent or invalid; None for a kind that the catalog is not asked for."""

    def journaled(self, event: str) -> frozenset[int]:
        """Versions of which the journal has this event: `adopted`, `settled`."""

    def move(self, files: Mapping[int, Migration]) -> None:
        """Give ledger rows (by version) to the files that were renumbered. Only inside `lease`."""

    def record_adopted(
        self, migrations: Sequence[tuple[Migration, Script]], still_pending: Sequence[Migration] = ()
    ) -> None:
        """Ledger rows for what the database already has, and a line for what a person says is pending, in `lease`."""

    def foresee(self, planned: PlannedMigration) -> None:
        """Refuse as `apply` will where what an earlier run's session had is gone, and the rest of the file wants it.

        Raises L021.
        """

    def outlook(self, step: Step, record: StepRecord, variables: Mapping[str, str]) -> tuple[bool, str]:
        """Whether `apply` goes on by itself with a step that was cut off, and why or why not."""

    def executing(self, run_id: str) -> str:
        """Who executes a statement of this run at this moment, in which server process and for how long; or nothing."""

    def decide(self, step: Step, record: StepRecord, *, done: bool) -> None:
        """Record a person's decision about an interrupted step. Only inside `lease`."""

    def reconnect(self) -> None:
        """After ConnectionLost: forget the connection; the next `observe` opens another."""

    def close(self) -> None:
        """Close what is open."""

    def bundle_of(self, plan_id: str) -> str | None:
        """The digest of the files that a run with this plan had, by the journal; None when no run had it."""

    def history(self, limit: int) -> list[dict[str, Any]]:
        """The journal's last lines, newest first."""
