"""Customer onboarding: checks, screening, a signed contract within its time, an account."""
