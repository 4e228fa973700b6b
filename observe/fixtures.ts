// Records, directories and clocks that the tests of this folder share.
import { Direction, EventKind, Reason } from '../bpf/index.ts'
import type { EventRecord } from '../bpf/index.ts'
import type { Clock } from './clock.ts'
import type { Directory } from './flow.ts'

export function mapped(a: number, b: number, c: number, d: number): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d)
}

/** demo/client tries demo/web's port 80 and is denied by rule 7. */
export const DENIED: EventRecord = {
  timeNs: 1_500_000n,
  source: mapped(10, 77, 1, 12),
  destination: mapped(10, 77, 1, 11),
  sourcePort: 41234,
  destinationPort: 80,
  protocol: 6,
  kind: EventKind.DROP,
  direction: Direction.INGRESS,
  reason: Reason.POLICY_DENIED,
  sourceIdentity: 301,
  destinationIdentity: 300,
  rule: 7,
  ifindex: 4,
  service: 0,
  length: 74,
}

const LABELS = new Map([
  [300, ['k8s:app=web', 'k8s:io.kubernetes.pod.namespace=demo']],
  [301, ['k8s:app=client', 'k8s:io.kubernetes.pod.namespace=demo']],
])
const WORKLOADS = new Map([
  ['10.77.1.11', 'demo/web'],
  ['10.77.1.12', 'demo/client'],
])

export const DIRECTORY: Directory = {
  labels: (identity) => LABELS.get(identity),
  workload: (address) => WORKLOADS.get(address),
  policy: (rule) => (rule === 7 ? 'CiliumNetworkPolicy demo/web ingress[0]' : undefined),
  service: (id) => (id === 3 ? 'demo/shop' : undefined),
  serviceAt: (address) => (address === '10.77.9.1' ? 'demo/shop' : undefined),
  interfaceName: (ifindex) => (ifindex === 4 ? 'sl-web' : undefined),
}

export const CLOCK: Clock = { isoTime: (monotonicNs) => `at ${monotonicNs}` }
