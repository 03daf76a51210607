#!/usr/bin/env bash
# What a machine with a GPU, and without Node or a network, can measure:
#
#     tests/bench/gpu.sh OUT WHEELS [names of benches and options, as of run.py]
#
# Where time on the machine is short, the most wanted first, each within its share:
#
#     tests/bench/gpu.sh OUT '' agreement --limit 150
#     tests/bench/gpu.sh OUT WHEELS trl_gkd --limit 200 --pairs 10 --setting smollm2:bfloat16 tiny:float32
#     tests/bench/gpu.sh OUT '' generation --limit 90 --pairs 10 --model smollm2 tiny --eos suppressed
#     tests/bench/gpu.sh OUT '' fused_losses --limit 150 --pairs 5 --positions 8192 --vocab 131072
#     tests/bench/gpu.sh OUT WHEELS memory overlap --limit 110 --quick
#
# Wheels for such a machine with Python 3.12 that has torch, transformers, accelerate, pandas and pyarrow (24 or
# newer), from one with a network (3 MiB):
#
#     pip download --no-deps --only-binary=:all: --python-version 3.12 --platform manylinux_2_28_x86_64 -d WHEELS \
#       pyzmq msgspec trl==1.16.0 datasets==5.2.0 dill==0.4.1 multiprocess==0.70.19
#
# OUT gets one JSON file a bench and the whole output (bench.log, added to by each call). WHEELS is a folder of wheels
# that are put before the machine's own packages for this call: pyzmq and msgspec if they are not there, and for trl_gkd
# trl with what it wants; '' is none. DEVICE=cpu tries the same on the CPU.
set -euo pipefail
out=$1 wheels=$2
shift 2
mkdir -p "$out"
out=$(cd "$out" && pwd)
if [ -n "$wheels" ]; then
  site=$(mktemp -d)/site-packages
  python3 -m pip install --quiet --no-index --no-deps --no-compile --target "$site" "$wheels"/*.whl
  export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
fi
cd "$(dirname "$0")/../.."
export PYTHONUNBUFFERED=1
{
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm --format=csv || true
  python3 -c 'import time, torch; print(time.ctime(), "torch", torch.__version__, "CUDA", torch.version.cuda)'
  python3 tests/bench/run.py --device "${DEVICE:-cuda}" --out "$out" "$@"
} 2>&1 | tee -a "$out/bench.log"
