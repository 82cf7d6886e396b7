"""Settings, from the environment only. `.env.example` explains every variable; `project/env.py` reads them.

Sections: process, data stores, web, API, shop rules, limits, Alipay, logging. Celery's own settings are in
`worker/config.py`.
"""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from project import log_config
from project.desk_look import UNFOLD  # noqa: F401 - a setting, read by django-unfold
from project.env import env
from project.postgres.address import database_config

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Process ------------------------------------------------------------------------------------------------

DEBUG = env.bool("DJANGO_DEBUG", False)
SECRET_KEY = env.str("DJANGO_SECRET_KEY")
SECRET_KEY_FALLBACKS: list[str] = env.list("DJANGO_SECRET_KEY_FALLBACKS", [], subcast=str.strip)
if len(SECRET_KEY) < 50:
    raise ImproperlyConfigured(
        "DJANGO_SECRET_KEY needs at least 50 characters of randomness; bin/secret-key prints one."
    )

ALLOWED_HOSTS = env.list("DJANGO_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"], subcast=str.strip)
# Where buyers and Alipay reach this shop, without a trailing slash. Links in mails, payment links and
# callback URLs start with it.
PUBLIC_URL = env.web_address("PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
CSRF_TRUSTED_ORIGINS = env.list("DJANGO_CSRF_TRUSTED_ORIGINS", [PUBLIC_URL], subcast=str.strip)

# The shop's calendar is China's: coupon dates and Alipay's timestamps are Beijing time. Rows are stored in
# UTC.
TIME_ZONE = "Asia/Shanghai"
USE_TZ = True
LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "中文"), ("en", "English")]
USE_I18N = True
FORMAT_MODULE_PATH = ["project.formats"]

# Seconds that `shop.clock.now()` adds to the clock, so that tests and the demo can travel in time.
CLOCK_OFFSET_S = env.int("CLOCK_OFFSET_S", 0)

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "project.apps.StaffSiteConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "project.apps.ProjectConfig",
    "shop.apps.ShopConfig",
    "payments.apps.PaymentsConfig",
]

# --- Data stores --------------------------------------------------------------------------------------------

