// Generated from protocol/fixtures/registries.json by protocol/generate.ts; do not edit.

export const SCORES = [
  "accuracy",
  "bleu",
  "exact_match",
  "rouge_l"
] as const;

export const LOSSES = [
  "cross_entropy",
  "forward_kl",
  "reverse_kl",
  "jsd",
  "tvd",
  "skew_forward_kl",
  "skew_reverse_kl",
  "alpha_beta",
  "exact_moment_tanh",
  "exact_moment_mixture"
] as const;

export const OBJECTIVE_FACTS = {
  "cross_entropy": {
    "teacher": false,
    "critic": false,
    "target": true,
    "sampled": false,
    "formula": true,
    "params": {},
    "ranges": {}
  },
  "forward_kl": {
    "teacher": true,
    "critic": false,
    "target": false,
    "sampled": false,
    "formula": true,
    "params": {
      "temperature": 1
    },
    "ranges": {
      "temperature": [
        0.01,
        100
      ]
    }
  },
  "reverse_kl": {
    "teacher": true,
    "critic": false,
    "target": false,
    "sampled": true,
    "formula": true,
    "params": {
      "temperature": 1
    },
    "ranges": {
      "temperature": [
        0.01,
        100
      ]
    }
  },
  "jsd": {
    "teacher": true,
    "critic": false,
    "target": false,
    "sampled": false,
    "formula": true,
    "params": {
      "temperature": 1,
      "beta": 0.5
    },
    "ranges": {
      "temperature": [
        0.01,
        100
      ],
      "beta": [
        0,
        1
      ]
    }
  },
  "tvd": {
    "teacher": true,
    "critic": false,
    "target": false,
    "sampled": false,
    "formula": true,
    "params": {
      "temperature": 1
    },
    "ranges": {
      "temperature": [
        0.01,
        100
      ]
    }
  },
  "skew_forward_kl": {
    "teacher": true,
    "critic": false,
    "target": false,
    "sampled": false,
    "formula": true,
    "params": {
      "temperature": 1,
      "alpha": 0.1
    },
    "ranges": {
      "temperature": [
        0.01,
        100
      ],
      "alpha": [
        0,
        1
      ]
    }
  },
  "skew_reverse_kl": {
    "teacher": true,
    "critic": false,
    "target": false,
    "sampled": false,
    "formula": true,
    "params": {
      "temperature": 1,
      "alpha": 0.1
    },
    "ranges": {
      "temperature": [
        0.01,
        100
      ],
      "alpha": [
        0,
        1
      ]
    }
  },
  "alpha_beta": {
    "teacher": true,
    "critic": false,
    "target": false,
    "sampled": false,
    "formula": true,
    "params": {
      "alpha": 0.5,
      "beta": 0.5,
      "temperature": 1
    },
    "ranges": {
      "temperature": [
        0.01,
        100
      ]
    }
  },
  "moment": {
    "teacher": true,
    "critic": true,
    "target": false,
    "sampled": true,
    "formula": true,
    "params": {},
    "ranges": {}
  },
  "exact_moment_tanh": {
    "teacher": true,
    "critic": false,
    "target": false,
    "sampled": true,
    "formula": false,
    "params": {
      "bound_value": 1
    },
    "ranges": {
      "bound_value": [
        0.001,
        1000
      ]
    }
  },
  "exact_moment_mixture": {
    "teacher": true,
    "critic": false,
    "target": false,
    "sampled": true,
    "formula": true,
    "params": {},
    "ranges": {}
  }
} as const;

export const ENGINE_FACTS = {
  "native": {
    "concurrent": true
  },
  "forward": {
    "concurrent": false
  },
  "native_graphs": {
    "concurrent": false
  },
  "vllm": {
    "concurrent": false
  }
} as const;

export const MEMORY_ITEMS = [
  "teacher",
  "student",
  "optimizer",
  "critics",
  "rollouts",
  "gradients",
  "critic_gradients",
  "update",
  "hidden_states",
  "logits",
  "activations",
  "kv_cache",
  "arranged_weights",
  "second_student",
  "checkpoint",
  "overhead"
] as const;
