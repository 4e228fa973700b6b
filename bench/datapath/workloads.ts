// Cases of the workload path: what comes to a workload, what it sends out, and what two of one node exchange.

import { BpfObject } from '../../loader/index.ts'
import type { Program } from '../../loader/index.ts'
import type { Measurement } from './measure.ts'
import { measure } from './measure.ts'
import type { BenchNode, Interface } from './node.ts'
import { checkNoDrops, checkNoLostEvents, drainEvents, lostEvents } from './outcome.ts'
import { buildPacket, fieldOffsets, TcpFlag } from './packets.ts'
import type { Station } from './packets.ts'
import { fillWorkloadTables } from './tables.ts'
import { Wrapper } from './wrapper.ts'
import type { Traffic } from './wrapper.ts'

const TC_ACT_OK = 0
const TC_ACT_REDIRECT = 7
const SERVER_PORT = 8000
const CLIENT_PORT = 1024

/** Who asks whom, at which hook the question is measured, and at which the answers pass while flows are made. */
interface Path {
  readonly name: string
  readonly object: 'tc_endpoint' | 'tc_host'
  readonly client: Station
  readonly server: Station
  /** Which 16 bits hold the flow number's upper part. */
  readonly vary: 'client-address' | 'server-address' | 'server-port'
  readonly question: { readonly program: string; readonly at: Interface; readonly result: number }
  readonly answer: { readonly program: string; readonly at: Interface; readonly result: number }
}

function paths(node: BenchNode): Path[] {
  const { first, second, uplink, remote } = node
  const fromFirst = { program: 'from_endpoint', at: first, result: TC_ACT_REDIRECT }
  const toFirst = { program: 'to_endpoint', at: first, result: TC_ACT_OK }
  const toRemote = { client: first, server: remote, vary: 'server-address' } as const
  const toWorkload = { client: remote, server: first, vary: 'client-address' } as const
  return [
    { name: 'tc_endpoint/ingress', object: 'tc_endpoint', ...toWorkload, question: toFirst, answer: fromFirst },
    { name: 'tc_endpoint/egress', object: 'tc_endpoint', ...toRemote, question: fromFirst, answer: toFirst },
    {
      name: 'tc_endpoint/local',
      object: 'tc_endpoint',
      client: first,
      server: second,
      vary: 'server-port',
      question: fromFirst,
      answer: { program: 'from_endpoint', at: second, result: TC_ACT_REDIRECT }
    },
    {
      name: 'tc_host/ingress',
      object: 'tc_host',
      ...toWorkload,
      question: { program: 'from_world', at: uplink, result: TC_ACT_REDIRECT },
      answer: fromFirst
    }
  ]
}

/** Flows that `new` opens in one run; each is opened once, and the baseline's runs use up as many numbers. */
const NEW_FLOWS = 20_000
const ROUNDS = 7
const PACKETS = 200_000
/** An LRU map takes entries away before it is full, for its per-CPU lists. */
const SLACK = 32_768
/** Bytes: more than all events of the flows that `new` opens, so that each pays for its event. */
const EVENT_RING = 1 << 25

export function* measureWorkloads(node: BenchNode, flowCounts: readonly number[]): Generator<Measurement> {
  for (const path of paths(node)) for (const flows of flowCounts) for (const family of [4, 6] as const) yield* measurePath(node, path, flows, family)
}