# Empty if DATABASE_URL leads to PostgreSQL itself; otherwise the mode of the pooler (such as PgBouncer) that
# it leads to: "session" or "transaction".
DATABASE_POOLER = env.str("DATABASE_POOLER", "")
DATABASES: dict[str, Any] = {
    "default": database_config(
        env.str("DATABASE_URL"),
        pooler=DATABASE_POOLER,
        may_be_unverified=env.bool("DATABASE_TLS_UNVERIFIED", False),
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Carts, checkout snapshots, wake-up flags. Nothing here is authoritative: losing it all loses no order and no
# payment.
REDIS_URL = env.redis_url("REDIS_URL", "redis://127.0.0.1:6379/1")
# The queues. They need a database of their own (better: a server), since anything foreign in it stops the
# workers.
CELERY_BROKER_URL = env.broker_url("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")

# RabbitMQ only: "quorum" keeps each queue on several nodes of a cluster; empty means the server's default. An
# existing queue keeps its type.
BROKER_QUEUE_TYPE = env.str("BROKER_QUEUE_TYPE", "")
if BROKER_QUEUE_TYPE not in {"", "classic", "quorum"}:
    raise ImproperlyConfigured('BROKER_QUEUE_TYPE must be "classic", "quorum" or empty.')
if BROKER_QUEUE_TYPE and not CELERY_BROKER_URL.startswith("amqp"):
    raise ImproperlyConfigured("BROKER_QUEUE_TYPE is for RabbitMQ, which CELERY_BROKER_URL doesn't name.")

# --- Web ----------------------------------------------------------------------------------------------------

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
MIDDLEWARE = [
    "project.middleware.AnswerHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "project.language.LanguageMiddleware",
    "project.middleware.WellFormedMiddleware",
    "project.middleware.ForPagesMiddleware",
    "django.middleware.common.CommonMiddleware",
    "project.middleware.CsrfMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "project.middleware.AnticipatedErrorMiddleware",
]
# W003 looks for Django's CSRF middleware by name; `CsrfMiddleware` is a subclass of it.
SILENCED_SYSTEM_CHECKS = ["security.W003"]
# The middleware for log lines and spans is installed only if wanted, so otherwise it costs nothing. Static
# files get neither.
REQUEST_LOG = env.bool("REQUEST_LOG", False)
OTEL_TRACES_EXPORTER = env.str("OTEL_TRACES_EXPORTER", "none")
if OTEL_TRACES_EXPORTER not in {"none", "otlp", "console"}:
    raise ImproperlyConfigured("OTEL_TRACES_EXPORTER must be none, otlp or console.")
_watchers = [
    ("project.spans.SpanMiddleware", OTEL_TRACES_EXPORTER != "none"),
    ("project.request_lines.RequestLineMiddleware", REQUEST_LOG),
]
_place = MIDDLEWARE.index("whitenoise.middleware.WhiteNoiseMiddleware") + 1
MIDDLEWARE[_place:_place] = [name for name, is_wanted in _watchers if is_wanted]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # Searched before the theme's templates, one of which is replaced here.
        "DIRS": [BASE_DIR / "project" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", str(BASE_DIR / ".local" / "static")))
WHITENOISE_USE_FINDERS = env.bool("WHITENOISE_USE_FINDERS", DEBUG)
# Collected files have a digest in their names, so browsers may keep them for ever, and are compressed once.
# Files served straight from the packages keep their names.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if WHITENOISE_USE_FINDERS
        else "project.static.HashedStorage"
    },
}
# The largest legitimate request is a cart of 50 courses (about 5 kB) or one of Alipay's forms (about 4 kB).
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 200

# How many requests one web process handles at a time; each has a database connection.
WEB_THREADS = env.int("WEB_THREADS", 8)
# Threads that the server may start in one process; Granian reads the same variable. They cost processor time
# when many are used at once (docs/decisions/0003-granian-wsgi.md), and without a proxy that buffers request
# bodies each slow client occupies one.
SERVER_THREADS = env.int("GRANIAN_BLOCKING_THREADS", 512)
CONNECTION_LIMITS: dict[str, float] = {
    # A client that has been sent nothing for this long is disconnected: either it doesn't complete its
    # request, or it doesn't read the response. Longer than ORDER_STATUS_WAIT_MAX_S, the longest time that a
    # well-behaved client waits for a response.
    "silence_s": env.float("CONNECTION_SILENCE_S", 30.0),
    # How many threads may wait for bodies: half of all, which is more than well-behaved clients need.
    "readers": SERVER_THREADS // 2,
    # A request that takes longer than this is considered hung. Statements end after 10 s, calls to Alipay
    # after ALIPAY_TIMEOUT_S.
    "stuck_s": env.float("WEB_STUCK_S", 120.0),
}
# What one client address may use of a web process while other clients are active; alone it may use
# everything. Behind a proxy this needs TRUSTED_PROXIES, or all clients count as one.
ADDRESS_SHARES: dict[str, Any] = {
    # Processor seconds per second: some 25 pages or 300 polls a second from one household, school or office.
    "seconds": env.float("ADDRESS_CPU_SHARE", 0.25),
    "burst_s": 0.25,
    # How many requests of one client, and of all clients together, may wait because the client has used up
    # its share; any more are answered 429. Each occupies a thread.
    "waiting": SERVER_THREADS // 4,
    "waiting_in_all": SERVER_THREADS * 3 // 8,
    # How long a request waits for a place. Longer than any response takes: a client that had to wait longer
    # would not stay for the response.
    "patience_s": 10.0,
}
# Where people report vulnerabilities, as a URL (mailto: or https:).
SECURITY_CONTACT = env.web_address("SECURITY_CONTACT", "")

AUTH_USER_MODEL = "shop.Account"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    {"NAME": "shop.domain.accounts.passwords.EndTokens"},
]
# A hash by any but the first is replaced when its owner logs in.
PASSWORD_HASHERS = ["shop.hashers.Argon2id", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]

# Whether people may register. Otherwise staff create their accounts in the admin.
REGISTRATION_OPEN = env.bool("REGISTRATION_OPEN", False)
# The mail server for password resets and alerts. Without one, mail is written to MAIL_FOLDER or else not
# sent. It never goes to the log, which contains no secrets.
EMAIL_HOST = env.str("EMAIL_HOST", "")
EMAIL_FILE_PATH = env.str("MAIL_FOLDER", "")
if EMAIL_HOST:
    EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
elif EMAIL_FILE_PATH:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
else:
    EMAIL_BACKEND = "project.mail.NoMail"
