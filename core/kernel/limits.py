"""Every upper bound of the platform, with its unit and reason. Nothing else defines one."""

from datetime import timedelta

# --- definitions -----------------------------------------------------------------------------
SOURCE_BYTES_MAX = 256 * 1024  # a definition is read by people; bigger is generated data
SOURCE_DEPTH_MAX = 40  # nesting of YAML; deeper is an attack on the parser's stack
SOURCE_NODE_COUNT_MAX = 20_000  # scalars, lists and maps in one definition
SOURCE_KEY_CHARS_MAX = 1_000  # one key; YAML itself bounds most keys to 1,024
STEP_COUNT_MAX = 10_000  # steps of one version
STATE_COUNT_MAX = 1_000  # states of one version; nobody reviews a larger machine
TRANSITION_COUNT_MAX = 50  # ways out of one state; each is asked in turn
STATE_EVENT_COUNT_MAX = 20  # `events` of one state; each is a row while the run is in it
CONTAINER_DEPTH_MAX = 8  # groups, races, maps, matrices and loops inside each other; keys grow
RACE_BRANCH_COUNT_MAX = 20  # branches of one race, all of them open at once
MATRIX_AXIS_COUNT_MAX = 8  # lists of one matrix, whose combinations multiply
LOOP_TURN_COUNT_MAX = 10_000  # `max-iterations` of one loop; all stay in the run's history
CORRELATE_COUNT_MAX = 10  # fields by which an event is told apart; each is hashed and indexed
RATE_COUNT_MAX = 1_000_000  # attempts one `rate` may let through in its time
INPUT_SCHEMA_COUNT_MAX = 2_000  # schemas inside one JSON Schema, references followed
PATTERN_SIZE_MAX = 20_000  # steps of one pattern, repetitions written out; 0.1 s to read it
INPUT_PATTERN_SIZE_MAX = 1_000_000  # of all patterns of one JSON Schema together
SCHEMA_CHECK_COUNT_MAX = 200_000  # keywords applied to values of one JSON document: half a second
DEFAULT_CHECK_COUNT_MAX = 30_000  # the same for all defaults of a schema when it is checked
EXPRESSION_CHARS_MAX = 4_000  # one CEL expression
EXPRESSION_CACHE_COUNT_MAX = 2_000  # compiled expressions a process keeps, about 7 kB each
PROBLEM_COUNT_MAX = 50  # problems reported at once; people fix the first ten

# --- runs ------------------------------------------------------------------------------------
RERUN_BYTES_MAX = 32 * 1024 * 1024  # results one run takes over: some 70 payloads of one entry
INPUT_BYTES_MAX = 256 * 1024  # inputs of one run, canonical JSON
PAYLOAD_BYTES_MAX = 1024 * 1024  # one recorded value (a step's result), canonical JSON
ARGUMENT_BYTES_MAX = 2 * 1024 * 1024  # `with` of one step, rendered: a result and what goes with it
PENDING_COUNT_SHOWN_MAX = 100_000  # entries that wait for their seal, as far as they are counted
ENTRY_BYTES_MAX = 65_535  # one ledger entry; its length must fit the tile format's uint16
ENTRY_LAG_MAX = timedelta(days=1)  # between an entry's instant and its writing; periods add it
LEAF_DIGITS_MIN = 6  # hex digits of a hash that find an entry; fewer are found everywhere
ACTOR_NAME_COUNT_MAX = 50  # accounts a typed name may mean in a search of the ledger
EXPLORER_PROJECT_COUNT_MAX = 500  # projects offered as a filter of the ledger
ATTEMPT_COUNT_MAX = 100  # `retry.max` of one step
LOST_ATTEMPT_COUNT_MAX = 5  # attempts whose worker died, before a step is called poisonous
IDLE_CLAIM_COUNT_MAX = 20  # drivers in a row that took a run and moved nothing: it is halted
FAULT_COUNT_MAX = 6  # drivers in a row that a bug stopped, before the run is halted
FAULT_DELAY_FIRST = timedelta(seconds=5)  # after the first such driver; four times that after each
FAULT_DELAY_MAX = timedelta(minutes=30)  # all delays together outlast the deployment of a fix
DRIVE_SECONDS_MAX = 120.0  # then a driver gives a run back, so that others get their turn
ANNOUNCE_SECONDS = 0.08  # live notices of one run are merged over this long
TAIL_POLL_SECONDS = 0.5  # how often a busy driver looks for decisions on parallel branches
DECIDED_COUNT_MAX = 100  # consequences written inside an entry; more go into a payload
RUN_ENTRY_COUNT_MAX = 200_000  # entries in one run's stream, so that folding it takes seconds
RETRY_ENTRY_COUNT_MAX = 100_000  # in a run of so many no step is tried again: the rest must fit
BULK_RUN_COUNT_MAX = 100  # runs one request acts on: each takes a few milliseconds and a lock
OPERATE_ENTRY_COUNT_MAX = 190_000  # in a run of so many operators only resume and cancel
OUTSIDE_ENTRY_COUNT_MAX = 11_000  # of a run's entries for decisions, one a step, and for operators
PAGE_EVENT_COUNT_MAX = 5_000  # entries the page of one run reads: half a second
LAZY_EVENT_COUNT_MAX = 200  # events of lazy steps in one append; what gets lost is done again
STEP_VIEW_COUNT_MAX = 10_000  # steps of one run that its page and the API list
MIGRATION_RUN_COUNT_MAX = 200  # runs one request moves or judges, each in its own transaction
RERUN_LINK_COUNT_MAX = 20  # runs a run was run again as, that its page names; oldest first
RUN_LINK_COUNT_MAX = 500  # other runs that one page or answer names; of more only their ids
INSTANCE_PAGE_COUNT = 50  # instances of one map on a page; beside a run at most twice as many
PARALLEL_STEP_COUNT_MAX = 8  # steps one driver executes at the same time
ERROR_CHARS_MAX = 2_000  # an error message kept on record
IDEMPOTENCY_KEY_CHARS_MAX = 200  # fits two UUIDs and a name, and an index row
REASON_CHARS_MAX = 2_000  # a reason or comment a person types
LIST_ITEM_COUNT_MAX = 500  # items of a list an expression sees: CEL's map and filter are quadratic
EXPRESSION_TEXT_CHARS_MAX = 100_000  # one text an expression sees

