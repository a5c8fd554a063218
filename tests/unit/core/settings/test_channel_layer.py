"""How sockets wait for signals."""

import inspect
from typing import Any

from channels_redis.core import RedisChannelLayer
from django.conf import settings


def test_the_client_waits_longer_than_the_layer_does():
    layer: Any = settings.CHANNEL_LAYERS["default"]
    [host] = layer["CONFIG"]["hosts"]
    source = inspect.getsource(RedisChannelLayer)

    # A client that gives up first closes every socket that hears nothing for so long.
    assert "brpop_timeout = 5" in source
    assert host["socket_timeout"] > 5
