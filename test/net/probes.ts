// Requests between all workloads of a lab, as observations of what policy decides.
import type { Agent, Addresses, Workload } from '../../lab/index.ts'

/** As `sluice policy matrix` takes it. */
export type ProbePort = `${number}/${'TCP' | 'UDP'}`
export type Verdict = 'allowed' | 'denied'

export interface Probe {
  readonly from: Workload
  readonly to: Workload
  readonly family: keyof Addresses
  readonly port: ProbePort
}

export const families = ['ipv4', 'ipv6'] as const
const [answeredMs, deniedMs] = [2000, 300]

export const describe = ({ from, to, family, port }: Probe): string => `${from.name} -> ${to.name} ${port} over ${family}`

/** Every pair, port and family. */
export function allProbes(workloads: readonly Workload[], ports: readonly ProbePort[]): Probe[] {
  return workloads.flatMap((from) => workloads.filter((to) => to !== from).flatMap((to) =>
    ports.flatMap((port) => families.map((family) => ({ from, to, family, port })))))
}

/** Waits longer for what is to be answered, so that a slow machine is not taken for a policy. */
export async function observed({ from, to, family, port }: Probe, expected: Verdict): Promise<Verdict | string> {
  const [number, protocol] = port.split('/') as [string, 'TCP' | 'UDP']
  const timeoutMs = expected === 'allowed' ? answeredMs : deniedMs
  const { outcome } = await from.request({ address: to.addresses[family], port: Number(number), protocol, timeoutMs })
  return outcome === 'answered' ? 'allowed' : outcome === 'timeout' ? 'denied' : outcome
}

export interface PolicyDocument {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string }
}

export async function replacePolicies(agent: Agent, before: readonly PolicyDocument[], after: readonly PolicyDocument[]): Promise<void> {
  for (const { kind, metadata } of before) await agent.deletePolicy(kind, metadata.namespace ?? '', metadata.name)
  await agent.apply(...after)
}
