# The service and nothing else: built in one stage, run from another that has no compiler.
# It needs one writable place, /data, so the rest of the file system may be read-only.

FROM python:3.13-slim-trixie AS builder

WORKDIR /build
COPY requirements.lock ./
# Wheels only, each checked against its hash in the lock: nothing is compiled, and nothing that
# was not reviewed runs.
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --require-hashes --no-deps --only-binary=:all: \
       -r requirements.lock


FROM python:3.13-slim-trixie

# Given by the build that publishes the image; the defaults serve a build by hand.
ARG VERSION=0.1.0
ARG REVISION=unknown

LABEL org.opencontainers.image.title="certctl-connectors" \
      org.opencontainers.image.description="Puts TLS certificates where they are served from, proves it, and truly undoes what failed." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# A number, not a name, so that Kubernetes can check runAsNonRoot. /data is the account's own.
RUN groupadd --gid 10001 app \
    && useradd --no-log-init --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
       --shell /usr/sbin/nologin app \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data

# SQLITE_TMPDIR: SQLite sorts large results in a file, and the root may be read-only.
ENV PATH="/opt/venv/bin:${PATH}" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SQLITE_TMPDIR=/data \
    CERTCTL_CONNECTORS_BUILD="${REVISION}" \
    CERTCTL_CONNECTORS_HTTP__HOST=0.0.0.0 \
    CERTCTL_CONNECTORS_HTTP__PORT=8080 \
    CERTCTL_CONNECTORS_STORE__URL=sqlite:////data/certctl-connectors.db

WORKDIR /srv
COPY --from=builder /opt/venv /opt/venv
COPY LICENSE ./
COPY app/ ./app/

USER 10001:10001
VOLUME ["/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM

# http.client and not urllib: a proxy named in the environment must not be asked about loopback.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['CERTCTL_CONNECTORS_HTTP__PORT']), timeout=2); c.request('GET', '/health'); sys.exit(c.getresponse().status != 200)"]

ENTRYPOINT ["python", "-m", "app"]
CMD ["serve"]
