"""What ids depend on in a tokenizer, as one hash: part of a dataset's key, and named in a run's manifest."""

import json
from hashlib import sha256

from transformers import PreTrainedTokenizerFast


def tokenizer_hash(tokenizer: PreTrainedTokenizerFast) -> str:
    """SHA-256 (hex) of vocabulary, rules, special tokens and chat template, not of padding and truncation.

    Those two are what the last call asked for.
    """
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    for transient in ("padding", "truncation"):
        rules.pop(transient, None)
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    canonical = json.dumps([rules, special, tokenizer.chat_template], sort_keys=True, ensure_ascii=False)
    return sha256(canonical.encode()).hexdigest()
