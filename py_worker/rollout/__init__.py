"""Generation engines: responses drawn from a policy with random numbers keyed by sample id and position."""
