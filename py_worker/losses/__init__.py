"""Pure functions of logits and values, and the driver that applies them to models chunk by chunk."""
