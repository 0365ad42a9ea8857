#!/usr/bin/env bash
# Trains on Fashion-MNIST offline while its run is followed to a server, proves that all of it has arrived, and
# prints the address of its page; on a terminal the page stays until Ctrl-C.
# Usage: examples/demo.sh FOLDER, with `python` and `runfmt` on the path.
set -euo pipefail
folder=$1 examples=$(dirname "$0")
export RUNFMT_DIR=$folder/runs RUNFMT_STATE=$folder/state RUNFMT_CONFIG=$folder/remotes.json
mkdir -p "$RUNFMT_DIR"
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT

runfmt serve --data "$folder/server" --port 0 > "$folder/server.log" &
serving=$!
until server=$(grep -o 'http://.*' "$folder/server.log"); do kill -0 $serving && sleep 0.1; done
echo "A server keeps runs at $server"

runfmt sync --remote "$server" --watch --interval 2 &
watcher=$!
python "$examples/fashion_mnist.py" --data "$folder/data"
kill $watcher
wait $watcher

runfmt sync --remote "$server"
runfmt receipt "$server" -o "$folder/receipt.json"
runfmt verify --against "$folder/receipt.json"
python - "$server" <<'PYTHON'
import sys
import runfmt

metrics = runfmt.read_metrics(sys.argv[1], keys=["epoch", "train_loss", "test_loss", "accuracy"])
print(metrics.to_string())
PYTHON
newest='max(json.load(sys.stdin), key=lambda run: run["time"])["uid"]'
uid=$(runfmt ls --json "$server" | python -c "import json, sys; print($newest)")
echo "The page of the run: $server/#/run?run=$uid"
if [ -t 1 ]; then
  wait $serving
fi
