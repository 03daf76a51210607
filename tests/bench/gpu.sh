#!/usr/bin/env bash
# What a machine with a GPU, and without Node or a network, can measure:
#
#     tests/bench/gpu.sh OUT WHEELS [names of benches and options, as of run.py]
#
# Where the machine is lent by the minute, the most wanted first, each within its share:
#
#     tests/bench/gpu.sh OUT WHEELS trl_gkd generation fused_losses memory overlap --quick --limit 110
#
# Wheels for such a machine with Python 3.12, from one with a network (68 MiB, 56 with pyarrow==21.0.0):
#
#     pip download --no-deps --only-binary=:all: --python-version 3.12 --platform manylinux_2_28_x86_64 -d WHEELS \
#       pyzmq msgspec trl datasets pyarrow pandas dill multiprocess xxhash python-dateutil six
#
# OUT gets one JSON file a bench and the whole output (bench.log). WHEELS is a folder of wheels that are put before the
# machine's own packages for this call: pyzmq and msgspec if they are not there, and for trl_gkd trl with what it wants;
# '' is none. DEVICE=cpu tries the same on the CPU.
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
python3 tests/bench/run.py --device "${DEVICE:-cuda}" --out "$out" "$@" 2>&1 | tee "$out/bench.log"
