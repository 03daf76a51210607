"""Writes model folders without weights: `make_models.py JSON`, a list of `{folder, type, shape}`."""

import json
import sys

from transformers import AutoConfig

from py_worker.data.char_tokenizer import char_tokenizer

CLASSES = {
    "gpt2": "GPT2LMHeadModel",
    "llama": "LlamaForCausalLM",
    "t5": "T5ForConditionalGeneration",
}

tokenizer = char_tokenizer()
ids = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
for model in json.loads(sys.argv[1]):
    config = AutoConfig.for_model(model["type"], vocab_size=len(tokenizer), **ids, **model["shape"])
    config.architectures = [CLASSES[model["type"]]]
    config.save_pretrained(model["folder"])
    tokenizer.save_pretrained(model["folder"])
