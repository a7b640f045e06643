# Images for the steps of pipelines on Kubernetes: docker build -f images/task.Dockerfile --target cpu -t nodewise/task-cpu .
# A component names one as its base_image, with install_kfp_package=False: KFP's part is in it.
ARG PYTHON_IMAGE=python:3.11-slim
# PyTorch with its CUDA libraries.
ARG GPU_IMAGE=pytorch/pytorch:2.5.1-cuda12.4-cudnn9-runtime

FROM ${PYTHON_IMAGE} AS lists
WORKDIR /src
COPY images/requirements.py images/
COPY requirements/lock.txt requirements/
RUN mkdir /lists \
    && python3 images/requirements.py --exactly kfp > /lists/base.txt \
    && python3 images/requirements.py --with numpy scikit-learn > /lists/cpu.txt

FROM ${PYTHON_IMAGE} AS build-base
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_CACHE_DIR=/var/cache/pip
COPY --from=lists /lists/base.txt /lists/
# KFP's executor needs no other package where _KFP_RUNTIME is set.
RUN --mount=type=cache,target=/var/cache/pip \
    python3 -m venv /opt/task \
    && /opt/task/bin/pip install --quiet --require-hashes --no-deps -r /lists/base.txt

FROM build-base AS build-cpu
COPY --from=lists /lists/cpu.txt /lists/
RUN --mount=type=cache,target=/var/cache/pip \
    /opt/task/bin/pip install --quiet --require-hashes -r /lists/cpu.txt

FROM ${PYTHON_IMAGE} AS runtime
RUN groupadd --gid 10001 task \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin task
ENV PATH=/opt/task/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 _KFP_RUNTIME=true
USER 10001:10001
WORKDIR /tmp

# KFP's executor and nothing else.
FROM runtime AS base
COPY --from=build-base /opt/task /opt/task

# With scikit-learn.
FROM runtime AS cpu
COPY --from=build-cpu /opt/task /opt/task

# With PyTorch and CUDA. Its packages are those of its base image, not of our lock.
FROM ${GPU_IMAGE} AS gpu
ARG PIP_INDEX_URL
COPY --from=lists /lists/base.txt /tmp/base.txt
RUN python3 -m pip install --quiet --no-cache-dir --require-hashes --no-deps -r /tmp/base.txt \
    && groupadd --gid 10001 task \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin task
ENV HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 _KFP_RUNTIME=true
USER 10001:10001
WORKDIR /tmp
