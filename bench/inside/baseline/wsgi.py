"""The web process:

`granian --interface wsgi baseline.wsgi:application`, with DJANGO_SETTINGS_MODULE=baseline.settings.
"""

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
