"""Which answers are compressed on their way. Read `CompressionMiddleware`."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware


class CompressionMiddleware(GZipMiddleware):
    """Compresses answers, but for those that say `no-transform`.

    A file that is downloaded in parts must have the same bytes and the same length each time.
    Source: RFC 9111 §5.2.2.6.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Return the answer, compressed if that helps."""
        if "no-transform" in response.headers.get("Cache-Control", ""):
            return response
        return super().process_response(request, response)
