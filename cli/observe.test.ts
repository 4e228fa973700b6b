import test from 'ava'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { parse } from 'yaml'
import { formatFlow } from './observe.ts'
import { formatEvent } from './monitor.ts'
import { jsonLines, refusal, startFakeAgent } from './testing/fake-agent.ts'
import type { Answer } from './testing/fake-agent.ts'
import { FLOW, PING, WEB } from './testing/fixtures.ts'
import { runSluice, startSluice } from './testing/sluice.ts'

/** Two flows, and no end until the client goes away. */
const ENDLESS: Answer = (response) => void response.write(`${JSON.stringify(FLOW)}\n${JSON.stringify(PING)}\n`)

const ENDED = /the agent at .* ended the stream: it stopped, or this reader was too slow/

test('a flow on one line: names, ports, and the policy that decided', (t) => {
  t.regex(
    formatFlow(FLOW),
    /^03:04:05\.123456 +dropped +TCP +demo\/late \(10\.77\.1\.12:41234\) -> demo\/web-1 \(10\.77\.1\.11:80\) +ingress: CiliumNetworkPolicy demo\/web ingress\[0\]$/,
  )
  t.regex(formatFlow(PING), /ICMPv6 +demo\/web-1 \(fd77:1::11\) -> reserved:world-ipv6 \(2001:db8::1\) +egress: no policy selects it {2}\(type 128 code 0\)$/)
  t.regex(formatFlow({ ...FLOW, reason: 'no-route' }), /ingress: no-route$/)
  t.regex(formatFlow({ ...FLOW, service: 'demo/web' }), /-> demo\/web-1 \(10\.77\.1\.11:80\) of service demo\/web +ingress/)
  const vip = { address: '10.77.9.1', port: 80, identity: 2, labels: ['reserved:world='] }
  t.regex(formatFlow({ ...FLOW, reason: 'no-backend', service: 'demo/shop', destination: vip }), /-> service demo\/shop \(10\.77\.9\.1:80\) +ingress: no-backend$/)
})

test('a raw event has the numbers', (t) => {
  t.is(
    formatEvent(FLOW),
    '2026-01-02T03:04:05.123456Z  dropped policy-denied  ingress  TCP  10.77.1.12 41234 #301 -> 10.77.1.11 80 #300  rule 7  sl-web-1  74 B',
  )
})

test('observe as JSON lines, JSON, YAML and lines for people', async (t) => {
  await using agent = await startFakeAgent({ 'GET /v1/flows': jsonLines([FLOW, PING]) })
  const run = (format: string) => runSluice(['observe', '-o', format], { socket: agent.socket })
  const [jsonl, json, yaml, table] = await Promise.all([run('jsonl'), run('json'), run('yaml'), run('table')])
  t.is(jsonl.stdout, `${JSON.stringify(FLOW)}\n${JSON.stringify(PING)}\n`)
  t.deepEqual(JSON.parse(json.stdout), [FLOW, PING])
  t.deepEqual(parse(yaml.stdout), [FLOW, PING])
  t.is(table.stdout, `${formatFlow(FLOW)}\n${formatFlow(PING)}\n`)
})

test('nothing to show is said to people, not to programs', async (t) => {
  await using agent = await startFakeAgent({ 'GET /v1/flows': jsonLines([]) })
  const run = (format: string) => runSluice(['observe', '-o', format], { socket: agent.socket })
  t.deepEqual(await run('table'), { status: 0, stdout: '', stderr: 'no flow of those that the agent keeps matches\n' })
  t.deepEqual(await run('jsonl'), { status: 0, stdout: '', stderr: '' })
  t.deepEqual(await run('json'), { status: 0, stdout: '[]\n', stderr: '' })
})

test('the agent is asked for exactly what the options say', async (t) => {
  await using agent = await startFakeAgent({ 'GET /v1/flows': jsonLines([]) })
  const options = '--last 5 --verdict dropped --from-label app=a --to-label k8s:app=b --port 80 --protocol tcp --follow'
  for (const args of [['observe'], ['observe', ...options.split(' ')], ['observe', '--follow'], ['observe', '--port', '53/udp']]) {
    t.regex((await runSluice(args, { socket: agent.socket })).stderr, args.includes('--follow') ? ENDED : /^no flow of those/)
  }
  t.deepEqual(
    agent.asked.map(({ query }) => query),
    [
      { last: '20' },
      { verdict: 'dropped', fromLabel: 'app=a', toLabel: 'k8s:app=b', port: '80', protocol: 'tcp', last: '5', follow: '1' },
      { last: '0', follow: '1' },
      { port: '53', protocol: 'UDP', last: '20' },
    ],
  )
})

