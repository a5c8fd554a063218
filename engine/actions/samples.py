"""A step for each action, shown in the reference; a test compiles them. Read `SAMPLES`."""

from collections.abc import Mapping
from typing import Final

SAMPLES: Final[Mapping[str, str]] = {
    "python/call@1": """
refund:
  uses: python/call@1
  with: {function: billing.refund, order: "${{ inputs.order }}", cents: 1250}
  retry: {max: 3, errors: [transient, timeout]}
""",
    "http/request@1": """
deploy:
  uses: http/request@1
  with:
    method: POST
    url: "https://deploy.example.org/deploy"
    json: {ref: "${{ inputs.order }}"}
    expect: {status: [200, 202]}
  outputs: {job: "result.json.id"}
""",
    "transform/cel@1": """
late:
  uses: transform/cel@1
  with:
    values: {orders: "${{ inputs.orders }}", limit: 3}
    fields:
      ids: "orders.filter(o, o.days > limit).map(o, o.id)"
      any: "orders.exists(o, o.days > limit)"
  outputs: {ids: "result.ids"}
""",
    "check/compare@1": """
same:
  uses: check/compare@1
  with:
    actual: "${{ inputs.orders }}"
    expected: [{id: a, days: 1}]
    ignore: ["/*/days"]
    must-match: true
""",
    "sql/query@1": """
stock:
  uses: sql/query@1
  with:
    connection: warehouse
    statement: "SELECT id, amount FROM stock WHERE item = %(item)s"
    parameters: {item: "${{ inputs.order }}"}
  outputs: {rows: "result.rows"}
""",
    "shell/run@1": """
version:
  uses: shell/run@1
  with: {argv: [git, describe, --tags, "${{ inputs.order }}"], expect: {exit: [0, 128]}}
  timeout: PT1M
""",
    "slack/post@1": """
tell:
  uses: slack/post@1
  with: {webhook: ops, text: "Order ${{ inputs.order }} is late."}
""",
    "external/task@1": """
scan:
  uses: external/task@1
  with: {topic: scans, data: {order: "${{ inputs.order }}"}}
  timeout: PT2H
  retry: {max: 2, errors: [transient]}
  outputs: {found: "result.found"}
""",
    "ai/generate@1": """
summary:
  uses: ai/generate@1
  with:
    endpoint: main
    system: "You sort customer messages."
    prompt: "Sort this one: ${{ inputs.order }}"
    schema: {type: object, required: [topic], properties: {topic: {enum: [refund, other]}}}
    max-tokens: 200
    max-cost: 5
  outputs: {topic: "result.json.topic"}
""",
    "email/send@1": """
tell:
  uses: email/send@1
  with:
    groups: [duty-managers]
    subject: "Nobody acknowledged ${{ inputs.order }}"
    text: "See the run for what was found."
""",
}
