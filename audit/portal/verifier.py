"""The offline verifier as a file to download. Read `VerifierFileView`.

For everybody, signed in or not: auditors have no account, and it is the same file for all. Whoever
does not trust this server compares its digest with the one of a release, or takes it from there.
"""

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from django.views import View

from countersign import verify

FILE_NAME: Final = "countersign_verify.py"
_CACHING: Final = "public, max-age=3600"  # it changes with a release


class VerifierFileView(View):
    """`countersign/verify.py`, byte for byte."""

    http_method_names = ("get", "head", "options")

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """Return the file, or that the caller's copy is still right."""
        etag = f'"{get_verifier_digest()}"'
        full = HttpResponse(
            _read_file(),
            content_type="text/x-python; charset=utf-8",
            headers={
                "ETag": etag,
                "Cache-Control": _CACHING,
                "Content-Disposition": f'attachment; filename="{FILE_NAME}"',
            },
        )
        answer = get_conditional_response(request, etag=etag, response=full)
        assert answer is not None, "there is always a full one"
        return answer


@cache
def get_verifier_digest() -> str:
    """Return the SHA-256 of the file, in hex."""
    return sha256(_read_file()).hexdigest()


@cache
def _read_file() -> bytes:
    return Path(verify.__file__).read_bytes()
