"""Loads an exported student with Transformers alone, and says as JSON what came out."""

import json
import sys

from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
ids = tokenizer("reverse: abc", return_tensors="pt").input_ids
drawn = model.generate(ids, max_new_tokens=4, do_sample=False)
print(
    json.dumps(
        {
            "parameters": model.num_parameters(),
            "drawn": drawn.shape[1] - ids.shape[1],
            "text": tokenizer.decode(ids[0]),
            "eos": tokenizer.eos_token_id == model.generation_config.eos_token_id,
        }
    )
)
