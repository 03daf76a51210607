"""From a specification to a policy: where models are read from, what they start with, who may be paired."""
