// A small node, as its agent's API would show it.
import type { Address, Endpoint, Flow, Identity, Listing, MapItem, PolicyItem, Program, Service, Status } from '../../agent/api/index.ts'

export function listing<T>(...items: readonly T[]): Listing<T> {
  return { revision: 12, items }
}

export const STATUS: Status = {
  ok: true,
  pid: 4242,
  name: 'demo',
  version: '0.1.0',
  kernel: '6.18.5',
  startedAt: '2026-01-02T03:04:05.000Z',
  degraded: [],
  parts: {
    sources: { state: 'ok', summary: '4 files' },
    policy: { state: 'ok', summary: '3 policies, 5 subjects' },
  },
  options: {
    stateDir: '/var/lib/sluice/demo',
    socket: '/run/sluice/demo/sluice.sock',
    bpffs: '/sys/fs/bpf/sluice-demo',
    manifests: ['/etc/sluice/manifests'],
    uplink: 'eth0',
    workloadRanges: ['10.77.1.0/24', 'fd77:1::/64'],
  },
}

export const DEGRADED: Status = {
  ...STATUS,
  ok: false,
  degraded: [
    {
      what: 'manifest web.yaml',
      why: 'line 12: spec.ingres is no field\nthe last good version stays enforced',
      hint: 'correct the file; allowed there: ingress, egress',
    },
  ],
  parts: { ...STATUS.parts, sources: { state: 'degraded', summary: '4 files, 1 with errors' } },
}

export const WEB: Endpoint = {
  id: 1,
  name: 'demo/web-1',
  namespace: 'demo',
  netns: 'sluice-demo-web-1',
  interface: 'sl-web-1',
  ifindex: 7,
  mac: '02:00:00:00:00:11',
  addresses: ['10.77.1.11', 'fd77:1::11'],
  labels: ['k8s:app=web', 'k8s:io.kubernetes.pod.namespace=demo'],
  identity: 300,
  state: 'ready',
}

export const WAITING: Endpoint = {
  id: 2,
  name: 'demo/late',
  namespace: 'demo',
  interface: 'sl-late',
  ifindex: 0,
  addresses: ['10.77.1.12'],
  labels: ['k8s:app=late'],
  identity: 301,
  state: 'waiting',
  reason: 'interface sl-late does not exist yet',
}

export const IDENTITY: Identity = { number: 300, labels: WEB.labels, reserved: false, addresses: 2 }
export const WORLD: Identity = { number: 2, labels: ['reserved:world='], reserved: true, addresses: 0 }

export const ADDRESS: Address = {
  prefix: '10.77.1.11/32',
  identity: 300,
  labels: WEB.labels,
  workload: 'demo/web-1',
  interface: 'sl-web-1',
  flags: ['workload'],
}

export const POLICY: PolicyItem = {
  kind: 'CiliumNetworkPolicy',
  namespace: 'demo',
  name: 'web',
  source: 'folder',
  file: '/etc/sluice/manifests/web.yaml',
  state: 'enforced',
  rules: [
    { number: 7, text: 'CiliumNetworkPolicy demo/web ingress[0]', direction: 'ingress', action: 'allow', description: 'clients' },
  ],
}

export const BALANCER: Service = {
  id: 3,
  kind: 'LoadBalancer',
  namespace: 'demo',
  name: 'shop',
  address: 'fd77:9::1',
  port: 80,
  protocol: 'TCP',
  forwarding: 'ipip',
  algorithm: 'maglev',
  tableSize: 65537,
  backends: [
    { name: 'b1', address: 'fd77::21', port: 80, weight: 2, state: 'active', slots: 43691 },
    { name: 'b2', address: 'fd77::22', port: 80, weight: 1, state: 'draining', slots: 21846 },
  ],
  state: 'programmed',
}

export const CLUSTER_SERVICE: Service = {
  ...BALANCER,
  id: 4,
  kind: 'Service',
  name: 'empty',
  address: '10.78.0.10',
  forwarding: 'nat',
  tableSize: 0,
  backends: [],
  state: 'no-backend',
}

export const PROGRAM: Program = {
  id: 91,
  name: 'from_endpoint',
  hook: 'tcx/ingress',
  interface: 'sl-web-1',
  pin: '/sys/fs/bpf/sluice-demo/links/from_endpoint-sl-web-1',
  instructions: 2100,
}

export const MAP: MapItem = {
  id: 17,
  name: 'addresses',
  type: 'hash',
  keySize: 16,
  valueSize: 16,
  maxEntries: 131072,
  pin: '/sys/fs/bpf/sluice-demo/maps/addresses',
}

const EVENT = { time: '2026-01-02T03:04:05.123456Z', interface: 'sl-web-1', length: 74 }

export const FLOW: Flow = {
  ...EVENT,
  verdict: 'dropped',
  reason: 'policy-denied',
  direction: 'ingress',
  protocol: 'TCP',
  source: { address: '10.77.1.12', port: 41234, identity: 301, labels: ['k8s:app=late'], workload: 'demo/late' },
  destination: { address: '10.77.1.11', port: 80, identity: 300, labels: WEB.labels, workload: 'demo/web-1' },
  rule: 7,
  policy: 'CiliumNetworkPolicy demo/web ingress[0]',
}

export const PING: Flow = {
  ...EVENT,
  verdict: 'forwarded',
  reason: 'forwarded',
  direction: 'egress',
  protocol: 'ICMPv6',
  icmp: { type: 128, code: 0 },
  source: { address: 'fd77:1::11', port: 0, identity: 300, labels: WEB.labels, workload: 'demo/web-1' },
  destination: { address: '2001:db8::1', port: 0, identity: 10, labels: ['reserved:world-ipv6='] },
  rule: 0,
}
