import test from 'ava'
import { formatStatus } from './status.ts'
import { startFakeAgent } from './testing/fake-agent.ts'
import { DEGRADED, STATUS } from './testing/fixtures.ts'
import { runSluice } from './testing/sluice.ts'
import { formatDuration } from './time.ts'

const NOW = Date.parse(STATUS.startedAt) + 3_723_000

test('a node where everything works, on one screen', (t) => {
  t.is(
    formatStatus(STATUS, NOW),
    `Node:       demo
State:      everything works
Agent:      sluice 0.1.0, pid 4242, up 1 h 2 min
Kernel:     6.18.5
Uplink:     eth0
Workloads:  10.77.1.0/24, fd77:1::/64
Manifests:  /etc/sluice/manifests
Socket:     /run/sluice/demo/sluice.sock

PART     STATE  SUMMARY
sources  ok     4 files
policy   ok     3 policies, 5 subjects`,
  )
})

test('what is degraded, why, and what to do', (t) => {
  const text = formatStatus(DEGRADED, NOW)
  t.true(text.includes('State:      degraded: manifest web.yaml\n'))
  t.true(
    text.endsWith(`Degraded:
  manifest web.yaml
    why: line 12: spec.ingres is no field
         the last good version stays enforced
    do:  correct the file; allowed there: ingress, egress`),
  )
})

test('one fault of several parts is told once', (t) => {
  const fault = { why: 'the worker ended', hint: 'see the log' }
  const other = { what: 'policy', why: 'no room', hint: 'give it some' }
  const text = formatStatus({ ...DEGRADED, degraded: [{ what: 'policy', ...fault }, { what: 'services', ...fault }, other] }, NOW)
  t.regex(text, /State: +degraded: policy, services\n/)
  t.true(text.endsWith(`Degraded:
  policy, services
    why: the worker ended
    do:  see the log
  policy
    why: no room
    do:  give it some`))
})

test('an agent that has not programmed everything yet is starting', (t) => {
  t.regex(formatStatus({ ...STATUS, ok: false }, NOW), /State: +starting\n/)
})

test('JSON is what the agent says; the exit status only tells with --check', async (t) => {
  await using agent = await startFakeAgent({ 'GET /v1/status': DEGRADED })
  const [plain, check] = await Promise.all([
    runSluice(['status', '-o', 'json'], { socket: agent.socket }),
    runSluice(['status', '--check'], { socket: agent.socket }),
  ])
  t.deepEqual(JSON.parse(plain.stdout), DEGRADED)
  t.is(plain.status, 0)
  t.is(check.status, 1)
})

test('--wait goes on as soon as everything works', async (t) => {
  let answers = 0
  await using agent = await startFakeAgent({
    'GET /v1/status': (response) => void response.end(JSON.stringify(++answers < 3 ? DEGRADED : STATUS)),
  })
  const { status, stdout } = await runSluice(['status', '--wait', '20', '-o', 'json'], { socket: agent.socket })
  t.is(status, 0)
  t.deepEqual(JSON.parse(stdout), STATUS)
  t.is(answers, 3)
})

test('--wait ends with what is left: degraded, or no agent', async (t) => {
  await using agent = await startFakeAgent({ 'GET /v1/status': DEGRADED })
  const [degraded, none, wrong] = await Promise.all([
    runSluice(['status', '--wait', '0.3'], { socket: agent.socket }),
    runSluice(['status', '--wait', '0.3'], { socket: `${agent.socket}.none` }),
    runSluice(['status', '--wait', 'long'], { socket: agent.socket }),
  ])
  t.is(degraded.status, 1)
  t.regex(degraded.stdout, /Degraded:/)
  t.is(none.status, 3)
  t.is(wrong.status, 2)
})

test('durations', (t) => {
  const seconds = [0.9, 12, 62, 3600, 3 * 86_400 + 4 * 3600 + 59]
  t.deepEqual(seconds.map((value) => formatDuration(value * 1000)), ['0 s', '12 s', '1 min 2 s', '1 h 0 min', '3 d 4 h'])
})
