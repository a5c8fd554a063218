"""Which paths are sockets; anything else is refused before it opens."""

from typing import Any

from channels.routing import URLRouter
from django.urls import path, re_path

from core.toolkit.socket.consumer import LiveConsumer
from core.toolkit.socket.gate import SocketGate, deny

# Django's types know of views only; Channels routes ASGI applications by the same functions.
_live: Any = SocketGate(LiveConsumer.as_asgi())
_deny: Any = deny

SOCKET_ROUTER: Any = URLRouter([path("ws/", _live), path("ws", _live), re_path(r"", _deny)])
