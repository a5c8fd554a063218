"""What `make run` uses: the production stack in miniature on one machine, over plain http.

`manage.py check --deploy` refuses this profile: its accounts are known and its cookies travel in
the clear.
"""

from core.settings.base import *

# Browsers refuse `__Host-` and Secure cookies over plain http.
SESSION_COOKIE_NAME = "session"
SESSION_COOKIE_SECURE = False
CSRF_COOKIE_NAME = "csrf"
CSRF_COOKIE_SECURE = False
WHITENOISE_USE_FINDERS = True
# `make demo` and people who try the API with curl sign in by name and password.
API_PASSWORD_TOKENS = True
