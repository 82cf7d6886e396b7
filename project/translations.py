"""The shop's translations: extracts messages from the source, updates the catalogues, and compiles them.

Needs Babel, so only developers run it.

The source is in Chinese. `django.po` has the messages of the pages, of the desk and of the API, `djangojs.po`
those of the scripts, whose compiled form is a script that sets `shopCatalogue`. The compiled files are in the
repository, so running the shop needs no compiler.
"""

import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django
from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
LANGUAGE = "en"
FOLDER = ROOT / "shop/locale" / LANGUAGE / "LC_MESSAGES"
SCRIPTS = ROOT / "shop/static/shop/js"
SCRIPT = SCRIPTS / "locale" / f"{LANGUAGE}.js"
# The templates of the buyers' pages and of the desk.
TEMPLATES = tuple(
    ROOT / path
    for path in (
        "shop/templates/storefront",
        "shop/templates/desk",
        "payments/templates/desk",
        "project/templates/admin",
    )
)
# Separates a message from the context before it, here as in compiled catalogues.
_AFTER_CONTEXT = "\x04"
# A message, or its singular and its plural.
Message = str | tuple[str, str]
_PYTHON = {
    **DEFAULT_KEYWORDS,
    "gettext_lazy": None,
    "gettext_noop": None,
    "pgettext_lazy": DEFAULT_KEYWORDS["pgettext"],
}
# Constant, so that the catalogues don't depend on who updates them, or when.
_HEADER: dict[str, Any] = {
    "project": "course-shop", "version": "1", "msgid_bugs_address": "-", "last_translator": "-",
    "language_team": "-",
    "creation_date": datetime(2026, 1, 1, tzinfo=UTC), "revision_date": datetime(2026, 1, 1, tzinfo=UTC),
}  # fmt: skip
# A counted text has one form in Chinese, which stands for both.
_JAVASCRIPT: dict[str, Any] = {"t": None, "tn": (1, 1)}


def main() -> None:
    """Updates the catalogues from the source and compiles them; prints the messages without a translation.

    The exit status is 1 if there are any.
    """
    missing = []
    for name, messages in {"django": words_of_pages(), "djangojs": words_of_scripts()}.items():
        catalogue = updated(read(name), messages)
        written = io.BytesIO()
        write_po(written, catalogue, width=120, sort_output=True, no_location=True)
        (FOLDER / f"{name}.po").write_bytes(written.getvalue())
        missing += untranslated(catalogue)
    for path, compiled in compile_all().items():
        path.write_bytes(compiled)
    print("\n".join(map(str, missing)) or "Nothing is untranslated.")  # noqa: T201 - talks to a developer
    sys.exit(bool(missing))


def words_of_pages() -> set[Message]:
    """The messages of the templates, the desk and the API."""
    from shop import errors  # noqa: PLC0415 - wants Django set up

    sources = (path for app in ("project", "payments", "shop") for path in (ROOT / app).rglob("*.py"))
    return {
        *(message for path in sources for message in _found("python", path.read_bytes(), _PYTHON)),
        *(message for path in templates() for message in _found("python", _as_python(path), _PYTHON)),
        *(error.message for error in errors.registry().values()),
        *_names_of_choices(),
    }


def templates() -> list[Path]:
    """Every template that may have messages."""
    return sorted(path for folder in TEMPLATES for path in folder.iterdir())


def _names_of_choices() -> Iterator[str]:
    """The names of columns' values, on the desk and in part on the buyers' pages."""
    from django.apps import apps  # noqa: PLC0415 - wants Django set up
    from django.utils import translation  # noqa: PLC0415

    columns = (
        column
        for app in ("payments", "shop")
        for model in apps.get_app_config(app).get_models()
        for column in model._meta.fields
    )
    with translation.override(None):
        yield from [str(name) for column in columns for _, name in column.flatchoices]


def words_of_scripts() -> set[Message]:
    """The messages of the scripts, and those that the API always returns in Chinese, for scripts to
    translate: labels, and refusals that a worker has stored.
    """
    scripts = (path for path in SCRIPTS.rglob("*.js") if path != SCRIPT)
    return {
        *(message for path in scripts for message in _found("javascript", path.read_bytes(), _JAVASCRIPT)),
        *_stored_words(),
    }


