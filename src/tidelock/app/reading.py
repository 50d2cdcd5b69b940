"""A migration's text → its Script with facts; done once per file and run, and only for files that need it."""

from __future__ import annotations

import re
from dataclasses import field, replace
from typing import TYPE_CHECKING

from tidelock.core.values import record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidelock.core.model import Migration, Observed
    from tidelock.core.statement import Script

INCLUDES = re.compile(r"\\(?:i|ir|include|include_relative|copy)\b")


@record(frozen=False)
class Reader:
    """Reads the migrations of one directory for one database."""

    files: Sequence[Migration]
    load: Callable[[str], str]
    """The text of a file beside the migrations; raises a SourceFault for one outside."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """From --set and tidelock.toml."""
    database: str | None = None
    """The target's name: what \\c may name."""
    specials: Mapping[str, str] = field(default_factory=dict)
    """Variables that psql has by itself: USER, HOST, PORT, … They enter digests by name."""
    named: str | None = None
    """The target's name where the database at hand is a shadow of it."""
    detailed: bool = False
    """Facts with actions, for the checks."""
    digests: bool = True
    """Scripts with their digests, for the ledger."""
    on_recreate: str = "refuse"
    """`[timescale] on_recreate`."""
    refresh: str = ""
    """`[timescale] refresh`: after or never; empty for who wants the file as it stands."""
    _scripts: dict[str, Script] = field(default_factory=dict, init=False)

    def target(self, observed: Observed) -> None:
        """Take from a look at the database what scripts may ask for."""
        version = str(observed.server_version)
        self.database = self.named or observed.database
        self.specials = {
            "USER": observed.user,
            "HOST": observed.host,
            "PORT": observed.port,
            "SERVER_VERSION_NUM": version,
        }

    def of(self, files: Sequence[Migration]) -> Reader:
        """The same for some of the files; what was read once is not read again."""
        other = replace(self, files=files)
        other._scripts = self._scripts
        return other

    def script(self, migration: Migration) -> Script:
        """The file's statements with their facts. Raises a SourceFault with file, line and column."""
        key = f"{migration.path}\0{migration.text}"
        if key not in self._scripts:
            script = self._read(migration.path, migration.text, self.load)
            self._scripts[key] = self._prepared(migration, script) if self.refresh else script
        return self._scripts[key]

    def _read(self, path: str, text: str, load: Callable[[str], str] | None) -> Script:
        from tidelock.core.facts import facts_in
        from tidelock.core.script import normalised, read

        return read(
            path,
            text,
            variables=self.variables,
            load=load,
            database=self.database,
            specials=self.specials,
            facts=facts_in(normalised(text), detailed=self.detailed),
            digests=self.digests,
        )

    def _prepared(self, migration: Migration, script: Script) -> Script:
        """The script as it runs: aggregates that are made anew are made empty, and filled at the end."""
        from tidelock.core.rebuilding import concerned, prepared

        if not any(map(concerned, script.sources.values())):
            return script
        return prepared(migration, script, self, self.refresh, detailed=self.detailed)

    def beside(self, path: str, text: str) -> Script:
        """A script that is no migration, such as a fallback: read as one, with nothing included."""
        return self._read(path, text, None)

    def changed_beside(self, migration: Migration) -> bool:
        """True when something other than the file's own bytes may have changed: a file it includes, a variable."""
        text = migration.text
        if "\\" in text and INCLUDES.search(text):
            return True
        return any(
            name in text and re.search(rf":['\"]?{re.escape(name)}\b|:\{{\?{re.escape(name)}\}}", text)
            for name in self.variables
        )
