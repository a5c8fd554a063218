"""What may hold a step back that could begin: mutexes, rates, circuits; and results to reuse."""
