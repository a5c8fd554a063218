"""The web process's entry: HTTP to Django, websockets at `/ws/` to Channels."""

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "core.settings.local")
os.environ.setdefault("PROCESS_ROLE", "web")

_http: Any = get_asgi_application()  # Django's own ASGI types and asgiref's do not agree

from channels.routing import ProtocolTypeRouter

from core.toolkit.api.body_limit import BodyLimit
from core.toolkit.api.conf import read_held_paths
from core.toolkit.api.holding import Holding
from core.toolkit.socket.routing import SOCKET_ROUTER

_held = Holding(BodyLimit(_http), paths=read_held_paths())
application = ProtocolTypeRouter({"http": _held, "websocket": SOCKET_ROUTER})