test('--follow prints at once, and ends quietly when interrupted', async (t) => {
  await using agent = await startFakeAgent({ 'GET /v1/flows': ENDLESS })
  const child = startSluice(['observe', '--follow', '-o', 'jsonl'], { socket: agent.socket })
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    if (lines.length === 2) child.kill('SIGINT')
  }
  const [status] = child.exitCode === null ? await once(child, 'exit') : [child.exitCode]
  t.is(status, 0)
  t.deepEqual(lines, [JSON.stringify(FLOW), JSON.stringify(PING)])
})

test('a stream that the agent ends is told', async (t) => {
  await using agent = await startFakeAgent({ 'GET /v1/flows': jsonLines([FLOW]) })
  const { status, stdout, stderr } = await runSluice(['observe', '-f', '-o', 'jsonl'], { socket: agent.socket })
  t.deepEqual({ status, stdout }, { status: 1, stdout: `${JSON.stringify(FLOW)}\n` })
  t.regex(stderr, ENDED)
})

test('a reader that has seen enough is no error', async (t) => {
  const many = Array.from({ length: 20_000 }, () => FLOW)
  await using agent = await startFakeAgent({ 'GET /v1/flows': jsonLines(many) })
  const child = startSluice(['observe', '-o', 'jsonl'], { socket: agent.socket })
  child.stdout.once('data', () => child.stdout.destroy())
  const [status] = await once(child, 'exit')
  t.is(status, 0)
})

const mistakes: readonly (readonly [args: string, message: RegExp])[] = [
  ['observe --verdict denied', /Allowed choices are forwarded, dropped, audited, revoked/],
  ['observe --port http', /port from 1 to 65535/],
  ['observe --port 8/ICMP', /port from 1 to 65535/],
  ['observe --port 80/TCP --protocol udp', /the protocol is given twice/],
  ['observe --last -1', /0 or more/],
  ['observe --follow -o json', /needs an end: use -o jsonl/],
  ['monitor flows', /Allowed choices are events, endpoints/],
  ['monitor endpoints --verdict dropped', /filters are for events/],
]

for (const [args, message] of mistakes) {
  test(`sluice ${args} is wrong usage`, async (t) => {
    const { status, stdout, stderr } = await runSluice(args.split(' '), { socket: '/nowhere/sluice.sock' })
    t.deepEqual({ status, stdout }, { status: 2, stdout: '' })
    t.regex(stderr, message)
  })
}

test("what the agent says of a filter is told", async (t) => {
  const message = 'protocol "http" is not valid: give one of TCP, UDP'
  await using agent = await startFakeAgent({ 'GET /v1/flows': refusal(400, { code: 'BAD_REQUEST', message }) })
  const { status, stderr } = await runSluice(['observe', '--protocol', 'http'], { socket: agent.socket })
  t.deepEqual({ status, stderr }, { status: 2, stderr: `sluice: ${message}\n` })
})

test('monitor shows events, and changes of a table', async (t) => {
  const update = { type: 'update', revision: 3, key: 'demo/web-1', item: WEB }
  const events = [update, { type: 'synced', revision: 3 }, { type: 'delete', revision: 4, key: 'demo/web-1' }]
  await using agent = await startFakeAgent({
    'GET /v1/flows': jsonLines([FLOW]),
    'GET /v1/endpoints': (response) =>
      void response.end(`: hello\n\n${events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('')}`),
  })
  const run = (...args: string[]) => runSluice(['monitor', ...args], { socket: agent.socket })
  t.is((await run()).stdout, `${formatEvent(FLOW)}\n`)
  t.is((await run('-o', 'jsonl')).stdout, `${JSON.stringify(FLOW)}\n`)
  t.is((await run('endpoints')).stdout, `3  update  demo/web-1  ${JSON.stringify(WEB)}\n3  synced\n4  delete  demo/web-1\n`)
  t.is((await run('endpoints', '-o', 'jsonl')).stdout, events.map((event) => `${JSON.stringify(event)}\n`).join(''))
  t.deepEqual(agent.asked.map(({ query }) => query).slice(1), [{ last: '0', follow: '1' }, { watch: '1' }, { watch: '1' }])
})