function* measurePath(node: BenchNode, path: Path, flows: number, family: 4 | 6): Generator<Measurement> {
  const conntrack = flows + NEW_FLOWS * ROUNDS + SLACK
  const mapSizes = { events: EVENT_RING, [`conntrack${family}`]: conntrack }
  using endpoint = BpfObject.open('build/bpf/tc_endpoint.bpf.o', { mapSizes }).load()
  using stack = new DisposableStack()
  fillWorkloadTables(endpoint, node)
  const host = path.object === 'tc_host' ? stack.use(openHost(endpoint, mapSizes)) : undefined
  const program = (name: string): Program => (host !== undefined && name === path.question.program ? host : endpoint).program(name)
  const suffix = family === 6 ? '/ipv6' : ''

  openFlows(node, path, program, flows, family)
  drainEvents(endpoint)
  const lost = lostEvents(endpoint)
  yield* measureOne(`${path.name}/established${suffix}`, traffic(path, family, TcpFlag.ACK, { flows, order: 'random' }), PACKETS)
  const fresh = { firstFlow: flows, flows: NEW_FLOWS * ROUNDS * 2, order: 'sequential' } as const
  yield* measureOne(`${path.name}/new${suffix}`, traffic(path, family, TcpFlag.SYN, fresh), NEW_FLOWS)
  checkNoLostEvents(endpoint, lost)
  checkNoDrops(endpoint)

  function* measureOne(name: string, what: Traffic, packets: number): Generator<Measurement> {
    const { at, result } = path.question
    using wrapper = node.run(() => new Wrapper('tc', what, at.ifindex))
    const run = (target: Program, expected: number): number => node.run(() => wrapper.run(target, packets, expected))
    const figures = measure(ROUNDS, () => run(wrapper.nothing, TC_ACT_OK), () => run(program(path.question.program), result))
    yield { case: name, flows, ...figures }
  }
}

/** The node's program on the maps of the workloads' one. */
function openHost(endpoint: BpfObject, mapSizes: Record<string, number>): BpfObject {
  const shared = endpoint.maps.filter((map) => !['openings'].includes(map.name))
  return BpfObject.open('build/bpf/tc_host.bpf.o', { maps: Object.fromEntries(shared.map((map) => [map.name, map])), mapSizes }).load()
}

/** Opens flows 0 .. flows - 1 by a SYN each, and has each answered, so that they count as established. */
function openFlows(node: BenchNode, path: Path, program: (name: string) => Program, flows: number, family: 4 | 6): void {
  const order = { flows, order: 'sequential' } as const
  const pass = (side: Path['question'], what: Traffic): void => {
    using wrapper = node.run(() => new Wrapper('tc', what, side.at.ifindex))
    node.run(() => wrapper.run(program(side.program), flows, side.result))
  }
  pass(path.question, traffic(path, family, TcpFlag.SYN, order))
  pass(path.answer, reversed(path, family, order))
}

type Flows = Pick<Traffic, 'flows' | 'order'> & { readonly firstFlow?: number }

function traffic(path: Path, family: 4 | 6, flags: number, { firstFlow = 0, flows, order }: Flows): Traffic {
  const offsets = fieldOffsets(family)
  const high = { 'client-address': offsets.sourceAddress, 'server-address': offsets.destinationAddress, 'server-port': offsets.destinationPort }
  return {
    packet: buildPacket({ family, from: path.client, to: { ...path.server, mac: firstMac(path) }, sourcePort: CLIENT_PORT, destinationPort: SERVER_PORT, flags }),
    lowOffset: offsets.sourcePort,
    lowBase: CLIENT_PORT,
    highOffset: high[path.vary],
    highBase: path.vary === 'server-port' ? SERVER_PORT : 0,
    firstFlow,
    flows,
    order
  }
}

/** Of who gets the frame before the program sees it: the uplink takes what is addressed to it alone. */
function firstMac({ object, question, server }: Path): string {
  return object === 'tc_host' ? question.at.nodeMac : server.mac
}

function reversed(path: Path, family: 4 | 6, { firstFlow = 0, flows, order }: Flows): Traffic {
  const offsets = fieldOffsets(family)
  const high = { 'client-address': offsets.destinationAddress, 'server-address': offsets.sourceAddress, 'server-port': offsets.sourcePort }
  const ports = { sourcePort: SERVER_PORT, destinationPort: CLIENT_PORT }
  return {
    packet: buildPacket({ family, from: path.server, to: path.client, ...ports, flags: TcpFlag.SYN | TcpFlag.ACK }),
    lowOffset: offsets.destinationPort,
    lowBase: CLIENT_PORT,
    highOffset: high[path.vary],
    highBase: path.vary === 'server-port' ? SERVER_PORT : 0,
    firstFlow,
    flows,
    order
  }
}
