"""Small examples for the reference page, each of which compiles. Read `SAMPLES`.

They stand under a head with `inputs` of `ref` and `env` (texts), `opens_at` (an instant) and
`hosts` (a list of texts), and `vars` of `round`; `HEAD` is that head.
"""

from dataclasses import dataclass

HEAD = """\
schema: flow/v1
kind: {kind}
name: sample
inputs:
  type: object
  required: [ref, env, opens_at, hosts]
  properties:
    ref: {{type: string}}
    env: {{type: string}}
    opens_at: {{type: string, format: date-time}}
    hosts: {{type: array, items: {{type: string}}}}
vars: {{round: 0}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A piece of a definition. `keys` are the verbs and modifiers it shows."""

    title: str
    keys: tuple[str, ...]
    text: str
    kind: str = "dag"

    @property
    def definition(self) -> str:
        """Return the whole definition."""
        return HEAD.format(kind=self.kind) + self.text


SAMPLES = (
    Sample(
        title="Execute actions, one after the other",
        keys=("uses", "with", "needs", "outputs", "retry", "timeout"),
        text="""\
defaults: {timeout: PT5M}
steps:
  build:
    uses: http/request@1
    with: {method: POST, url: "http://127.0.0.1:9000/builds", json: {ref: "${{ inputs.ref }}"}}
    outputs: {image: result.json.image}
  deploy:
    needs: [build]
    uses: http/request@1
    with: {method: POST, url: "http://127.0.0.1:9000/deploys", json: "${{ steps.build.outputs }}"}
    retry: {max: 3, backoff: exponential, initial: PT2S, errors: [transient, timeout]}
    timeout: {attempt: PT2M, total: PT15M}
""",
    ),
    Sample(
        title="Ask people",
        keys=("approval", "if", "effect"),
        text="""\
steps:
  approve:
    if: inputs.env == 'production'
    approval:
      title: "Deploy ${{ inputs.ref }}"
      stages: [{id: peer, approvers: {groups: [engineers]}, quorum: {count: 1}}]
      expires: {after: PT72H, then: reject}
  deploy:
    needs: [approve]
    if: steps.approve.outcome in ['approved', 'overridden', 'skipped']
    effect: Replaces the running version for every customer.
    uses: http/request@1
    with: {method: POST, url: "http://127.0.0.1:9000/deploys"}
""",
    ),
    Sample(
        title="Wait for time, an instant or an event, and send one",
        keys=("wait", "emit"),
        text="""\
steps:
  cool_down: {wait: {timer: PT15M}}
  opening: {needs: [cool_down], wait: {until: inputs.opens_at}}
  arrival:
    needs: [opening]
    wait: {event: {type: parcel.arrived, correlate: {run: run.id}}}
    outputs: {shelf: result.data.shelf}
  tell:
    needs: [arrival]
    emit: {type: parcel.stored, data: {shelf: "${{ steps.arrival.outputs.shelf }}"}}
""",
    ),
    Sample(
        title="Run another workflow",
        keys=("call", "detached"),
        text="""\
steps:
  remediate:
    call: remediate@^1
    with: {plan: restart}
    outputs: {healthy: result.healthy}
  report: {needs: [remediate], call: ops/report@~2.1, detached: true}
""",
    ),
    Sample(
        title="Take whatever happens first",
        keys=("race",),
        text="""\
steps:
  ack:
    race:
      - {id: acked, wait: {event: {type: incident.acknowledged, correlate: {run: run.id}}}}
      - {id: nobody, wait: {timer: PT15M}}
  page:
    needs: [ack]
    if: steps.ack.outputs.winner == 'nobody'
    uses: http/request@1
    with: {method: POST, url: "http://127.0.0.1:9000/page"}
""",
    ),
    Sample(
        title="Set variables",
        keys=("set",),
        text="""\
steps:
  again: {set: {round: vars.round + 1}}
""",
    ),
    Sample(
        title="Let only some runs go on at once",
        keys=("concurrency",),
        text="""\
concurrency: {group: "release-${{ inputs.env }}", max: 1, on-conflict: queue}
steps:
  deploy: {uses: http/request@1, with: {method: POST, url: "http://127.0.0.1:9000/deploys"}}
""",
    ),
    Sample(
        title="Keep steps together",
        keys=("steps", "mutex", "priority"),
        text="""\
steps:
  release:
    mutex: "release-${{ inputs.env }}"
    priority: 5
    timeout: PT1H
    steps:
      stage: {uses: http/request@1, with: {method: POST, url: "http://127.0.0.1:9000/stage"}}
      check: {needs: [stage], uses: http/request@1, with: {method: GET, url: "http://127.0.0.1:9000/ok"}}
    outputs: {status: steps.check.outputs.result.status}
""",
    ),
    Sample(
        title="Wait for some of several",
        keys=("join",),
        text="""\
steps:
  mirror_a: {uses: http/request@1, with: {method: GET, url: "http://127.0.0.1:9001/"}}
  mirror_b: {uses: http/request@1, with: {method: GET, url: "http://127.0.0.1:9002/"}}
  mirror_c: {uses: http/request@1, with: {method: GET, url: "http://127.0.0.1:9003/"}}
  go_on:
    needs: [mirror_a, mirror_b, mirror_c]
    join: {count: 2, cancel-rest: true}
    emit: {type: mirrors.ready}
""",
    ),
    Sample(
        title="Do it for each item",
        keys=("map",),
        text="""\
steps:
  diagnose:
    map: {items: inputs.hosts, as: host, max-concurrency: 10, tolerate-failures: {percent: 20}}
    uses: http/request@1
    with: {method: GET, url: "http://${{ host }}/health"}
    outputs: {status: result.status}
  report:
    needs: [diagnose]
    emit: {type: hosts.diagnosed, data: {failed: "${{ steps.diagnose.outputs.failed }}"}}
""",
    ),
    Sample(
        title="Do it for each combination",
        keys=("strategy",),
        text="""\
steps:
  test:
    strategy:
      matrix: {python: ["3.11", "3.12"], db: [postgres, mysql]}
      exclude: [{python: "3.12", db: mysql}]
      max-parallel: 2
    uses: http/request@1
    with: {method: POST, url: "http://127.0.0.1:9000/tests", json: "${{ matrix }}"}
""",
    ),
    Sample(
        title="Do it again until it is done",
        keys=("loop",),
        text="""\
steps:
  settle:
    loop: {until: result.status == 200, max-iterations: 20, delay: PT30S}
    uses: http/request@1
    with: {method: GET, url: "http://127.0.0.1:9000/health"}
""",
    ),
    Sample(
        title="Spare what others run",
        keys=("rate", "circuit", "cache", "heartbeat", "queue", "delivery", "lazy"),
        text="""\
steps:
  look_up:
    uses: http/request@1
    with: {method: GET, url: "http://127.0.0.1:9000/prices"}
    cache: {key: "prices-${{ inputs.env }}", ttl: PT1H}
    lazy: true
  train:
    queue: gpu
    heartbeat: PT30S
    uses: http/request@1
    with: {method: POST, url: "http://127.0.0.1:9000/train"}
  pay:
    delivery: at-most-once
    rate: {key: bank, limit: 10, per: PT1M}
    circuit: {key: bank, failures: 5, window: PT1M, cool-down: PT5M}
    uses: http/request@1
    with: {method: POST, url: "http://127.0.0.1:9000/pay"}
""",
    ),
    Sample(
        title="Undo, go on, or ask",
        keys=("compensate", "compensate-on-failure", "on-error"),
        text="""\
steps:
  deploy:
    uses: http/request@1
    with: {method: POST, url: "http://127.0.0.1:9000/deploys"}
    outputs: {previous: result.json.previous}
    compensate:
      uses: http/request@1
      with:
        {method: POST, url: "http://127.0.0.1:9000/undo", json: "${{ steps.deploy.outputs }}"}
    compensate-on-failure: true
  smoke:
    needs: [deploy]
    uses: http/request@1
    with: {method: GET, url: "http://127.0.0.1:9000/health"}
    on-error: {compensate: [deploy], then: ask}
""",
    ),
    Sample(
        title="A state machine",
        keys=("transitions", "events", "stuck", "final", "result"),
        kind="states",
        text="""\
initial: draft
states:
  draft:
    wait: {event: {type: document.submitted, correlate: {run: run.id}}}
    transitions:
      - {event: document.submitted, to: review, set: {round: vars.round + 1}}
      - {after: P30D, to: abandoned}
  review:
    approval:
      title: "Contract, round ${{ vars.round }}"
      stages: [{id: legal, approvers: {groups: [legal]}}]
      expires: {after: P5D, then: expire}
    transitions:
      - {on-outcome: approved, to: signed}
      - {on-outcome: rejected, if: vars.round < 5, to: draft, continue-as-new: true}
      - {on-outcome: rejected, to: refused}
    events:
      - {event: document.withdrawn, correlate: {run: run.id}, to: abandoned}
    stuck: {after: P7D, notify: {groups: [legal-leads]}}
  signed: {final: true}
  refused: {final: true, result: rejected}
  abandoned: {final: true, result: cancelled}
""",
    ),
)
