import type { Flow } from '../../observe/index.ts'
import type { Agent, Reply } from '../index.ts'
import type { DemoLab } from './build.ts'

type Protocol = 'TCP' | 'UDP'
export type Expected = 'allowed' | 'denied'

/** One row of the demo. `to` is a host, a Service or a LoadBalancer by its name in the manifests. */
export interface Expectation {
  readonly from: string
  readonly to: string
  readonly port: number
  readonly protocol?: Protocol
  readonly expected: Expected
}

/** What examples/demo is meant to do. Each row is tried over IPv4 and over IPv6. */
export const expectations: readonly Expectation[] = [
  { from: 'guest', to: 'web-1', port: 80, expected: 'allowed' },
  { from: 'guest', to: 'web-1', port: 81, expected: 'denied' },
  { from: 'guest', to: 'service web', port: 80, expected: 'allowed' },
  { from: 'guest', to: 'api', port: 8080, expected: 'denied' },
  { from: 'guest', to: 'api', port: 5353, protocol: 'UDP', expected: 'denied' },
  { from: 'guest', to: 'client', port: 80, expected: 'allowed' },
  { from: 'guest', to: 'office', port: 80, expected: 'denied' },
  { from: 'web-1', to: 'api', port: 8080, expected: 'allowed' },
  { from: 'web-2', to: 'api', port: 5353, protocol: 'UDP', expected: 'allowed' },
  { from: 'web-1', to: 'db', port: 5432, expected: 'denied' },
  { from: 'api', to: 'db', port: 5432, expected: 'allowed' },
  { from: 'db', to: 'api', port: 8080, expected: 'denied' },
  { from: 'api', to: 'guest', port: 80, expected: 'allowed' },
  { from: 'scraper', to: 'web-1', port: 9100, expected: 'allowed' },
  { from: 'scraper', to: 'web-2', port: 9200, expected: 'allowed' },
  { from: 'scraper', to: 'web-1', port: 80, expected: 'denied' },
  { from: 'client', to: 'web-2', port: 80, expected: 'allowed' },
  { from: 'client', to: 'web-1', port: 81, expected: 'denied' },
  { from: 'client', to: 'db', port: 5432, expected: 'denied' },
  { from: 'client', to: 'balancer shop', port: 80, expected: 'allowed' },
]

export interface Observation extends Expectation {
  readonly address: string
  readonly reply: Reply
  /** Names of the servers that may answer. */
  readonly answering: readonly string[]
  /** `allowed`, `denied`, or what else happened. */
  readonly observed: string
  readonly policy: string
}

export interface Target {
  readonly addresses: readonly string[]
  readonly answering: readonly string[]
}

const requestMs = 2500
const flowsMs = 2000

/** The addresses of a row's destination and the servers that may answer there. */
export function targetOf({ hosts, cluster }: DemoLab, to: string): Target {
  const [kind, serviceName] = to.split(' ')
  if (serviceName === undefined) {
    const host = hosts.get(to)
    if (host === undefined) throw new Error(`${to} is no host of the demo: ${[...hosts.keys()].join(', ')}`)
    return { addresses: Object.values(host.addresses), answering: [to] }
  }
  const services = kind === 'service' ? cluster.services : cluster.loadBalancers
  const frontends = services.filter(({ name }) => name === serviceName).flatMap((service) => service.frontends)
  const names = frontends.flatMap(({ backends }) => backends.map(({ name }) => name.replace(/^.*\//, '')))
  return { addresses: frontends.map(({ address }) => address), answering: [...new Set(names)] }
}

/** Sends all requests at once, then asks the agent which policies decided. */
export async function observe(demo: DemoLab, agent: Agent): Promise<Observation[]> {
  const tried = await Promise.all(expectations.flatMap((row) => {
    const { addresses, answering } = targetOf(demo, row.to)
    return addresses.map(async (address) => ({ ...row, address, answering, reply: await send(demo, row, address) }))
  }))
  const found = await decidingFlows(demo, agent, tried)
  return tried.map((row, index) => ({ ...row, observed: observedAs(row), policy: decidedBy(row, found[index]) }))
}

function send(demo: DemoLab, { from, port, protocol = 'TCP' }: Expectation, address: string): Promise<Reply> {
  const host = demo.hosts.get(from)
  if (host === undefined) throw new Error(`${from} is no host of the demo: ${[...demo.hosts.keys()].join(', ')}`)
  return host.request({ address, port, protocol, timeoutMs: requestMs })
}

type Tried = Omit<Observation, 'observed' | 'policy'>

/** An answer counts when the right server gave it; silence is what a drop looks like; all else is neither. */
function observedAs({ reply, answering }: Tried): string {
  if (reply.outcome === 'timeout') return 'denied'
  if (reply.outcome !== 'answered') return reply.outcome
  return answering.includes(reply.by ?? '') ? 'allowed' : `answered by ${reply.by}`
}

/** The flows that tell who decided; events need a moment from the datapath to the API. */
async function decidingFlows(demo: DemoLab, agent: Agent, rows: readonly Tried[]): Promise<(Flow | undefined)[]> {
  const deadline = Date.now() + flowsMs
  for (;;) {
    const flows = (await agent.lines<Flow>('/v1/flows?last=2000')).reverse()
    const found = rows.map((row) => flows.find((flow) => isOf(demo, row, flow)))
    if (Date.now() > deadline || found.every((flow, index) => flow !== undefined || isBalanced(rows[index]))) return found
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** Flows show the workload behind a Service, since that is what policy compared. */
function isOf(demo: DemoLab, row: Tried, { source, destination, protocol, verdict }: Flow): boolean {
  const ends = [row.address, ...row.answering.flatMap((name) => Object.values(demo.hosts.get(name)?.addresses ?? {}))]
  const from = Object.values(demo.hosts.get(row.from)?.addresses ?? {})
  const dropped = verdict === 'dropped'
  return (
    from.includes(source.address) && source.address.includes(':') === row.address.includes(':') &&
    ends.includes(destination.address) && destination.port === row.port && protocol === (row.protocol ?? 'TCP') &&
    dropped === (row.reply.outcome === 'timeout')
  )
}

/** Policy protects workloads; what the edge sends on to other machines passes none. */
function isBalanced(row: Tried | undefined): boolean {
  return row?.to.startsWith('balancer ') === true
}

function decidedBy(row: Tried, flow: Flow | undefined): string {
  if (isBalanced(row)) return `none at the edge: ${row.reply.by ?? 'nobody'} answered`
  if (flow === undefined) return 'no flow was seen'
  return flow.policy ?? (flow.rule === 0 && flow.verdict === 'forwarded' ? 'no policy selects it' : flow.reason)
}
