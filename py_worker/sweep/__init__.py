"""The search of a sweep: Optuna in a process of its own, which knows parameters and values, and no model."""
