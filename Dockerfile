# One image for web, workers, beat, Flower and migrations; docker-compose.yml selects the command. The Alipay simulator has its own image (target
# `demo`): a program that signs as Alipay has no place where real money moves.
# Needs neither BuildKit nor a compiler: every package is a wheel or pure Python.

FROM python:3.13-slim-bookworm AS build
# To use a mirror of the package index: --build-arg PIP_INDEX_URL=…
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /srv/shop
RUN python -m venv --without-pip /opt/venv
COPY requirements.txt .
RUN pip --python /opt/venv/bin/python install --require-hashes --no-deps -r requirements.txt
COPY . .
# The settings require a key and a database URL. Neither is a real secret, neither is kept, and nothing connects.
RUN DJANGO_SECRET_KEY=for-collecting-static-files-only-and-known-to-everybody DATABASE_URL=postgres://nobody@127.0.0.1/none \
    STATIC_ROOT=/srv/static /opt/venv/bin/python manage.py collectstatic --no-input --verbosity 0 \
 && /opt/venv/bin/python -m compileall -q -j 0 /srv/shop \
 && cp -a /srv /srv-live && rm -r /srv-live/shop/payments/simulator

FROM python:3.13-slim-bookworm AS runtime
RUN groupadd --gid 10001 shop && useradd --uid 10001 --gid shop --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin shop \
 && install -d -o shop -g shop -m 700 /var/lib/shop /var/lib/shop/simulator /run/alipay
COPY --from=build /opt/venv /opt/venv
ENV GRANIAN_BLOCKING_THREADS=512
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 STATIC_ROOT=/srv/static DJANGO_SETTINGS_MODULE=project.settings
WORKDIR /srv/shop
USER shop
EXPOSE 8000
CMD ["granian", "--interface", "wsgi", "project.wsgi:application", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", \
     "--http", "1", "--no-ws", "--respawn-failed-workers", "--workers-kill-timeout", "45", \
     "--backpressure", "4096", "--backlog", "4096", \
     "--http1-header-read-timeout", "10000", "--http1-buffer-size", "65536", \
     "--blocking-threads-idle-timeout", "5"]

FROM runtime AS demo
COPY --from=build /srv /srv

FROM runtime
COPY --from=build /srv-live /srv
