// The commands as a person or a script runs them.
import test, { type ExecutionContext } from 'ava'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parse } from 'yaml'

const SLUICE = join(import.meta.dirname, '../../sluice')

const PODS = `apiVersion: v1
kind: Pod
metadata: {name: a, namespace: x, labels: {app: a}}
status: {podIPs: [{ip: 192.168.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: y, labels: {app: b}}
status: {podIPs: [{ip: 192.168.0.2}]}
`
const POLICY = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: only-81, namespace: y}
spec:
  podSelector: {}
  ingress: [{ports: [{port: 81, protocol: UDP}]}]
`

interface Run {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

async function sluice(...args: string[]): Promise<Run> {
  try {
    return { status: 0, ...(await promisify(execFile)(SLUICE, args)) }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { status: code, stdout, stderr }
  }
}

async function folder(t: ExecutionContext, files: Record<string, string>): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sluice-test-'))
  t.teardown(() => rm(path, { recursive: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text)
  return path
}

const MATRIX = {
  '80/TCP': { 'x/a': { 'x/a': 'allowed', 'y/b': 'denied' }, 'y/b': { 'x/a': 'allowed', 'y/b': 'allowed' } },
  '81/udp': { 'x/a': { 'x/a': 'allowed', 'y/b': 'allowed' }, 'y/b': { 'x/a': 'allowed', 'y/b': 'allowed' } },
}

test('matrix prints the ports asked for, as written, and nothing else', async (t) => {
  const path = await folder(t, { 'pods.yaml': PODS, 'policy.yml': POLICY, 'notes.txt': 'not: [a manifest' })
  const result = await sluice('policy', 'matrix', '-f', path, '--port', '80/TCP', '--port', '81/udp', '-o', 'json')
  t.like(result, { status: 0, stderr: '' })
  t.deepEqual(JSON.parse(result.stdout), MATRIX)
})

test('matrix takes several files and ports after one option, and prints YAML and tables', async (t) => {
  const path = await folder(t, { 'pods.yaml': PODS, 'policy.yml': POLICY })
  const files = ['-f', join(path, 'pods.yaml'), join(path, 'policy.yml'), '--port', '80/TCP', '81/udp']
  t.deepEqual(parse((await sluice('policy', 'matrix', ...files, '-o', 'yaml')).stdout), MATRIX)
  t.regex((await sluice('policy', 'matrix', ...files)).stdout, /x\/a +yes +-\n/)
  const ports = [...(await sluice('policy', 'matrix', ...files, '80')).stdout.matchAll(/^(\S+) from/gm)].map(([, port]) => port)
  t.deepEqual(ports, ['80/TCP', '81/udp', '80'])
})

const FAMILIES = `apiVersion: sluice.io/v1
kind: Workload
metadata: {name: four, namespace: x}
spec: {addresses: [192.168.0.1]}
---
apiVersion: sluice.io/v1
kind: Workload
metadata: {name: both, namespace: x}
spec: {addresses: [192.168.0.2, "fd00::2"]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: x}
spec: {endpointSelector: {}, ingress: [{icmps: [{fields: [{family: IPv6, type: 128}]}]}]}
`

test('ICMPv6 to an IPv4 address is no packet, so nothing is answered about it', async (t) => {
  const path = await folder(t, { 'a.yaml': FAMILIES })
  const ask = (...args: string[]): Promise<Run> => sluice('policy', ...args, '-f', path)
  const noPacket = { status: 2, stdout: '', stderr: 'sluice: x/four has no IPv6 address, so it neither sends nor receives packets of 128/ICMPv6\n' }
  t.deepEqual(await ask('verdict', '--from', 'x/both', '--to', 'x/four', '--port', '128/ICMPv6'), noPacket)
  t.deepEqual(await ask('explain', '--from', 'x/four', '--to', 'x/both', '--port', '128/ICMPv6'), noPacket)
  t.deepEqual(await ask('matrix', '--port', '128/ICMPv6'), noPacket)
  t.like(await ask('verdict', '--from', 'x/both', '--to', 'fd00::2', '--port', '8/ICMP'), { status: 2, stdout: '' })
})

test('ICMPv6 between ends of both families goes between their IPv6 addresses', async (t) => {
  const path = await folder(t, { 'a.yaml': FAMILIES })
  const { stdout } = await sluice('policy', 'explain', '-f', path, '--from', '2001:db8::1', '--to', 'x/both', '--port', '128/ICMPv6', '-o', 'json')
  t.like(JSON.parse(stdout), { verdict: 'allowed', to: { address: 'fd00::2' } })
})

test('a pair with two families is asked about in the one of the destination\'s first address', async (t) => {
  const world = (addresses: string): string => `apiVersion: sluice.io/v1
