# Any of our services: docker build -f images/service.Dockerfile --build-arg SERVICE=scheduler -t nodewise/scheduler .
# Made to run as it is with a read-only root file system and without any capability.
ARG PYTHON_IMAGE=python:3.11-slim

# 1. What this service needs: lists only, so that the next stage is made anew only when a list changes.
FROM ${PYTHON_IMAGE} AS lists
ARG SERVICE
# Portions whose policies and strategies this service has to know.
ARG PLUGINS=""
WORKDIR /src
COPY images/requirements.py images/
COPY requirements/lock.txt requirements/
COPY services services
COPY sdk sdk
RUN test -d "services/${SERVICE:?name a service}" \
    && mkdir /lists \
    && python3 images/requirements.py ${SERVICE} ${PLUGINS} > /lists/requirements.txt \
    && python3 images/requirements.py --with hatchling > /lists/tools.txt \
    && python3 images/requirements.py --folders ${SERVICE} ${PLUGINS} > /lists/folders.txt

# 2. An environment of exactly that: others' packages with the hashes of the lock, ours as wheels.
FROM ${PYTHON_IMAGE} AS build
# An index of your own, if you have one: --build-arg PIP_INDEX_URL=...
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_CACHE_DIR=/var/cache/pip
COPY --from=lists /lists /lists
RUN --mount=type=cache,target=/var/cache/pip \
    python3 -m venv /tools \
    && /tools/bin/pip install --quiet --require-hashes -r /lists/tools.txt \
    && python3 -m venv --without-pip /opt/nodewise \
    && /tools/bin/pip --python /opt/nodewise/bin/python install --quiet --require-hashes -r /lists/requirements.txt
WORKDIR /src
COPY services services
COPY sdk sdk
RUN /tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels $(cat /lists/folders.txt) \
    && /tools/bin/pip --python /opt/nodewise/bin/python install --quiet --no-deps --no-index /wheels/*.whl \
    && /tools/bin/pip --python /opt/nodewise/bin/python check
# Tests and headers of packages that never import them: a tenth of the image.
RUN cd /opt/nodewise/lib/python3*/site-packages \
    && rm -rf pandas/tests matplotlib/tests pyarrow/tests pyarrow/include \
    && find scipy sklearn -type d -name tests -prune -exec rm -rf {} + 2>/dev/null || true
ARG SERVICE
RUN printf '#!/bin/sh\nexec /opt/nodewise/bin/python -P -m nodewise.%s "$@"\n' "${SERVICE}" > /opt/nodewise/bin/service \
    && chmod 755 /opt/nodewise/bin/service \
    && cp services/core/src/nodewise/core/healthcheck.py /opt/nodewise/bin/

# 3. The image.
FROM ${PYTHON_IMAGE}
ARG SERVICE
LABEL org.opencontainers.image.title="nodewise ${SERVICE}" org.opencontainers.image.licenses="MIT"
# The folders belong to the user already, so that a fresh volume in their place does, too.
RUN groupadd --gid 10001 nodewise \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin nodewise \
    && install -d -o 10001 -g 10001 /var/lib/nodewise /var/lib/nodewise/store /var/lib/nodewise/secrets \
        /var/lib/nodewise/secrets/postgres /var/lib/nodewise/secrets/redis /var/lib/nodewise/secrets/reader \
        /var/lib/nodewise/secrets/admin /var/lib/nodewise/secrets/nodes /var/lib/nodewise/secrets/node-big \
        /var/lib/nodewise/secrets/node-small /var/lib/nodewise/secrets/node-gpu
COPY --from=build /opt/nodewise /opt/nodewise
ENV PATH=/opt/nodewise/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    _KFP_RUNTIME=true MPLCONFIGDIR=/tmp/matplotlib \
    NODEWISE_HOST=0.0.0.0 NODEWISE_PORT=8080 NODEWISE_METRICS_PORT=8080 \
    NODEWISE_STORE_URL=file:///var/lib/nodewise/store
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=6 \
    CMD ["/opt/nodewise/bin/python", "-I", "-S", "/opt/nodewise/bin/healthcheck.py"]
ENTRYPOINT ["/opt/nodewise/bin/service"]
