"""The web process: `granian --interface wsgi project.wsgi:application`, with the options of
`project/local/programs.py`.
"""

import os

import worker  # noqa: F401 - first: makes garbage collections rare

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

from project.web.counted import Counted, make_application
from project.web.scheduling import finish_before_others_start

finish_before_others_start()
django_application = make_application()

# The imports below need Django's app registry.
from django.conf import settings  # noqa: E402

from payments.gateways import bound_calls  # noqa: E402
from project.web.admission import Admission, look_after_connections  # noqa: E402
from project.web.connections import ConnectionKeeper, Limits  # noqa: E402
from project.web.database_watch import DatabaseWatch  # noqa: E402
from project.web.places import Shares  # noqa: E402
from shop.checks import refuse_mistakes  # noqa: E402
from shop.domain.polling.answer_cache import believe_an_empty_store  # noqa: E402
from shop.recording import start_recording  # noqa: E402
from worker.memory import calm_collector  # noqa: E402
from worker.servers import refuse_unfit_servers  # noqa: E402

refuse_mistakes(has_keys=True)
start_recording(settings.OTEL_TRACES_EXPORTER)
bound_calls(places=settings.GATEWAY_PLACES)
refuse_unfit_servers()
believe_an_empty_store()
look_after_connections()
admission = Admission(
    django_application, places=settings.WEB_THREADS, shares=Shares(**settings.ADDRESS_SHARES)
)
application = Counted(admission)
ConnectionKeeper(admission, Limits(**settings.CONNECTION_LIMITS)).start()
DatabaseWatch(admission.places).start()
calm_collector()
