"""Static files as `manage.py collectstatic` lays them out."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc] # whitenoise has no types
    """Files with a digest of their content in their names, each with a gzipped copy.

    Scripts import each other by these names, too.
    """

    support_js_module_import_aggregation = True
