import type { Cluster } from '../../manifests/index.ts'
import type { Host } from '../index.ts'
import type { DemoLab } from './build.ts'

const requests = 300
const concurrent = 20
/** Shares of a hash are binomial; five standard deviations are passed by chance once in two million runs. */
const allowedDeviations = 5

/** How the answers to many connections were spread over a service's backends, in one family. */
export interface Shares {
  readonly service: string
  readonly family: 'IPv4' | 'IPv6'
  readonly unanswered: number
  readonly backends: readonly {
    readonly name: string
    readonly answers: number
    readonly share: number
    /** Its part of all weights. */
    readonly weight: number
    readonly isPlausible: boolean
  }[]
}

/** The world uses the balancers, a workload the Services; both at once. */
export async function measureShares(demo: DemoLab): Promise<Shares[]> {
  const { loadBalancers, services } = demo.cluster
  return (await Promise.all([measureAll(demo, 'client', loadBalancers), measureAll(demo, 'guest', services)])).flat()
}

async function measureAll(demo: DemoLab, from: string, services: Cluster['services']): Promise<Shares[]> {
  const host = demo.hosts.get(from)
  if (host === undefined) throw new Error(`the demo has no host ${from}`)
  const shares: Shares[] = []
  for (const { name, frontends } of services) {
    for (const frontend of frontends) shares.push(await measure(host, name, frontend))
  }
  return shares
}

export function isPlausible({ unanswered, backends }: Shares): boolean {
  return unanswered === 0 && backends.every((backend) => backend.isPlausible)
}

interface Frontend {
  readonly address: string
  readonly port: number
  readonly backends: readonly { readonly name: string; readonly weight: number }[]
}

async function measure(host: Host, service: string, { address, port, backends }: Frontend): Promise<Shares> {
  const answers = new Map<string, number>()
  let unanswered = 0
  let left = requests
  const worker = async () => {
    while (left-- > 0) {
      const { outcome, by = '' } = await host.request({ address, port, timeoutMs: 3000 })
      if (outcome === 'answered') answers.set(by, (answers.get(by) ?? 0) + 1)
      else unanswered++
    }
  }
  await Promise.all(Array.from({ length: concurrent }, worker))
  const total = backends.reduce((sum, { weight }) => sum + weight, 0)
  const family = address.includes(':') ? 'IPv6' : 'IPv4'
  return {
    service,
    family,
    unanswered,
    backends: backends.map(({ name, weight }) => share(name, answers.get(name.replace(/^.*\//, '')) ?? 0, weight / total)),
  }
}

function share(name: string, answers: number, weight: number): Shares['backends'][number] {
  const deviation = Math.sqrt(requests * weight * (1 - weight))
  const isPlausible = Math.abs(answers - requests * weight) <= allowedDeviations * deviation
  return { name, answers, share: answers / requests, weight, isPlausible }
}
