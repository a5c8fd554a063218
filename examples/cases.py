"""Every use case there is. Read `CASES`; what one is made of says `examples/stories.py`.

The demo publishes and plays them, the tests play them, `examples/pictures.py` takes pictures of
them, and the page `docs/use-cases.md` lists them.
"""

from examples.agent.case import CASE as AGENT
from examples.compliance.case import CASE as COMPLIANCE
from examples.etl.case import CASE as ETL
from examples.incident.case import CASE as INCIDENT
from examples.onboarding.case import CASE as ONBOARDING
from examples.orders.case import CASE as ORDERS
from examples.provisioning.case import CASE as PROVISIONING
from examples.publishing.case import CASE as PUBLISHING
from examples.release.case import CASE as RELEASE
from examples.repair.case import CASE as REPAIR
from examples.stories import Story, UseCase
from examples.training.case import CASE as TRAINING
from examples.vulnerabilities.case import CASE as VULNERABILITIES

CASES: tuple[UseCase, ...] = (
    RELEASE,
    ORDERS,
    INCIDENT,
    VULNERABILITIES,
    COMPLIANCE,
    REPAIR,
    ETL,
    TRAINING,
    ONBOARDING,
    PROVISIONING,
    PUBLISHING,
    AGENT,
)


def list_stories() -> list[tuple[UseCase, Story]]:
    """Return every story with its use case, in order."""
    return [(case, story) for case in CASES for story in case.stories]