NAME_CHARS_MAX = 200  # a mutex, group, rate, circuit or cache key, rendered; part of an index
CONTAINER_OPEN_COUNT_MAX = 1_000  # instances of one map or matrix that are open at once
STATE_VISIT_COUNT_MAX = 5_000  # visits to states of one run; longer lives continue as new
STATE_RUSH_COUNT_MAX = 100  # visits in a row that nothing had to happen for: a machine in a circle
MAP_ITEM_COUNT_MAX = 10_000  # items of one map; more are a job for the action
MATRIX_CELL_COUNT_MAX = 256  # combinations of one matrix; people wrote them down

STEP_KEY_CHARS_MAX = 1_000  # a step's key in its run: twelve levels of the longest ids
EVENT_TYPE_CHARS_MAX = 200  # a dotted name
EVENT_BYTES_MAX = 256 * 1024  # the data of one event, canonical JSON; like the inputs of a run
EVENT_INLINE_COUNT_MAX = 10  # runs that the sender of an event moves itself; a worker does the rest
CALL_DEPTH_MAX = 10  # runs that call each other, one in the other; deeper calls itself for ever
RATE_INSTANT_COUNT_MAX = 1_000  # instants kept of one rate limit, 8 kB; higher limits are divided
CIRCUIT_FAILURE_COUNT_MAX = 1_000  # failures a circuit counts; each is an instant in its row
CACHE_RESULT_BYTES_MAX = 256 * 1024  # a result kept for others, canonical JSON
CACHE_ROW_COUNT_MAX = 10_000  # results kept for one project; those that end first give way
QUEUE_CHARS_MAX = 64  # the label of a worker queue
TOPIC_CHARS_MAX = 50  # what an external task is about; with what marks it, it is such a label

# --- replaying -------------------------------------------------------------------------------
REPLAY_NOTE_RUN_COUNT_MAX = 100  # open runs publishing tries with the new version, oldest first
REPLAY_NOTE_SECONDS = 2.0  # and the time it takes for them: somebody waits for the answer
DIVERGENCE_CHARS_MAX = 1_000  # of what a record says and what replaying it gives, each

# --- testing definitions in memory -----------------------------------------------------------
TEST_MOVE_COUNT_MAX = 20_000  # moves of one case: one that needs more goes in a circle

