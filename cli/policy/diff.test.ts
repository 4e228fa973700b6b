import test, { type ExecutionContext } from 'ava'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { end, flow, jsonl } from '../../whatif/testing/flows.ts'
import { runSluice } from '../testing/sluice.ts'

const api = (port: number) => end('demo/api', '10.77.1.13', port, { app: 'api' })
const db = (port: number) => end('demo/db', '10.77.1.14', port, { app: 'db' })
const guest = (port: number) => end('demo/guest', '10.77.1.15', port, { app: 'guest', trust: 'low' })

/** The demo, and the demo with its database at another port. */
async function versions(t: ExecutionContext): Promise<{ old: string; new: string; file: (name: string, text: string) => Promise<string> }> {
  const path = await mkdtemp(join(tmpdir(), 'sluice-diff-'))
  t.teardown(() => rm(path, { recursive: true }))
  await cp('examples/demo', join(path, 'old'), { recursive: true })
  await cp('examples/demo', join(path, 'new'), { recursive: true })
  const policies = await readFile('examples/demo/policies.yaml', 'utf8')
  await writeFile(join(path, 'new/policies.yaml'), policies.replace('port: 5432', 'port: 5433'))
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(join(path, name), text)
    return join(path, name)
  }
  return { old: join(path, 'old'), new: join(path, 'new'), file }
}

test('a change is told by ends, ports and rules, and the status is 1; none is status 0', async (t) => {
  const paths = await versions(t)
  const { status, stdout } = await runSluice(['policy', 'diff', paths.old, paths.new, '-o', 'json'])
  t.is(status, 1)
  const { changes, pairs } = JSON.parse(stdout) as { changes: unknown; pairs: { changed: number } }
  const change = { from: ['demo/api'], to: ['demo/db'], families: ['IPv4', 'IPv6'], pairs: 1 }
  const [allows, denies] = ['NetworkPolicy demo/db ingress[0]', 'NetworkPolicy demo/db ingress (default deny)']
  t.deepEqual(changes, [
    { ...change, old: 'allowed', new: 'denied', ports: ['5432/TCP'], oldRules: [allows], newRules: [denies] },
    { ...change, old: 'denied', new: 'allowed', ports: ['5433/TCP'], oldRules: [denies], newRules: [allows] },
  ])
  t.is(pairs.changed, 1)
  const same = await runSluice(['policy', 'diff', paths.old, 'examples/demo'])
  t.is(same.status, 0)
  t.regex(same.stdout, /^no connection changes\n\n0 of \d+ pairs change\n$/)
})

test('workloads may stand in files of their own', async (t) => {
  const paths = await versions(t)
  const policies = [join(paths.old, 'policies.yaml'), join(paths.new, 'policies.yaml')]
  const { status, stdout } = await runSluice(['policy', 'diff', ...policies, '-f', 'examples/demo/workloads.yaml'])
  t.is(status, 1)
  t.regex(stdout, /^demo\/api +demo\/db +5432\/TCP +allowed +denied +1 +NetworkPolicy demo\/db ingress \(default deny\)$/m)
  const without = await runSluice(['policy', 'diff', ...policies])
  t.like(without, { status: 1, stdout: '' })
  t.regex(without.stderr, /no workloads to compare: give their manifests with -f, or recorded flows with --flows/)
})

test('recorded flows that would be dropped or allowed are counted by pair, replies are not', async (t) => {
  const paths = await versions(t)
  const denied = { verdict: 'dropped', reason: 'policy-denied' } as const
  const record = await paths.file('f.jsonl', jsonl(
    flow(api(4000), db(5432)), flow(db(5432), api(4000)), flow(api(4001), db(5432)),
    flow(api(4002), db(5433), denied), flow(guest(4003), db(5433), denied), flow(guest(4004), db(5432)),
  ))
  const { status, stdout } = await runSluice(['policy', 'diff', paths.old, paths.new, '--flows', record, '-o', 'json'])
  t.is(status, 1)
  const { flows } = JSON.parse(stdout) as { flows: Record<string, unknown> }
  t.like(flows, { read: 6, replies: 1, unchanged: 2, unlikeOld: 1 })
  const pair = { from: 'demo/api', to: 'demo/db' }
  t.like(flows['newlyDropped'], [{ ...pair, port: '5432/TCP', flows: 2, newRules: ['NetworkPolicy demo/db ingress (default deny)'] }])
  t.like(flows['newlyAllowed'], [{ ...pair, port: '5433/TCP', flows: 1, newRules: ['NetworkPolicy demo/db ingress[0]'] }])
})

test('what policies of nodes deny is denied where they are enforced, but for the ports of the management path', async (t) => {
  const paths = await versions(t)
  const policy = '{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: node}, spec: {nodeSelector: {}, ingress: [{fromEntities: [cluster]}]}}'
  const [none, closed] = [await paths.file('none.yaml', ''), await paths.file('closed.yaml', policy)]
  const found = async (...options: readonly string[]): Promise<{ readonly verdicts: readonly string[]; readonly ports: string }> => {
    const { stdout } = await runSluice(['policy', 'diff', none, closed, '-f', 'examples/demo', '-o', 'json', ...options])
    const { changes } = JSON.parse(stdout) as { changes: readonly { new: string; ports: readonly string[] }[] }
    return { verdicts: [...new Set(changes.map((change) => change.new))], ports: changes.flatMap(({ ports }) => ports).join(' ') }
  }
  t.deepEqual((await found()).verdicts, ['audited'])
  const { verdicts, ports } = await found('--host-policy', 'enforce', '--host-allow', '8/TCP')
  t.deepEqual(verdicts, ['denied'])
  t.regex(ports, /-7\/TCP.*\b9-65535\/TCP/)
})

test('a record is enough to know the workloads', async (t) => {
  const paths = await versions(t)
  const record = await paths.file('f.jsonl', jsonl(flow(api(4000), db(5432))))
  const policies = [join(paths.old, 'policies.yaml'), join(paths.new, 'policies.yaml')]
  const { stdout } = await runSluice(['policy', 'diff', ...policies, '--flows', record])
  t.regex(stdout, /recorded and newly dropped:\nFLOWS .*\n1 +demo\/api +demo\/db +5432\/TCP +NetworkPolicy demo\/db ingress \(default deny\)\n/)
  t.regex(stdout, /of 1 recorded flows 1 would be newly dropped, 0 newly allowed; 0 are decided alike, 0 are replies/)
})

test('workloads of one version alone are counted, the first of them named', async (t) => {
  const paths = await versions(t)
  const { stdout } = await runSluice(['policy', 'diff', paths.old, await paths.file('empty.yaml', '')])
  t.regex(stdout, /\d workloads of OLD alone are not compared: \S+, \S+, \S+, and \d more\n$/)
})

test('a record that cannot be read is named', async (t) => {
  const { status, stderr } = await runSluice(['policy', 'diff', 'examples/demo', 'examples/demo', '--flows', 'examples'])
  t.is(status, 1)
  t.regex(stderr, /examples: cannot be read: EISDIR/)
})

test('a line that is no flow is a fault with its place', async (t) => {
  const result = await runSluice(['policy', 'diff', 'examples/demo', 'examples/demo', '--flows', '-'], { input: '{"verdict": 1}\n' })
  t.like(result, { status: 1, stdout: '' })
  t.regex(result.stderr, /standard input:1: has no verdict or no protocol; allowed: a line of sluice observe -o jsonl/)
})
