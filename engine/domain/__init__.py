"""The engine's pure core: plan, expressions, decider. Read `plan`, then `decider`."""