# --- time ------------------------------------------------------------------------------------
STEP_TIMEOUT_DEFAULT = timedelta(minutes=30)  # of one attempt; longer ones say so in the definition
STEP_TIMEOUT_MAX = timedelta(hours=24)  # an attempt holds a worker; longer waits belong into a wait
ATTEMPT_MARGIN_SECONDS = 2.0  # an attempt ends itself so long before its process is ended for it
ATTEMPT_MARGIN_SHARE = 0.1  # of its time, if that is less: short attempts keep most of theirs
RETRY_DELAY_MAX = timedelta(days=1)  # a pause between attempts longer than this is a schedule
LEASE_SECONDS = 15.0  # a worker silent this long is dead
HEARTBEAT_SECONDS = 5.0  # three heartbeats fit one lease
SWEEP_SECONDS = 1.0  # pause between two sweeps, plus jitter
SWEEP_ROW_COUNT_MAX = 200  # rows one sweep takes of each kind, so that it stays short
TAIL_ENTRY_COUNT_MAX = 64  # entries that are read together with a run's row; more are read after
READY_OLD_SECONDS = 2.0  # a READY run this old has lost its hint
READY_AGAIN_SECONDS = 10.0  # between two hints of the sweep for it: mostly workers are only busy
TASK_OLD_SECONDS = 5.0  # an attempt of another queue that nobody took has lost its hint
CIRCUIT_LOOK_SECONDS = 10.0  # while a circuit is probed, the others look again this often
INBOX_RETENTION = timedelta(days=7)  # an event nobody waited for; systems repeat theirs for days
INBOX_GRACE = timedelta(minutes=5)  # from an event's end to its deletion: no delivery begins then
TIMER_MAX = timedelta(days=3660)  # one wait for time; longer outlives the installation
PAUSE_MAX = timedelta(days=366)  # between two turns of a loop, and of how long a result is reused
GATE_WINDOW_MAX = timedelta(days=1)  # of a rate or a circuit, which a restart must not outlive
HEARTBEAT_MIN = timedelta(seconds=1)  # a shorter silence is an ordinary pause of a busy machine
APPROVAL_EXPIRY_MAX = timedelta(days=366)  # a question older than a year is asked anew

# --- approvals -------------------------------------------------------------------------------
STAGE_COUNT_MAX = 20  # stages of one approval; each waits for other people
QUORUM_COUNT_MAX = 100  # people one stage may need; more is a poll
FORM_BYTES_MAX = 64 * 1024  # values of one form, canonical JSON; people type them
SUBJECT_BYTES_MAX = 256 * 1024  # what an approver is shown, canonical JSON; people read it
APPROVER_COUNT_MAX = 1_000  # people a stage resolves to, for "who may decide"
APPROVER_NAME_COUNT_MAX = 200  # users or groups a stage names; more belong into a group
REACH_SECONDS = 60.0  # between two looks at who may decide open requests; people change slowly
REACH_ROW_COUNT_MAX = 20  # requests of one look: 28,800 a day, and a tenth of a second of work
EXCLUSION_COUNT_MAX = 50  # entries of one `exclude`; each expression runs once per candidate
REQUEST_LINE_CHARS_MAX = 1_000  # one line shown to an approver, such as `if-approved`

# --- identity --------------------------------------------------------------------------------
SLUG_CHARS_MAX = 64  # a project's slug, part of every address
TITLE_CHARS_MAX = 200  # a person's, project's or token's name, one line
TOKEN_LIFETIME_DEFAULT = timedelta(days=90)  # a quarter, so that replacing tokens is a habit
TOKEN_LIFETIME_MAX = timedelta(days=366)  # a forgotten token ends by itself
TOKEN_COUNT_MAX = 50  # live tokens of one account; more are forgotten ones
TOKEN_USE_SECONDS = 60.0  # `last_used_at` is written at most this often
BREAKGLASS_LIFETIME_MAX = timedelta(hours=8)  # an override role that lasts longer is a habit

# --- API and live updates --------------------------------------------------------------------
PAGE_SIZE_DEFAULT = 50  # rows of a list that names no size: about two screens
PAGE_SIZE_MAX = 200  # rows of any list; bounds what one request may read
BODY_BYTES_MAX = 2 * 1024 * 1024  # one request's body
JSON_DEPTH_MAX = 100  # nesting of a request's body; every later walk over it may then recurse
SOCKET_FRAME_BYTES_MAX = 4_096  # what a client may send
SOCKET_TOPIC_COUNT_MAX = 50  # subscriptions of one socket
SOCKET_FRAME_COUNT_MAX = 60  # frames a client may send in SOCKET_FRAME_WINDOW_SECONDS
SOCKET_FRAME_WINDOW_SECONDS = 10.0  # long enough for the burst of a page that loads
SOCKET_FAULT_COUNT_MAX = 10  # frames that make no sense, before the socket is closed
SOCKET_RECHECK_SECONDS = 30.0  # an open socket proves itself again this often
SIGNAL_QUEUE_COUNT_MAX = 2_000  # signals of one process that wait for Redis; more are dropped