EMAIL_PORT = env.int("EMAIL_PORT", 587)
EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", True)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "shop@localhost")
PASSWORD_RESET_TIMEOUT = 3600
# Who is mailed about problems that can't wait (`worker/alert_mail.py`), provided that EMAIL_HOST is set.
ADMINS = [(address, address) for address in env.list("ADMINS", [], subcast=str.strip)]
SERVER_EMAIL = DEFAULT_FROM_EMAIL
EMAIL_SUBJECT_PREFIX = "[shop] "

HTTPS = PUBLIC_URL.startswith("https://")
SECURE_SSL_REDIRECT = env.bool("DJANGO_SECURE_SSL_REDIRECT", HTTPS)
# Probes and Prometheus connect from inside, over HTTP.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = env.int("DJANGO_HSTS_SECONDS", 31_536_000 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("DJANGO_HSTS_INCLUDE_SUBDOMAINS", HTTPS)
SECURE_HSTS_PRELOAD = env.bool("DJANGO_HSTS_PRELOAD", HTTPS)
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
# Only staff have sessions. A session ends after a working day, or when the browser closes.
SESSION_COOKIE_AGE = env.int("STAFF_SESSION_S", 8 * 3600)
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
# Whether staff need a code from an authenticator app (`manage.py staff_totp` enrols one) in addition to their
# password.
STAFF_TOTP = env.bool("STAFF_TOTP", False)
# Where the desk's links from an event to its cause lead: to the task in Flower, or to the request's log
# lines, with `{id}` for the request's id: "https://logs.example.com/search?q={id}". If empty, only the
# cause's id is shown.
DESK_FLOWER_URL = env.web_address("DESK_FLOWER_URL", "").rstrip("/")
DESK_LOG_URL = env.web_address("DESK_LOG_URL", "")
OTP_TOTP_ISSUER = "课程商店"
# "Strict": no request that another site causes carries the session, not even a link.
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Strict"
CSRF_COOKIE_HTTPONLY = True  # the admin's forms carry the token themselves
CSRF_COOKIE_SAMESITE = "Strict"
# The cookie holds the language that a visitor chose, and nothing about them.
LANGUAGE_COOKIE_NAME = "language"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_SECURE = HTTPS
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# Addresses and networks of the proxies in front: only their X-Forwarded-For is trusted.
TRUSTED_PROXIES: list[str] = env.list("TRUSTED_PROXIES", [], subcast=lambda one: str(ip_network(one.strip())))
BEHIND_HTTPS_PROXY = env.bool("BEHIND_HTTPS_PROXY", False)
if BEHIND_HTTPS_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- API ----------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["shop.api.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["project.api.envelope.EnvelopeRenderer"],
    "DEFAULT_PARSER_CLASSES": ["project.api.parsers.StrictJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "project.api.pagination.Pages",
    "PAGE_SIZE": 20,
    "DEFAULT_SCHEMA_CLASS": "project.api.schema.EnvelopeAutoSchema",
    "EXCEPTION_HANDLER": "project.api.errors.handle_exception",
    "COERCE_DECIMAL_TO_STRING": True,
    # As `shop.api.wire.moment` writes it: DRF converts to TIME_ZONE, which has no summer time.
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S+08:00",
    "UNAUTHENTICATED_USER": None,
}
REST_KNOX = {
    "TOKEN_TTL": timedelta(days=env.int("TOKEN_TTL_DAYS", 7)),
    "AUTH_HEADER_PREFIX": "Token",
    "AUTO_REFRESH": False,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "课程商店 API",
    "DESCRIPTION": (
        "Cart, checkout, orders and Alipay payment of an online course shop. Amounts are "
        "yuan as strings with two decimals; 贝里 are integers."
    ),
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "COMPONENT_SPLIT_REQUEST": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "OrderStatusEnum": "shop.states.OrderStatus",
        "CouponRecordStatusEnum": "shop.states.CouponRecordStatus",
        "EnrolmentStatusEnum": "shop.states.EnrolmentStatus",
        "CheckoutStatusEnum": ["pending", "ready", "failed"],
        "PlacedStatusEnum": ["pending"],
        "ShownOrderStatusEnum": "shop.api.orderoutput.STATUSES",
        "BookEnum": "shop.models.ledger.LedgerTransfer.Book",
    },
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "project.api.schema.document_errors",
    ],
}

# --- Shop rules ---------------------------------------------------------------------------------------------

