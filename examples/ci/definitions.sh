#!/bin/sh
# Checks definitions on a proposed change, applies them on the main branch: `definitions.sh check`,
# `definitions.sh apply`. COUNTERSIGN_URL, COUNTERSIGN_PROJECT and COUNTERSIGN_TOKEN say where.
# FLOWS is the folder (by default flows), COUNTERSIGN how the command is called.
set -eu

flows=${FLOWS:-flows}
countersign=${COUNTERSIGN:-countersign}

check() {
    # What is set may be several words (python -m countersign), so it is not quoted.
    $countersign lint "$flows"
    if find "$flows" -name '*.test.yaml' | grep -q .; then
        $countersign test "$flows" --junit "${JUNIT:-junit.xml}"
    fi
    # A change that weakens a gate fails here, so that somebody has to look at it.
    $countersign diff "$flows" --published --fail-on "${FAIL_ON:-governance-weakening}"
}

apply() {
    message=$(git log -1 --format=%s 2>/dev/null || true)
    $countersign apply "$flows" --publish --message "${MESSAGE:-$message}"
}

case "${1:-}" in
    check) check ;;
    apply) apply ;;
    *) echo "usage: $0 check|apply" >&2; exit 2 ;;
esac
