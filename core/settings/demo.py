"""What `make run` uses: the production stack in miniature on one machine, over plain http.

`manage.py check --deploy` refuses this profile: its accounts are known and its cookies travel in
the clear.
"""

from core.settings.base import *

# Browsers refuse `__Host-` and Secure cookies over plain http.
# Browsers do not tell ports apart, and two of these may run side by side.
SESSION_COOKIE_NAME = f"session-{ENVIRONMENT.port}"
SESSION_COOKIE_SECURE = False
CSRF_COOKIE_NAME = f"csrf-{ENVIRONMENT.port}"
CSRF_COOKIE_SECURE = False
TRUSTED_ORIGINS = [*TRUSTED_ORIGINS, f"http://localhost:{ENVIRONMENT.port}"]
CSRF_TRUSTED_ORIGINS = TRUSTED_ORIGINS
# The use cases: their functions, and the deployment target the supervisor starts beside us.
DEMO_TARGET_URL = f"http://127.0.0.1:{ENVIRONMENT.target_port}"
FUNCTION_MODULES = [*FUNCTION_MODULES, "examples.functions"]
HTTP_PRIVATE_ALLOWED = [*HTTP_PRIVATE_ALLOWED, f"127.0.0.1:{ENVIRONMENT.target_port}"]
# `make demo` and people who try the API with curl sign in by name and password.
API_PASSWORD_TOKENS = True
API_DOCUMENT_PUBLIC = True
# `make demo` signs everybody in from one address, perhaps a few times in a row.
API_THROTTLE_RATES = {"login": "60/300"}
# A folder stands for the write-once storage elsewhere that a real deployment has, so that the page
# of the log shows what an anchor is.
if not ENVIRONMENT.ledger_anchors:
    LEDGER_ANCHORS = [{"name": "folder", "kind": "file", "folder": str(VAR / "anchors")}]
    LEDGER_ANCHOR_SECONDS = 30