# How many 贝里 are worth one yuan. A divisor of 100, so that any number of 贝里 is a whole number of fen.
BEILI_PER_YUAN = env.int("BEILI_PER_YUAN", 1)
CART_MAX_LINES = env.int("CART_MAX_LINES", 50)
CART_TTL_S = env.int("CART_TTL_S", 30 * 24 * 3600)
CHECKOUT_TTL_S = env.int("CHECKOUT_TTL_S", 30 * 60)
# The deadline that a buyer sees, and the grace period before the order is closed: a password typed in the
# last second still counts.
ORDER_TTL_S = env.int("ORDER_TTL_S", 30 * 60)
ORDER_GRACE_S = env.int("ORDER_GRACE_S", 2 * 60)
# The lease of a claimed row: if it isn't renewed for this long, the row may be claimed again. A worker renews
# its leases three times as often.
WORK_LEASE_S = env.int("WORK_LEASE_S", 5)
# Refunds requested by buyers within this many days of the payment need no approval, provided that all of the
# access that they revoke is still running; 0: every refund needs approval.
REFUND_AUTO_DAYS = env.int("REFUND_AUTO_DAYS", 0)
# Whether a refund covers only the days of access that are left.
REFUND_PRO_RATA = env.bool("REFUND_PRO_RATA", False)
# Whether a refund that a staff member requested must be approved by another one.
REFUND_FOUR_EYES = env.bool("REFUND_FOUR_EYES", False)
# Whether a fully refunded order returns its coupons (their last day stays the same).
REFUND_RETURNS_COUPONS = env.bool("REFUND_RETURNS_COUPONS", True)
# For how many days handled notifications keep Alipay's data about buyers; 0: for ever. Half a year is longer
# than disputes and refunds take.
PERSONAL_DATA_DAYS = env.int("PERSONAL_DATA_DAYS", 180)
# A file that a worker or beat touches while it does its job, so that a health check needn't start a process
# of ours.
ALIVE_FILE = env.str("ALIVE_FILE", "")
# Where a worker or beat serves its metrics to Prometheus, as host:port; empty: nowhere. The web process has
# /metrics.
METRICS_LISTEN = env.str("METRICS_LISTEN", "")
# How often the workers look for rows that were left behind.
SWEEP_INTERVAL_S = env.float("SWEEP_INTERVAL_S", 2.0)
# A payment without a notification is first queried after PAYMENT_FIRST_QUERY_S, and then repeatedly while it
# is open.
PAYMENT_FIRST_QUERY_S = env.float("PAYMENT_FIRST_QUERY_S", 30.0)
PAYMENT_QUERY_INTERVAL_S = env.float("PAYMENT_QUERY_INTERVAL_S", 60.0)
# From which hour of the next day (Beijing time) a day's bill is downloaded. Alipay has it ready at about
# nine.
BILL_HOUR = env.int("BILL_HOUR", 10)
# How many concurrent calls to Alipay one process of a gateway worker makes, and how many one web process
# makes for buyers who wait.
GATEWAY_CONCURRENCY = env.int("GATEWAY_CONCURRENCY", 64)
GATEWAY_PLACES = env.int("GATEWAY_PLACES", 2)
# How many calls to Alipay per second one process of a gateway worker makes on average; 0: no limit.
GATEWAY_RATE = env.float("GATEWAY_RATE", 0.0)
ORDER_STATUS_WAIT_MAX_S = env.int("ORDER_STATUS_WAIT_MAX_S", 25)
# How many requests of one web process may be held open by `?wait=`; any more are answered at once, with
# Retry-After.
ORDER_STATUS_WAITERS = env.int("ORDER_STATUS_WAITERS", 2)
if CONNECTION_LIMITS["silence_s"] <= ORDER_STATUS_WAIT_MAX_S:
    raise ImproperlyConfigured(
        "CONNECTION_SILENCE_S must be longer than ORDER_STATUS_WAIT_MAX_S, or buyers who wait are cut off."
    )
if ORDER_STATUS_WAITERS >= WEB_THREADS:
    raise ImproperlyConfigured(
        "ORDER_STATUS_WAITERS must be less than WEB_THREADS, or buyers who wait stop everybody else."
    )

# --- Limits -------------------------------------------------------------------------------------------------