# --- deliveries ------------------------------------------------------------------------------
DELIVERY_ATTEMPT_COUNT_MAX = 8  # then a delivery is dead, which is put on record
DELIVERY_DELAY_MAX = timedelta(hours=1)  # between two tries, so that news is not a day old
DELIVERY_DELAY_FIRST = timedelta(seconds=30)  # after the first failure; doubled after each other
DELIVERY_LEASE = timedelta(minutes=5)  # a delivery begun this long ago has lost its worker
DELIVERY_COUNT_MAX = 100  # deliveries of one task, so that a worker can be stopped between two
DELIVERY_OLD_SECONDS = 2.0  # a delivery due for this long has lost its hint
DELIVERY_HINT_SECONDS = 5.0  # between two hints of the sweep, while no worker takes them
HINT_BREAKER_SECONDS = 5.0  # no hints for this long after Redis refused one
LISTED_HINT_COUNT_MAX = 100_000  # kept for nobody, some 8 MB; the sweep hints what is older anew
LISTEN_SECONDS = 1  # one wait for a hint, so how late a worker hears that it is to stop
LET_GO_SECONDS = 5.0  # a worker that is to stop gives the step it executes; supervisors give 12

# --- exports of the ledger -------------------------------------------------------------------
EXPORT_PART_ENTRY_COUNT = 10_000  # entries of one part: what a killed worker has to do again
EXPORT_FETCH_ENTRY_COUNT = 250  # entries held at once, at most 64 kB each
EXPORT_FETCH_PAYLOAD_COUNT = 16  # payloads held at once, at most 1 MiB each
EXPORT_CHUNK_BYTES = 256 * 1024  # copied or sent at once
EXPORT_BUNDLE_BYTES_MAX = 2**32 - 2  # of a bundle: ZIP without its 64-bit extensions
EXPORT_MEMBER_COUNT_MAX = 65_534  # members of a bundle, for the same reason
EXPORT_END_BYTES = 93  # the end record of a bundle, with its comment
EXPORT_LEASE_SECONDS = 60.0  # a worker silent this long is dead; a part takes a second or two
EXPORT_ASSEMBLY_SECONDS = 1_800.0  # the same, while 4 GiB are put together on a slow disk
EXPORT_SLICE_SECONDS = 5.0  # then others get their turn, mail among them
EXPORT_OLD_SECONDS = 2.0  # an export nobody took for this long has lost its hint
EXPORT_SEAL_WAIT_SECONDS = (
    10.0  # a run that has just ended is waited for so long until it is sealed
)
EXPORT_RESTART_COUNT_MAX = 3  # times an export is begun anew because values were redacted
EXPORT_OPEN_COUNT_MAX = 5  # exports of one account under way
EXPORT_DOWNLOAD_SECONDS = 600.0  # a download that goes on after a break is the same one so long
EXPORT_RETENTION = timedelta(days=7)  # then the file is deleted; it can be made again

# --- external tasks --------------------------------------------------------------------------
CLAIM_COUNT_MAX = 10  # tasks of one claim; each is a transaction of its own
CLAIM_TOPIC_COUNT_MAX = 20  # topics one claim asks for, and groups it waits in
CLAIM_WAIT_SECONDS_MAX = 30  # a claim waits for a task; proxies often end what takes 60
CLAIM_LOOK_SECONDS = 10.0  # a claim that waits looks again so often, whatever it heard
CLAIM_LEASE_SECONDS_DEFAULT = 60  # how long a program may be silent that names no other time
CLAIM_LEASE_SECONDS_MIN = 5  # shorter is an ordinary pause of a network
CLAIM_LEASE_SECONDS_MAX = 3_600  # how late it is noticed that a program died
CLAIM_RETENTION = timedelta(days=7)  # an ended claim is kept so long, to answer who asks again
WORKER_NAME_CHARS_MAX = 100  # what a program calls itself
HELD_REQUEST_COUNT_MAX = 1_000  # requests that one web process lets wait; each is a few kB
HELD_BODY_BYTES_MAX = 16 * 1024  # the body of one of them, which is sent to Django again
HELD_SPREAD_SECONDS = 0.1  # many that heard the same do not all ask at the same instant

