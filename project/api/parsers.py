"""JSON bodies, read strictly."""

import json
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from shop.api.fields import content_length
from shop.errors import BodyTooLarge


class StrictJSONParser(JSONParser):
    """DRF's parser, but also refuses a body that is too large, nested too deeply, or contains a lone
    surrogate.

    Half of a surrogate pair can be neither stored nor sent back.
    """

    strict = True

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        # DRF reads the stream itself and so bypasses Django's own limit. A body without a length is empty
        # here.
        request = (parser_context or {})["request"]
        if content_length(request.META) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise BodyTooLarge(limit_bytes=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        try:
            data = super().parse(stream, media_type, parser_context)
            json.dumps(data, ensure_ascii=False).encode()
        except RecursionError as error:
            raise ParseError("JSON is nested too deeply") from error
        except UnicodeEncodeError as error:
            raise ParseError("JSON holds a lone surrogate") from error
        return data
