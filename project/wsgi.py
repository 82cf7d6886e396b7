"""The web process: `granian --interface wsgi project.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

from payments.deploychecks import refuse_simulator
from worker.memory import calm_collector

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = get_wsgi_application()
refuse_simulator()
calm_collector()
