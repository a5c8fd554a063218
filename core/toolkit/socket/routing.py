"""Which paths are sockets; anything else is refused before it opens."""

from typing import Any

from channels.routing import URLRouter
from channels.security.websocket import WebsocketDenier
from django.urls import path, re_path

from core.toolkit.socket.consumer import LiveConsumer

SOCKET_ROUTER: Any = URLRouter(
    [
        path("ws/", LiveConsumer.as_asgi()),
        path("ws", LiveConsumer.as_asgi()),
        re_path(r"", WebsocketDenier.as_asgi()),
    ]
)
