# The app with its locked dependencies, and nothing that builds: no uv, no compiler, no pip cache.
FROM ghcr.io/astral-sh/uv:0.13.0@sha256:cdc6093146eb3ff6a40107b38f008b789e050e77ad87865e381d9917da55a168 AS uv

FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b AS base

FROM base AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils=2.44-* \
    && rm -rf /var/lib/apt/lists/*
COPY --from=uv /uv /usr/local/bin/uv
# Bytecode is valid by its content, not by a time stamp that a copy would change.
ENV PYC_INVALIDATION_MODE=UNCHECKED_HASH \
    UV_LINK_MODE=copy \
    UV_NO_PROGRESS=1 \
    UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/opt/venv
WORKDIR /build
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-default-groups --no-install-local --compile-bytecode \
    && find /opt/venv -type f -name '*.so' -exec strip --strip-debug {} +
RUN --mount=type=cache,target=/root/.cache/uv \
    UV_PROJECT_ENVIRONMENT=/opt/tools uv sync --frozen --only-group=release
# Apart from its dependencies: a change of the source makes one small layer.
COPY . .
# First what this tree has beside the app: members of a workspace, packages at a path.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --quiet --locked --no-default-groups --no-install-project --no-editable \
    && uv build --quiet --wheel --no-build-isolation --python=/opt/tools --out-dir=/dist \
    && uv pip install --quiet --no-deps --compile-bytecode --python=/opt/venv --prefix=/app /dist/*.whl
# The commands `serve` and `migrate`, as [tool.pipelines] in pyproject.toml has them.
RUN mkdir -p /app/bin && python -c "import tomllib; \
        app = tomllib.load(open('pyproject.toml', 'rb'))['tool']['pipelines']; \
        write = lambda name, command: print('#!/bin/sh\nexec', *command.splitlines(), '\"\$@\"', file=open(f'/app/bin/{name}', 'w')); \
        write('serve', app['serve'].format(host='0.0.0.0', port=8000, workers='\${WEB_CONCURRENCY:-1}')); \
        write('migrate', app.get('migrate', 'echo The app has no migrations.'))" \
    && chmod 755 /app/bin/serve /app/bin/migrate

# performance
# The load test, for docker compose --profile load; no part of the app's image.
FROM build AS build-load
RUN --mount=type=cache,target=/root/.cache/uv \
    UV_PROJECT_ENVIRONMENT=/opt/load uv sync --locked --only-group=load --compile-bytecode

FROM base AS load
COPY --from=build-load /opt/load /opt/load
COPY locustfile.py /load/
USER 10001:10001
WORKDIR /load
ENTRYPOINT ["/opt/load/bin/locust"]
# /performance

FROM base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN useradd --uid=10001 --no-create-home --home-dir=/data --shell=/usr/sbin/nologin app \
    && install --directory --owner=app --group=app /data
COPY --from=build /opt/venv /opt/venv
# The base has no bytecode, and the app's user may not write any: each start would compile again.
# This is what web frameworks use of the standard library.
RUN PYTHONDONTWRITEBYTECODE='' python -c "import asyncio, concurrent.futures.thread, dataclasses, email.parser, \
    http.client, importlib.metadata, inspect, json, logging.config, multiprocessing, secrets, sqlite3, ssl, urllib.request"
COPY --from=build /app /opt/venv
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
# Never through a proxy that Docker's configuration names.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --start-interval=1s \
    CMD ["python", "-c", "from http.client import HTTPConnection; app = HTTPConnection('127.0.0.1', 8000, timeout=2); \
        app.request('GET', '/health'); raise SystemExit(app.getresponse().status != 200)"]
CMD ["serve"]
# Last, because they change with every commit.
ARG APP_VERSION=0.0.0
ARG APP_REVISION=unknown
ENV APP_VERSION=$APP_VERSION \
    APP_REVISION=$APP_REVISION
LABEL org.opencontainers.image.version=$APP_VERSION \
      org.opencontainers.image.revision=$APP_REVISION
