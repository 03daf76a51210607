"""Critics, on the last hidden states of a policy."""
