#!/bin/sh
# A worker for external tasks, of curl and jq: COUNTERSIGN_TOKEN=cs_… sh worker.sh URL PROJECT TOPIC
set -eu
api="$1/api/v1/external-tasks"
secret=$(mktemp) # not an argument: everybody on the machine sees those
trap 'rm -f "$secret"' EXIT
trap 'exit 1' INT TERM
printf 'header = "Authorization: Bearer %s"\n' "$COUNTERSIGN_TOKEN" >"$secret"

post() { # post ADDRESS JSON: prints the answer
    printf '%s' "$2" | curl --silent --show-error --fail-with-body --max-time 60 \
        --config "$secret" --header 'Content-Type: application/json' --data-binary @- "$api/$1"
}

work() { # work TASK: prints any JSON, or fails
    printf '%s' "$1" | jq -c '{words: (.data | tostring | split(" ") | length)}'
}

wanted=$(jq -nc --arg project "$2" --arg topic "$3" --arg worker "$(hostname)" \
    '{project: $project, topics: [$topic], worker: $worker, wait_seconds: 30, lease_seconds: 300}')
while true; do
    answer=$(post claim/ "$wanted") || { sleep 5; continue; }
    task=$(printf '%s' "$answer" | jq -c '.tasks[0] // empty')
    [ -n "$task" ] || continue
    address=$(printf '%s' "$task" | jq -r .id)
    told=$(printf '%s' "$task" | jq -c '{token}')
    if result=$(work "$task"); then
        told=$(printf '%s' "$told" | jq -c --argjson result "$result" '. + {result: $result}')
        post "$address/complete/" "$told" || true
    else
        told=$(printf '%s' "$told" | jq -c '. + {message: "it did not work", retryable: true}')
        post "$address/fail/" "$told" || true
    fi
done