# Rate limits of one buyer or one address, as (count, seconds). `shop/domain/limits.py` enforces them.
LIMITS = {
    "checkouts": env.rate("LIMIT_CHECKOUTS", "30/60"),
    "claims": env.rate("LIMIT_CLAIMS", "60/60"),
    # Per login, and counted in each web process separately, so that the busiest endpoint queries no other
    # server.
    "order_requests": env.rate("LIMIT_ORDER_REQUESTS", "60/60"),
    "payment_starts_of_order": env.rate("LIMIT_PAYMENT_STARTS_OF_ORDER", "20/600"),
    "payment_starts_of_buyer": env.rate("LIMIT_PAYMENT_STARTS_OF_BUYER", "60/600"),
    "logins_of_address": env.rate("LIMIT_LOGINS_OF_ADDRESS", "60/60"),
    "logins_of_known_name": env.rate("LIMIT_LOGINS_OF_KNOWN_NAME", "20/60"),
    "login_failures_of_pair": env.rate("LIMIT_LOGIN_FAILURES_OF_PAIR", "10/900"),
    "login_failures_of_address": env.rate("LIMIT_LOGIN_FAILURES_OF_ADDRESS", "30/900"),
    "login_failures_of_name": env.rate("LIMIT_LOGIN_FAILURES_OF_NAME", "100/900"),
    "login_failures_of_device": env.rate("LIMIT_LOGIN_FAILURES_OF_DEVICE", "10/900"),
    "registrations_of_address": env.rate("LIMIT_REGISTRATIONS_OF_ADDRESS", "20/3600"),
    "resets_of_address": env.rate("LIMIT_RESETS_OF_ADDRESS", "20/3600"),
    "resets_of_mailbox": env.rate("LIMIT_RESETS_OF_MAILBOX", "3/3600"),
    "password_changes": env.rate("LIMIT_PASSWORD_CHANGES", "10/3600"),
}
# What one buyer may have at once: orders that are neither paid nor closed, checkouts, and logins. A new
# checkout or login ends the oldest.
MAX_CHECKOUTS = env.int("MAX_CHECKOUTS", 3)
MAX_OPEN_ORDERS = env.int("MAX_OPEN_ORDERS", 20)
MAX_TOKENS = env.int("MAX_TOKENS", 10)
# How many threads of one web process may hash passwords at once: fewer than it has, so that logins can't
# occupy them all.
LOGIN_PLACES = env.int("LOGIN_PLACES", 2)

# --- Alipay -------------------------------------------------------------------------------------------------

_GATEWAY_URL = env.web_address("ALIPAY_GATEWAY_URL", "")
ALIPAY = {
    "GATEWAY_URL": _GATEWAY_URL,
    # The gateway's URL for buyers' browsers. It differs only if a simulator runs in containers.
    "BUYER_GATEWAY_URL": env.web_address("ALIPAY_BUYER_GATEWAY_URL", "") or _GATEWAY_URL,
    "APP_ID": env.str("ALIPAY_APP_ID", ""),
    "SELLER_ID": env.str("ALIPAY_SELLER_ID", ""),
    "APP_PRIVATE_KEY_PATH": env.str("ALIPAY_APP_PRIVATE_KEY_PATH", ""),
    # Several while a key is being rotated: a signature by any of them counts.
    "PUBLIC_KEY_PATHS": env.list("ALIPAY_PUBLIC_KEY_PATHS", [], subcast=str.strip),
    # Apps that the shop used before. Payments made with them are queried, refunded and verified with their
    # credentials.
    "FORMER_APPS": env.alipay_apps("ALIPAY_FORMER_APPS", ""),
    "NOTIFY_URL": env.web_address("ALIPAY_NOTIFY_URL", f"{PUBLIC_URL}/api/v1/payments/alipay/notify/"),
    "RETURN_URL": env.web_address("ALIPAY_RETURN_URL", f"{PUBLIC_URL}/api/v1/payments/alipay/return/"),
    "TIMEOUT_S": env.int("ALIPAY_TIMEOUT_S", 5),
}

# Whether a simulator may take Alipay's place, in which case anybody who has its keys pays with nothing.
# Otherwise it is refused unless DEBUG is on.
ALLOW_SIMULATOR = env.bool("ALLOW_SIMULATOR", False)

# --- Logging ------------------------------------------------------------------------------------------------

LOG_LEVEL = env.str("LOG_LEVEL", "INFO").upper()
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
    raise ImproperlyConfigured("LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL.")
LOG_FORMAT = env.str("LOG_FORMAT", "json")
if LOG_FORMAT not in {"json", "console"}:
    raise ImproperlyConfigured("LOG_FORMAT must be json or console.")

log_config.configure_structlog()
LOGGING = log_config.django_logging(level=LOG_LEVEL, line_format=LOG_FORMAT)
