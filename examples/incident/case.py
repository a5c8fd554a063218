"""Security incident response as a use case."""

from typing import Any

from examples.stories import Decide, Send, Story, UseCase

_ACKNOWLEDGE = Send(type="incident.acknowledged", data={"run": "{run}"}, when="ack")


def _alert(service: str, severity: str, summary: str, fingerprint: str) -> dict[str, Any]:
    data = {
        "service": service,
        "severity": severity,
        "summary": summary,
        "fingerprint": fingerprint,
    }
    return {"inputs": data, "event": Send(type="com.alertmanager.firing", data=data)}


CASE = UseCase(
    slug="incident",
    workflow="incident",
    title="Security incident response",
    summary=(
        "An alert starts a run, once for each fingerprint. It is acknowledged or clears by itself; "
        "logs are read host by host; people choose the remedy; what does not help is put back."
    ),
    files=("remediate.yaml", "incident.yaml"),
    pictured="stolen-key",
    stories=(
        Story(
            slug="stolen-key",
            says="A key is used from two regions: on call and the board rotate it.",
            **_alert("checkout", "critical", "A signing key is used from two regions", "f-7001"),
            acts=(
                _ACKNOWLEDGE,
                Decide(
                    who="ivo",
                    step="contain",
                    form={"remedy": "rotate-keys"},
                    comment="k-204 leaked with last night's backup. co-3 is down since then.",
                ),
                Decide(who="owen", step="contain"),
            ),
        ),
        Story(
            slug="second-try",
            says="Malware is isolated; it takes two tries until nothing is found any more.",
            **_alert("mail-gateway", "high", "An attachment started a process", "f-7002"),
            acts=(_ACKNOWLEDGE, Decide(who="ada", step="contain", form={"remedy": "isolate"})),
        ),
        Story(
            slug="wrong-remedy",
            says="A restart does not drive malware out: after three tries it is put back.",
            **_alert("mail-gateway", "high", "Mail leaves to an unknown host", "f-7003"),
            acts=(_ACKNOWLEDGE, Decide(who="ivo", step="contain", form={"remedy": "restart"})),
            ends="failed",
            undone=("remedy",),
        ),
        Story(
            slug="cleared",
            says="The alert clears by itself: nobody is asked, nothing is done.",
            **_alert("wiki", "high", "Memory of the workers is used up", "f-7004"),
            acts=(
                Send(type="com.alertmanager.resolved", data={"fingerprint": "f-7004"}, when="ack"),
            ),
        ),
        Story(
            slug="by-hand",
            says="On call wants to look first, and does it by hand.",
            **_alert("checkout", "high", "Login from a new network", "f-7005"),
            acts=(
                _ACKNOWLEDGE,
                Decide(
                    who="ada",
                    step="contain",
                    decision="reject",
                    comment="That is the new office. I take it from here.",
                ),
            ),
            ends="rejected",
        ),
        Story(
            slug="for-on-call",
            says="A critical incident that waits for a remedy.",
            **_alert("wiki", "critical", "Pages of the board are read by a robot", "f-7006"),
            acts=(_ACKNOWLEDGE,),
            ends="waiting",
            waits_in="contain",
        ),
    ),
)