def _stored_words() -> Iterator[str]:
    from payments.states import RefundStatus  # noqa: PLC0415 - wants Django set up
    from shop.domain.checkout import checkouts  # noqa: PLC0415
    from shop.domain.ordering import decision  # noqa: PLC0415
    from shop.errors import DomainError, OrderFailed  # noqa: PLC0415
    from shop.models import OrderEvent, PricePolicy  # noqa: PLC0415

    yield from _labels_of(PricePolicy.Period, OrderEvent.Kind, RefundStatus)
    yield OrderFailed.message
    for known in (*vars(checkouts).values(), *vars(decision).values()):
        if isinstance(known, type) and issubclass(known, DomainError) and known is not DomainError:
            yield known.message


def _labels_of(*choices: Any) -> Iterator[str]:
    return (str(label) for one in choices for label in one.labels)


def _found(language: str, source: bytes, keywords: dict[str, Any]) -> Iterator[Message]:
    for _, message, _, context in extract(language, io.BytesIO(source), keywords=keywords):
        if isinstance(message, str):
            # English messages are Django's or the theme's, which have catalogues of their own.
            if not message.isascii():
                yield f"{context}{_AFTER_CONTEXT}{message}" if context else message
        else:
            yield message[0], message[1]


def _as_python(template: Path) -> bytes:
    """A template as Python-like source with its messages in calls, for Babel.

    The lines are stripped, since Babel fails on indentation that has no meaning.
    """
    from django.utils.translation.template import templatize  # noqa: PLC0415

    return "\n".join(
        line.lstrip() for line in templatize(template.read_text(encoding="utf-8")).splitlines()
    ).encode()


def read(name: str) -> Catalog:
    """A catalogue as it is in the repository."""
    path = FOLDER / f"{name}.po"
    if not path.exists():
        return Catalog(locale=LANGUAGE)
    with path.open("rb") as file:
        return read_po(file, locale=LANGUAGE)


def updated(known: Catalog, messages: Iterable[Message]) -> Catalog:
    """A catalogue of exactly these messages, with the translations that are already known."""
    fresh = Catalog(
        locale=LANGUAGE,
        header_comment="# The shop's words. Keys are the Chinese of the source.",
        fuzzy=False,
        **_HEADER,
    )
    for message in messages:
        context, text = _apart(message)
        before = known.get(text if isinstance(text, str) else text[0], context)
        is_same = before is not None and (before.id == text)
        fresh.add(text, before.string if before is not None and is_same else None, context=context)
    return fresh


def _apart(message: Message) -> tuple[str | None, Message]:
    if isinstance(message, str) and _AFTER_CONTEXT in message:
        context, _, text = message.partition(_AFTER_CONTEXT)
        return context, text
    return None, message


def message_of(entry: Any) -> Message:
    """A catalogue's entry as the message that it translates."""
    if isinstance(entry.id, str):
        return f"{entry.context}{_AFTER_CONTEXT}{entry.id}" if entry.context else entry.id
    return entry.id[0], entry.id[1]


def untranslated(catalogue: Catalog) -> list[Any]:
    """The messages without a complete translation."""
    return [
        message_of(entry)
        for entry in catalogue
        if entry.id and (entry.fuzzy or not all(forms_of(entry.string)))
    ]


def forms_of(translation: str | Sequence[str] | None) -> Sequence[str]:
    """A translation's forms: one, or singular and plural."""
    return [translation] if isinstance(translation, str) else translation or [""]


def compile_all() -> dict[Path, bytes]:
    """The contents of the compiled files, by path."""
    compiled = io.BytesIO()
    write_mo(compiled, read("django"))
    return {FOLDER / "django.mo": compiled.getvalue(), SCRIPT: _script(read("djangojs"))}


def _script(catalogue: Catalog) -> bytes:
    words = {
        entry.id if isinstance(entry.id, str) else entry.id[0]: entry.string
        for entry in catalogue
        if entry.id
    }
    table = json.dumps(dict(sorted(words.items())), ensure_ascii=False, indent=1)
    return f"// Written by bin/translate from djangojs.po.\nglobalThis.shopCatalogue = {table};\n".encode()


if __name__ == "__main__":
    django.setup()
    main()
