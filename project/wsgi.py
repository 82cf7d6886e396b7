"""The web process: `granian --interface wsgi project.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

from worker.memory import calm_collector

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = get_wsgi_application()
calm_collector()