# --- outbound HTTP ---------------------------------------------------------------------------
HTTP_TIMEOUT_DEFAULT = timedelta(seconds=30)  # one request, name lookup to last byte
HTTP_TIMEOUT_MAX = timedelta(hours=1)  # a thread waits for it all the time
HTTP_URL_CHARS_MAX = 4_000  # servers refuse longer ones anyway
HTTP_HEADER_COUNT_MAX = 50  # headers a definition may set
HTTP_HEADER_CHARS_MAX = 4_000  # one header's value, and one header kept of an answer
HTTP_REQUEST_BYTES_MAX = 1024 * 1024  # the body sent; larger data belongs in a function
HTTP_ADDRESS_COUNT_MAX = 16  # addresses of one name that are tried

TURN_LOOK_COUNT_MAX = 200  # waiting runs of a concurrency group one look at it reads
TURN_CHANGE_COUNT_MAX = 1_000  # notes of changes in a group that one look at it answers

PRIORITY_MAX = 9  # of a step and of a run: ten classes are more than anybody can tell apart
MEASURE_SECONDS = 1.0  # for so long a process trusts what it has measured of a project
MEASURED_PROJECT_COUNT_MAX = 10_000  # projects one process keeps a measure of: 1 MB
HELD_BACK_SECONDS = 5.0  # after which a start is worth trying again that a backlog held back
HELD_BACK_SECONDS_MAX = 60.0  # likewise of what a trigger starts, which waits ever longer
OPEN_COUNT_SHOWN = 10_000  # open runs of a project that are counted where no quota bounds them
QUOTA_COUNT_MAX = 10_000_000  # of any quota: more than a day of starts at full speed

# --- triggers --------------------------------------------------------------------------------
TRIGGER_COUNT_MAX = 20  # of one definition
CATCH_UP_GRACE = timedelta(minutes=5)  # an instant so old is late, not missed
CATCH_UP_COUNT_MAX = 1_000  # missed instants one schedule makes up for
CATCH_UP_WALK_COUNT_MAX = 50_000  # missed instants that are counted one by one: 0.25 s
CATCH_UP_SPAN = timedelta(days=31)  # of more than so many, those of this time are looked at
DEDUPE_WINDOW_DEFAULT = timedelta(days=1)  # how long an event's dedupe value keeps others out
DEDUPE_WINDOW_MAX = timedelta(days=30)  # each value is a row for as long
TRIGGER_GRACE = timedelta(hours=1)  # from a trigger's end to its deletion: no pull is open then
TRIGGER_DEPTH_MAX = 20  # runs that start each other by events, one after the other
SCHEDULE_RETRY_DELAY = timedelta(minutes=5)  # after a schedule that could not be looked at
FIRING_SECONDS_MAX = 5.0  # of one task that starts runs; then others get their turn
FIRING_ATTEMPT_COUNT_MAX = 8  # tries of one firing that meets a bug or the database's no
FIRING_RETRY_DELAY = timedelta(seconds=5)  # after the first of them; twice that after each
FIRING_HINT_COUNT = 2  # tasks that are told of waiting firings at once
HOOK_BODY_BYTES_MAX = 1024 * 1024  # of one webhook: it is recorded as one value
HOOK_TOLERANCE = timedelta(minutes=5)  # between a webhook's instant and ours: slow networks, clocks
HOOK_RETENTION = timedelta(days=30)  # how long a delivery is known again; senders repeat for days
HOOK_ID_CHARS_MAX = 200  # what a sender calls one delivery
HOOK_SIGNATURE_COUNT_MAX = 10  # signatures of one delivery; senders change their secrets too
HOOK_SECRET_CHARS_MIN = 16  # shorter ones are guessed from one delivery
HOOK_SECRET_CHARS_MAX = 200  # GitHub and others take no longer ones
HOOK_KEY_BYTES = 32  # of a secret that is made here: as many as SHA-256 gives
HOOK_KEY_BYTES_MIN = 24  # Standard Webhooks, "Signature scheme"
HOOK_KEY_BYTES_MAX = 64  # the same
HOOK_OVERLAP_DEFAULT = timedelta(days=1)  # in which the secret before still holds
HOOK_OVERLAP_MAX = timedelta(days=30)  # longer, and nobody has replaced it
BACKFILL_COUNT_MAX = 1_000  # instants of one backfill; a longer period is several
BACKFILL_OPEN_DEFAULT = 5  # of its runs open at once, so that today's work goes on
BACKFILL_OPEN_MAX = 100  # the same, at most
REFUSAL_WINDOW = timedelta(hours=1)  # in which so many refusals of one workflow are written out
REFUSAL_COUNT_MAX = 20  # of those; others are counted, so that no stranger fills a record
EVENT_BATCH_COUNT_MAX = 100  # events of one CloudEvents batch
EVENT_SOURCE_CHARS_MAX = 500  # a CloudEvents `source`, `id` or `subject`

