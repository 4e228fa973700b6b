import test from 'ava'
import { compile, parseDocuments } from '../manifests/index.ts'
import { readFlows } from './flows.ts'
import { RecordedEnds } from './recorded.ts'
import { end, flow, host, jsonl, outside } from './testing/flows.ts'

const readRecord = (text: string, file: string) => readFlows(text.split('\n'), file)

const api = (port: number) => end('demo/api', '10.0.0.1', port, { app: 'api' })
const db = (port: number) => end('demo/db', '10.0.0.2', port, { app: 'db' })

test('flows between the same ends on the same port are one connection; ports of the source do not matter', async (t) => {
  const { connections, flows, replies } = await readRecord(jsonl(flow(api(4000), db(5432)), flow(api(4001), db(5432)), flow(api(4000), db(5433))), 'f')
  t.deepEqual([flows, replies], [3, 0])
  t.deepEqual(connections.map(({ key, passed }) => [key & 0xffff, passed]), [[5432, 2], [5433, 1]])
})

test('what answers an earlier flow is a reply, in whatever order the lines stand', async (t) => {
  const lines = jsonl(flow(api(4000), db(5432)), flow(db(5432), api(4000))).trimEnd().split('\n')
  const { connections, replies } = await readRecord(lines.toReversed().join('\n'), 'f')
  t.deepEqual([connections.length, replies, connections[0]?.from.workload], [1, 1, 'demo/api'])
})

test('echo replies and ICMP errors are no connections; echo requests are', async (t) => {
  const icmp = (type: number) => flow(api(0), db(0), { protocol: 'ICMP', icmp: { type, code: 0 } })
  const { connections, replies } = await readRecord(jsonl(icmp(8), icmp(0), icmp(3)), 'f')
  t.deepEqual([connections.map(({ key }) => key), replies], [[(1 << 16) | (8 << 8)], 2])
})

test('drops of policy count as such, those for another reason say nothing', async (t) => {
  const dropped = (reason: string) => flow(api(4000 + reason.length), db(5432), { verdict: 'dropped', reason })
  const { connections } = await readRecord(jsonl(dropped('policy-denied'), dropped('no-route')), 'f')
  t.like(connections[0], { passed: 0, dropped: 1 })
})

for (const [line, says] of [
  ['{', /^f:2: is no JSON/],
  ['[]', /^f:2: has no verdict/],
  ['{"verdict": "forwarded", "protocol": "FOO"}', /^f:2: protocol: is "FOO"/],
  ['{"verdict": "forwarded", "protocol": "TCP", "source": {"address": "x", "port": 1, "labels": []}}', /^f:2: source: has no address/],
] as const) {
  test(`${line} is a fault with its line`, async (t) => {
    const { faults, flows } = await readRecord(`${jsonl(flow(api(1), db(2)))}${line}\n`, 'f')
    t.is(flows, 1)
    t.regex(faults[0] ?? '', says)
  })
}

const KNOWN = `apiVersion: sluice.io/v1
kind: Workload
metadata: {name: db, namespace: demo, labels: {app: db}}
spec: {addresses: [10.0.0.9]}
`

test('a workload is known by its name, then by its address; others are those of the record', async (t) => {
  const { connections } = await readRecord(jsonl(flow(api(1), db(2)), flow(host('10.0.0.5', 1), api(80)), flow(outside('192.0.2.1', 1), api(80))), 'f')
  const ends = new RecordedEnds(compile(parseDocuments(KNOWN, 'k.yaml').documents), connections)
  t.deepEqual(ends.cluster.workloads.map(({ name, addresses }) => [name, ...addresses]), [['db', '10.0.0.9'], ['api', '10.0.0.1']])
  t.is(ends.endOf(db(2)).workload?.addresses[0], '10.0.0.9')
  t.is(ends.endOf(api(1)).workload?.name, 'api')
  t.deepEqual(ends.endOf(host('10.0.0.5', 1)).standIn?.labels, ['reserved:host='])
  t.deepEqual(ends.endOf(outside('10.0.0.9', 1)).workload?.name, 'db')
  t.deepEqual(ends.endOf(outside('192.0.2.1', 1)), { address: '192.0.2.1' })
})
