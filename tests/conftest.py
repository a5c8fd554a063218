"""What holds for every test."""

from hypothesis import HealthCheck, settings

# A busy machine is no finding: examples are judged by what they show, never by how long they took.
settings.register_profile(
    "countersign", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("countersign")
