"""Where collected files are: named by content, compressed, kept for ever by browsers."""

from whitenoise.storage import (  # type: ignore[import-untyped]  # ships no types
    CompressedManifestStaticFilesStorage,
)


class StaticStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # as above
    """Also renames what our modules import, so that no browser mixes two versions of them."""

    support_js_module_import_aggregation = True
