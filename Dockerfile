# Tidelock with the PostgreSQL clients that back up and restore.
#
#   docker build --build-arg PG_MAJOR=17 -t tidelock .
#   docker run --rm --read-only -v "$PWD/migrations:/migrations:ro" -e DATABASE_URL tidelock apply --dir .
#
# PG_MAJOR is the newest server that this image backs up: pg_dump reads servers of its own major version or older.

ARG PYTHON_IMAGE=python:3.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
COPY docs/codes ./docs/codes
COPY docs/rules ./docs/rules
COPY examples/farm/migrations ./examples/farm/migrations
RUN python -m venv /opt/tidelock \
    && /opt/tidelock/bin/pip install --no-cache-dir --quiet '.[operator]' \
    && /opt/tidelock/bin/pip uninstall --yes --quiet pip \
    && /opt/tidelock/bin/tidelock --help >/dev/null

FROM ${PYTHON_IMAGE}
ARG PG_MAJOR=18
# postgresql-common brings the script that adds the PostgreSQL project's own packages, with their key: Debian's
# clients are those of one old major version. Neither is needed once the clients are there.
RUN apt-get update -q \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends ca-certificates postgresql-common \
    && sh /usr/share/postgresql-common/pgdg/*.sh -y \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "postgresql-client-${PG_MAJOR}" \
    && apt-get purge -y -q postgresql-common \
    && apt-get autoremove -y -q \
    && rm -rf /etc/apt/sources.list.d/pgdg.* /var/lib/apt/lists/* \
    && pg_dump --version && pg_restore --version
COPY --from=build /opt/tidelock /opt/tidelock

# Nothing is written below the root: a read-only file system is fine. HOME is where libpq looks for .pgpass and
# service files; mount them there or set PGPASSFILE and PGSERVICEFILE.
ENV PATH=/opt/tidelock/bin:$PATH \
    HOME=/home/tidelock \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN useradd --uid 65532 --user-group --create-home --home-dir /home/tidelock --shell /usr/sbin/nologin tidelock
USER 65532:65532
WORKDIR /migrations
ENTRYPOINT ["tidelock"]
CMD ["--help"]
