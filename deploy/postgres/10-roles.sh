#!/bin/sh
# Run by the image's entry point when it creates the database. After changing a password, run it by hand:
# docker-compose exec db sh /docker-entrypoint-initdb.d/10-roles.sh
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username=postgres --dbname=postgres --set=database=shop \
  --set=superuser_password="$POSTGRES_PASSWORD" --set=owner_password="$OWNER_PASSWORD" --set=shop_password="$SHOP_PASSWORD" \
  --file=/docker-entrypoint-initdb.d/roles.psql
