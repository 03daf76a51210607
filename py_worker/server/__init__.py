"""Socket thread, conversation, codec, request queue and operation loop."""