kind: Workload
metadata: {name: a, namespace: x}
spec: {addresses: [192.168.0.1, "fd00::1"]}
---
apiVersion: sluice.io/v1
kind: Workload
metadata: {name: b, namespace: y}
spec: {addresses: ${addresses}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ipv4, namespace: y}
spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.168.0.1/32}}]}]}
`
  const path = await folder(t, { '4.yaml': world('[192.168.0.2, "fd00::2"]'), '6.yaml': world('["fd00::2", 192.168.0.2]'), '6only.yaml': world('["fd00::2"]') })
  const matrix = async (file: string) => {
    const { stdout } = await sluice('policy', 'matrix', '-f', join(path, file), '--port', '80', '-o', 'json')
    return (JSON.parse(stdout) as { 80: { 'x/a': { 'y/b': string } } })[80]['x/a']['y/b']
  }
  t.deepEqual([await matrix('4.yaml'), await matrix('6.yaml'), await matrix('6only.yaml')], ['allowed', 'denied', 'denied'])
  const other = await sluice('policy', 'verdict', '-f', join(path, '4.yaml'), '--from', 'fd00::1', '--to', 'fd00::2', '--port', '80')
  t.regex(other.stdout, /^denied/)
})

test('verdict names the rule of each side', async (t) => {
  const path = await folder(t, { 'pods.yaml': PODS, 'policy.yml': POLICY })
  const verdict = async (to: string, port: string): Promise<unknown> => {
    const { stdout } = await sluice('policy', 'verdict', '-f', path, '--from', 'x/a', '--to', to, '--port', port, '-o', 'json')
    return JSON.parse(stdout)
  }
  t.like(await verdict('y/b', '80/TCP'), {
    verdict: 'denied',
    egress: { verdict: 'allowed', rule: 0 },
    ingress: { verdict: 'denied', policy: 'NetworkPolicy y/only-81 ingress (default deny)' },
  })
  t.like(await verdict('192.168.0.2', '81/UDP'), {
    verdict: 'allowed',
    ingress: { verdict: 'allowed', policy: 'NetworkPolicy y/only-81 ingress[0]' },
  })
  t.like(await verdict('198.51.100.1', '80/TCP'), { verdict: 'allowed', ingress: { verdict: 'allowed', rule: 0 } })
})

test('explain shows the rules that were looked at', async (t) => {
  const path = await folder(t, { 'pods.yaml': PODS, 'policy.yml': POLICY })
  const { stdout } = await sluice('policy', 'explain', '-f', path, '--from', 'x/a', '--to', 'y/b', '--port', '80/TCP')
  t.regex(stdout, /80\/TCP: denied/)
  t.regex(stdout, /NetworkPolicy y\/only-81 ingress\[0\] +allow +yes +no\n/)
})

test('explain --entries shows the rows that were compared, and which decided; JSON always does', async (t) => {
  const path = await folder(t, { 'pods.yaml': PODS, 'policy.yml': POLICY })
  const ends = ['-f', path, '--from', 'x/a', '--to', 'y/b', '--port', '81/UDP']
  const { stdout } = await sluice('policy', 'explain', ...ends, '--entries')
  t.regex(stdout, /ROW FOR +PORTS +TIER +PRECEDENCE +VERDICT +RULE\n +decides +every peer +81\/UDP +normal +0x80000002 +allowed +NetworkPolicy y\/only-81 ingress\[0\]\n/)
  t.notRegex((await sluice('policy', 'explain', ...ends)).stdout, /PRECEDENCE/)
  const { ingress } = JSON.parse((await sluice('policy', 'explain', ...ends, '-o', 'json')).stdout) as { ingress: { entries: readonly object[] } }
  t.like(ingress.entries, [{ peers: 'every peer', ports: '81/UDP', precedence: 0x8000_0002, decides: true }])
})

test('explain says which rule would allow it, were there the proxy that it needs', async (t) => {
  const http = POLICY.replace('networking.k8s.io/v1', 'cilium.io/v2').replace('NetworkPolicy', 'CiliumNetworkPolicy')
    .replace(/spec:[^]*/, 'spec: {endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{}]}}]}]}\n')
  const path = await folder(t, { 'pods.yaml': PODS, 'http.yaml': http })
  const ask = (port: string) => sluice('policy', 'explain', '-f', path, '--from', 'x/a', '--to', 'y/b', '--port', port)
  t.regex((await ask('80/TCP')).stdout, /ingress of y\/b: denied\n.*default deny.*\n  CiliumNetworkPolicy y\/only-81 ingress\[0\] needs the HTTP proxy, which is not there: denied\n/)
  t.notRegex((await ask('81/TCP')).stdout, /proxy/)
})

test('what is not enforced as written goes to standard error, and the answer to standard output', async (t) => {
  const names = POLICY.replace('networking.k8s.io/v1', 'cilium.io/v2').replace('NetworkPolicy', 'CiliumNetworkPolicy')
    .replace(/spec:[^]*/, 'spec: {endpointSelector: {}, egress: [{toFQDNs: [{matchName: a.example}]}]}\n')
  const path = await folder(t, { 'pods.yaml': PODS, 'names.yaml': names })
  const result = await sluice('policy', 'matrix', '-f', path, '--port', '80/TCP', '-o', 'json')
  t.is(result.status, 0)
  t.regex(result.stderr, /^warning: .*names\.yaml:4:\d+: spec\.egress\[0\]\.toFQDNs\[0\]: domain names are not resolved yet; the peer selects nobody\n$/)
  t.is((JSON.parse(result.stdout) as typeof MATRIX)['80/TCP']['y/b']['x/a'], 'denied')
})

test('a fault goes to standard error, with status 1 and nothing on standard output', async (t) => {
  const path = await folder(t, { 'pods.yaml': PODS, 'bad.yaml': POLICY.replace('podSelector', 'podSelektor') })
  const result = await sluice('policy', 'matrix', '-f', path, '--port', '80/TCP', '-o', 'json')
  t.like(result, { status: 1, stdout: '' })
  t.regex(result.stderr, /bad\.yaml:5:3: spec\.podSelektor: unknown field; allowed: podSelector, /)
})

for (const [title, status, args, says] of [
  ['a file that is not there', 1, ['-f', '/nowhere.yaml', '--port', '80/TCP'], /nowhere\.yaml: cannot be read: ENOENT: no such file or directory; allowed/],
  ['a port that is none', 2, ['-f', '/dev/null', '--port', '80/HTTP'], /80\/HTTP.*TCP, UDP or SCTP/],
  ['port 0', 2, ['-f', '/dev/null', '--port', '0/TCP'], /1 to 65535/],
] as const) {
  test(`${title} is an error`, async (t) => {
    const result = await sluice('policy', 'matrix', ...args)
    t.like(result, { status, stdout: '' })
    t.regex(result.stderr, says)
  })
}

test('a workload that nobody knows is an error with those that are known', async (t) => {
  const path = await folder(t, { 'pods.yaml': PODS })
  const result = await sluice('policy', 'verdict', '-f', path, '--from', 'x/c', '--to', 'y/b', '--port', '80/TCP')
  t.like(result, { status: 1, stdout: '' })
  t.regex(result.stderr, /"x\/c" is neither.*there are x\/a, y\/b/)
})

test("a Service's address is no end: its backends are", async (t) => {
  const service = `apiVersion: v1