# --- actions ---------------------------------------------------------------------------------
TRANSFORM_FIELD_COUNT_MAX = 50  # expressions of one `transform/cel`
COMPARE_REPORT_COUNT_MAX = 100  # differences listed, and places ignored; the rest are counted
COMPARE_EXCERPT_CHARS_MAX = 200  # of a value that differs, in the report
SQL_ROW_COUNT_MAX = 10_000  # rows of one statement; results are records, not data sets
SQL_TEXT_CHARS_MAX = 20_000  # one statement
SQL_TIMEOUT_DEFAULT = timedelta(minutes=10)  # of one statement, if its attempt has no less
SQL_CONNECT_SECONDS = 10  # to reach the database
SHELL_ARGUMENT_COUNT_MAX = 200  # arguments of one program, and names in its environment
SHELL_ARGUMENT_CHARS_MAX = 20_000  # one of them; Linux takes 128 KiB
SHELL_INPUT_CHARS_MAX = 1_000_000  # what a program reads from its standard input
SHELL_OUTPUT_BYTES_MAX = 256 * 1024  # kept of each stream, from its end, where errors are
SLACK_TEXT_CHARS_MAX = 20_000  # of one message; Slack cuts at 40,000
SLACK_BLOCK_COUNT_MAX = 50  # of one message, which is Slack's own bound
AI_MESSAGE_COUNT_MAX = 50  # messages of one prompt
AI_PROMPT_BYTES_MAX = 256 * 1024  # of all its messages, UTF-8; they are recorded with the answers
AI_ANSWER_BYTES_MAX = 192 * 1024  # one HTTP answer of a model, tokens and all around them
AI_ANSWER_TOKEN_COUNT_DEFAULT = 2_000  # tokens a model may answer with that is told no number
AI_ANSWER_TOKEN_COUNT_MAX = 32_000  # more would not fit the bytes above
AI_REPAIR_COUNT_MAX = 2  # times a model is told what is wrong with its answer
AI_SECONDS_DEFAULT = 120.0  # of all requests of one attempt together; models think
MAIL_RECIPIENT_COUNT_MAX = 500  # of one `email/send`; more is a newsletter
MAIL_SUBJECT_CHARS_MAX = 200  # mail programs show fewer
MAIL_TEXT_CHARS_MAX = 100_000  # of one mail

# --- where the ledger goes --------------------------------------------------------------------
KEEPER_SECONDS_MAX = 300.0  # between two turns of a job that keeps failing; nobody waits for longer
KEEPER_STOP_SECONDS = 8.0  # a keeper's jobs together have to end; the supervisor kills after 12
KEEPER_ROUND_COUNT_MAX = 100_000  # turns of one job in `keep --once`, so that it ends
FORWARD_ENTRY_COUNT_MAX = 500  # entries of one batch: some 2 MB, and what is sent again after a cut
FORWARD_BYTES_MAX = 1_000_000  # of one batch; Splunk, Elastic and gateways take a megabyte or more
FORWARD_SECONDS = 1.0  # between two looks for new leaves to forward
FORWARD_TIMEOUT_SECONDS = 30.0  # for one batch: name, connection, sending and the answer
FORWARD_DELAY_FIRST = timedelta(seconds=2)  # after a failed batch; twice that after each other one
FORWARD_DELAY_MAX = timedelta(minutes=5)  # so a receiver that is back is noticed soon
FORWARD_RETRY_AFTER_MAX = timedelta(hours=1)  # what a receiver may ask us to wait
OUTWARD_ANSWER_BYTES_MAX = 64 * 1024  # of an anchor's or a sink's answer; cosignatures are short
OUTWARD_ERROR_CHARS_MAX = 500  # of what went wrong last, as status shows it
ANCHOR_POLL_SECONDS = 5.0  # between two looks whether a tree head is due to be anchored
ANCHOR_TIMEOUT_SECONDS = 20.0  # for one request to an anchor; witnesses answer in a second
ANCHOR_STEP_COUNT_MAX = 4  # requests in one anchoring: a witness may say twice where it stands

