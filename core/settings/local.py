"""What `manage.py` uses by hand: the demo's settings, against the servers of a running `make run`.

`DEBUG=1` shows error pages.
"""

from core.settings.demo import *