kind: Service
metadata: {name: b, namespace: y}
spec: {selector: {app: b}, clusterIP: 10.96.0.1, ports: [{port: 80, targetPort: 8080}]}
`
  const path = await folder(t, { 'pods.yaml': PODS, 'service.yaml': service })
  const result = await sluice('policy', 'verdict', '-f', path, '--from', 'x/a', '--to', '10.96.0.1', '--port', '80/TCP')
  t.like(result, { status: 2, stdout: '' })
  t.regex(result.stderr, /Service y\/b.*y\/b with its port 8080/)
})

test('the name of the cluster is an option of the commands that read manifests', async (t) => {
  const policy = `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p, namespace: y}, spec: {endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: eu-1, io.kubernetes.pod.namespace: x}}]}]}}`
  const path = await folder(t, { 'pods.yaml': PODS, 'policy.yml': policy })
  const verdict = (...more: readonly string[]) => sluice('policy', 'verdict', '-f', path, '--from', 'x/a', '--to', 'y/b', '--port', '80', ...more)
  t.regex((await verdict()).stdout, /^denied/)
  t.regex((await verdict('--cluster-name', 'eu-1')).stdout, /^allowed/)
  t.regex((await sluice('policy', 'lint', '-f', path)).stdout, /selector-matches-nothing/)
  t.notRegex((await sluice('policy', 'lint', '-f', path, '--cluster-name', 'eu-1')).stdout, /selector-matches-nothing/)
  t.like(await verdict('--cluster-name', 'EU 1'), { status: 2, stdout: '' })
})