# --- redaction -------------------------------------------------------------------------------
REDACTION_REFERENCE_CHARS_MAX = 200  # of a case number or the like
REDACTION_STREAM_COUNT_MAX = 1_000  # runs and requests one order covers; two people look at them
REDACTION_PLACE_COUNT_MAX = 250  # payloads one entry says were erased: 100 bytes each, of 65,535
REDACTION_ORDER_COUNT_MAX = 20  # orders one pass of the keeper takes up, oldest first
REDACTION_SECONDS = 15.0  # between two looks for orders; one that waits is worked out each time
RETENTION_SECONDS = 3_600.0  # between two passes; periods are days
RETENTION_PROJECT_COUNT_MAX = 500  # projects one list of periods shows, by slug
REDACTION_PAGE_COUNT = 100  # orders, and holds, that the page shows; the API has all
RETENTION_DAYS_MAX = 36_500  # a century; whoever wants longer wants for ever
RETENTION_STREAM_COUNT_MAX = 200  # streams one pass of the keeper erases by retention: seconds

# --- secrets ---------------------------------------------------------------------------------
SECRET_CHARS_MIN = 4  # of a value: a shorter one cannot be told from other text and masked
SECRET_CHARS_MAX = 16_384  # of a value; keys and certificates have a few thousand
SECRET_NAME_CHARS_MAX = 64  # of a name, which is part of expressions
SECRET_COUNT_MAX = 200  # secrets of one project; more are somebody else's vault
SECRET_USE_COUNT_MAX = 50  # secrets one definition declares; each is read for its steps
SECRET_LINE_CHARS_MAX = 500  # what a secret is for, in words
SECRET_WORKFLOW_COUNT_MAX = 20  # workflows that a list names for each secret
MASK_EDGE_CHARS_MIN = 190  # texts so long may have been cut inside a value; all our cuts are longer
LOG_MASK_COUNT_MAX = 200  # values a process keeps to hide them in its log lines, newest first

# --- reports ---------------------------------------------------------------------------------
REPORT_ENTRY_COUNT_MAX = 200_000  # entries one report folds in a request: about ten seconds
REPORT_LIST_COUNT_MAX = 200  # items one section of a report lists; all are counted
REPORT_PEOPLE_COUNT_MAX = 50  # people a report names as having started or decided most
REPORT_DAY_BUCKET_COUNT_MAX = 62  # days that are drawn one by one; a longer period goes by weeks
REPORT_DAY_COUNT_MAX = 400  # days of one report: a year and what is left of its last month
REPORT_CHECK_ENTRY_COUNT_MAX = 300_000  # entries whose hashes a report checks: some seconds

# --- portal ----------------------------------------------------------------------------------
CARRIED_CHARS_MAX = 200_000  # typed text, signed, that a sign-in page carries; larger is not kept
LOGIN_BUCKET_COUNT_MAX = 10_000  # names and addresses a process counts by itself without Redis
INBOX_COUNT_MAX = 200  # requests one page of the inbox shows, most pressing first
INBOX_CANDIDATE_COUNT_MAX = 5_000  # requests of somebody's audiences that are looked at for it

# --- the ledger's tree -----------------------------------------------------------------------
SEAL_ENTRY_COUNT_MAX = 10_000  # entries of one batch and so of one transaction: half a second
SEAL_LAG_SECONDS_MAX = 60.0  # an entry that waits longer has no sealer; batches take a second
SEAL_LOOK_OUTSIDE_SECONDS = 300.0  # between two questions to anchors what they know of the log
SIGNING_KEY_COUNT_MAX = 8  # keys that sign at once; rotating takes two
SIGNING_KEY_BYTES_MAX = 1_024  # a key file: a name of 255 characters and 60 of key
SEAL_REFUSED_SECONDS = 5.0  # between two looks of a sealer that may not sign
SEAL_WARN_SECONDS = 60.0  # between two log lines that say so
