// The node as an end of connections: its own policies decide, as far as they are enforced, and never about the ways in
// that are always open.
import test, { type ExecutionContext } from 'ava'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runSluice } from '../testing/sluice.ts'

const MANIFESTS = `
apiVersion: v1
kind: Node
metadata: {name: one, labels: {zone: a}}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}
---
apiVersion: sluice.io/v1
kind: Workload
metadata: {name: web, namespace: demo}
spec: {addresses: [10.0.0.1]}
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: every}
spec:
  nodeSelector: {}
  ingress: [{fromEntities: [world], toPorts: [{ports: [{port: "443", protocol: TCP}]}]}]
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: zone}
spec:
  nodeSelector: {matchLabels: {zone: a}}
  egressDeny: [{toCIDR: [198.51.100.0/24]}]
  egress: [{toEntities: [all]}]
`

async function folderOf(t: ExecutionContext, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-host-'))
  t.teardown(() => rm(folder, { recursive: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return folder
}

/** "FROM TO PORT", and what becomes of it with `--host-policy enforce`. */
const CONNECTIONS: readonly (readonly [connection: string, verdict: string])[] = [
  ['203.0.113.9 host 443', 'allowed'],
  ['203.0.113.9 reserved:host 80', 'denied'],
  ['203.0.113.9 host 22', 'allowed'],
  ['demo/web host 443', 'denied'],
  ['host demo/web 443', 'allowed'],
  ['203.0.113.9 192.0.2.1 80', 'denied'],
  ['192.0.2.1 198.51.100.7 80', 'denied'],
  ['host 198.51.100.7 80', 'allowed'],
  ['host host 80', 'allowed'],
]

test('policies of nodes decide for the node, and those with labels for the nodes that have them', async (t) => {
  const folder = await folderOf(t, { 'a.yaml': MANIFESTS })
  for (const [connection, wanted] of CONNECTIONS) {
    const [from = '', to = '', port = ''] = connection.split(' ')
    const ask = async (...more: string[]) => (await runSluice(['policy', 'verdict', '-f', folder, '--from', from, '--to', to, '--port', port, '-o', 'json', ...more])).stdout
    t.is((JSON.parse(await ask('--host-policy', 'enforce')) as { verdict: string }).verdict, wanted, connection)
    t.is((JSON.parse(await ask()) as { verdict: string }).verdict, wanted === 'denied' ? 'audited' : wanted, `${connection}, by default`)
  }
})

test('the ways in that are always open are those that the daemon was given', async (t) => {
  const folder = await folderOf(t, { 'a.yaml': MANIFESTS })
  const matrix = async (...more: string[]) => {
    const { stdout } = await runSluice(['policy', 'matrix', '-f', folder, '--port', '22', '80', '--host-policy', 'enforce', '-o', 'json', ...more])
    const answer = JSON.parse(stdout) as Record<string, Record<string, Record<string, string>>>
    return ['22', '80'].map((port) => answer[port]?.['demo/web']?.['host'])
  }
  t.deepEqual(await matrix(), ['allowed', 'denied'])
  t.deepEqual(await matrix('--host-allow', '80/TCP'), ['denied', 'allowed'])
})

test('explain shows the rules of the node, and test takes it as an end', async (t) => {
  const cases = `cases:
- {from: world, to: host, port: 443, expect: allowed, by: CiliumClusterwideNetworkPolicy every}
- {from: world, to: 192.0.2.1, port: 22, expect: allowed, by: Default host}
- {from: 192.0.2.1, to: 198.51.100.7, port: all, expect: denied, by: CiliumClusterwideNetworkPolicy zone}
- {from: demo/web, to: reserved:host, port: 9999, expect: denied}
`
  const folder = await folderOf(t, { 'a.yaml': MANIFESTS, 'cases.txt': cases })
  const explained = await runSluice(['policy', 'explain', '-f', folder, '--from', '192.0.2.1', '--to', '198.51.100.7', '--port', '80', '--host-policy', 'enforce'])
  t.regex(explained.stdout, /egress of 192\.0\.2\.1: denied\n[^]*zone egressDeny\[0\] +deny +yes +yes/)
  const tested = await runSluice(['policy', 'test', join(folder, 'cases.txt'), '-f', folder, '--host-policy', 'enforce'])
  t.is(tested.status, 0, tested.stdout)
})
