// Lines as `sluice observe -o jsonl` prints them.
import type { Flow, FlowEnd } from '../../observe/index.ts'

export function end(workload: string, address: string, port: number, labels: Readonly<Record<string, string>>): FlowEnd {
  const [namespace = ''] = workload.split('/')
  const own = Object.entries({ ...labels, 'io.kubernetes.pod.namespace': namespace }).map(([key, value]) => `k8s:${key}=${value}`)
  return { address, port, identity: 300, labels: own, workload }
}

export const outside = (address: string, port: number): FlowEnd =>
  ({ address, port, identity: 9, labels: ['reserved:world=', 'reserved:world-ipv4='] })

export const host = (address: string, port: number): FlowEnd => ({ address, port, identity: 1, labels: ['reserved:host='] })

export function flow(source: FlowEnd, destination: FlowEnd, more: Partial<Flow> = {}): Flow {
  return {
    time: '2026-01-02T03:04:05.000000Z', verdict: 'forwarded', reason: 'forwarded', direction: 'ingress', protocol: 'TCP',
    source, destination, rule: 0, interface: 'sl-0', length: 60, ...more,
  }
}

/** A second between each and the next. */
export function jsonl(...flows: readonly Flow[]): string {
  const at = (second: number) => new Date(Date.UTC(2026, 0, 2, 3, 4, second)).toISOString()
  return flows.map((each, index) => `${JSON.stringify({ ...each, time: at(index) })}\n`).join('')
}
