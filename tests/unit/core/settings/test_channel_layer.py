"""How sockets wait for signals."""

import inspect

from channels_redis.core import RedisChannelLayer
from django.conf import settings


def test_the_client_waits_longer_than_the_layer_does():
    [host] = settings.CHANNEL_LAYERS["default"]["CONFIG"]["hosts"]
    source = inspect.getsource(RedisChannelLayer)

    # A client that gives up first closes every socket that hears nothing for so long.
    assert "brpop_timeout = 5" in source
    assert host["socket_timeout"] > 5
