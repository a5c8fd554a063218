"""Registers the functions of all examples: the one module the demo names in FUNCTION_MODULES."""

import examples.agent.functions
import examples.compliance.functions
import examples.etl.functions
import examples.incident.functions
import examples.onboarding.functions
import examples.orders.functions
import examples.provisioning.functions
import examples.publishing.functions
import examples.release.functions
import examples.repair.functions
import examples.training.functions
import examples.vulnerabilities.functions  # noqa: F401  # importing is registering
