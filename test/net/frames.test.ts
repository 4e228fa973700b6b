// Frames that no honest stack sends: forged, tagged, at their last hop.
import { setTimeout as sleep } from 'node:timers/promises'
import { join } from 'node:path'
import type { Flow } from '../../agent/api/types.ts'
import { type Agent, type Host, Lab, mac, type Node, type Workload } from '../../lab/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { buildPacket, type PacketDescription } from '../packet.ts'
import { concat, number16 } from '../wire.ts'
import { ciliumPolicy } from './policies.ts'

const families = ['ipv4', 'ipv6'] as const
const port = 5353
const settleMs = 200
const side = { name: 'side', mac: '02:77:03:00:00:01', peerMac: '02:77:03:00:00:02' } as const

interface Scene {
  readonly lab: Lab
  readonly node: Node
  readonly agent: Agent
  readonly client: Workload
  readonly server: Workload
}

async function makeScene(lab: Lab): Promise<Scene> {
  const node = await lab.addNode('n1')
  const client = await node.addWorkload({ name: 'client', number: 11 })
  const server = await node.addWorkload({ name: 'server', number: 12 })
  const agent = await node.startAgent()
  await agent.apply(client.manifest(), server.manifest())
  return { lab, node, agent, client, server }
}

async function sendFrames(host: Host, frames: readonly Uint8Array[]): Promise<void> {
  await host.run(['perl', join(import.meta.dirname, 'traffic/frames.pl'), ...frames.map((frame) => Buffer.from(frame).toString('hex'))])
  await sleep(settleMs)
}

/** IEEE 802.1Q: the tag stands behind the MAC addresses. */
function tagged(frame: Uint8Array, vlan: number): Uint8Array {
  return concat(frame.subarray(0, 12), number16(0x8100), number16(vlan), frame.subarray(12))
}

function datagram(family: (typeof families)[number], from: Pick<Host, 'addresses'>, to: Pick<Host, 'addresses'>, more: Partial<PacketDescription>): Uint8Array {
  return buildPacket({ source: from.addresses[family], destination: to.addresses[family], transport: { kind: 'udp', sourcePort: port, destinationPort: port }, ...more })
}

/** Datagrams that the host's stack has been given, for whichever port. */
async function received(host: Host): Promise<number> {
  return counter(host, /^(?:Udp|Udp6)(?:InDatagrams|NoPorts)\s+(\d+)/gm)
}

async function timesExceeded(host: Host): Promise<number> {
  return counter(host, /^Icmp6?InTimeExcds\s+(\d+)/gm)
}

async function counter(host: Host, lines: RegExp): Promise<number> {
  const { stdout } = await host.run(['nstat', '--noupdate', '--zeros', '--ignore'])
  return [...stdout.matchAll(lines)].reduce((sum, match) => sum + Number(match[1]), 0)
}

async function droppedFor(agent: Agent, reason: string): Promise<number> {
  const flows = await agent.lines<Flow>('/v1/flows?last=1000&verdict=dropped')
  return flows.filter((flow) => flow.reason === reason && flow.destination.port === port).length
}

kernelTest('who sends at its last hop hears of it from the node', async (t) => {
  await using lab = await Lab.create()
  const { client, server, agent } = await makeScene(lab)
  const outside = await lab.addHost('outside', 30)
  const macs = { sourceMac: mac.workload(1, 11), destinationMac: mac.nodeSide(1, 11) }
  for (const [index, to] of [server, outside].entries()) {
    await sendFrames(client, families.map((family) => datagram(family, client, to, { ...macs, hops: 1 })))
    t.is(await timesExceeded(client), 2 * (index + 1), `to ${to.name}`)
  }
  t.is(await received(server), 0)
  t.is(await droppedFor(agent, 'ttl-exceeded'), 4)
})

kernelTest('tagged and broadcast frames are no way into or out of a workload', async (t) => {
  await using lab = await Lab.create()
  const { client, server, agent } = await makeScene(lab)
  const outside = await lab.addHost('outside', 30)
  const own = { sourceMac: mac.workload(1, 11), destinationMac: mac.nodeSide(1, 11) }
  await sendFrames(client, families.map((family) => tagged(datagram(family, client, server, own), 5)))
  const world = { sourceMac: mac.lan(30), destinationMac: mac.lan(1) }
  await sendFrames(outside, families.map((family) => tagged(datagram(family, outside, server, world), 5)))
  t.is(await received(server), 0)
  t.is((await agent.lines<Flow>('/v1/flows?last=1000&verdict=dropped')).filter(({ reason }) => reason === 'unsupported-protocol').length, 2)
  await sendFrames(client, families.map((family) => datagram(family, client, server, own)))
  await sendFrames(outside, families.map((family) => datagram(family, outside, server, world)))
  t.is(await received(server), 4, 'untagged they arrive')
  await sendFrames(outside, families.map((family) => tagged(datagram(family, outside, server, world), 0)))
  t.is(await received(server), 6, 'a tag that names no VLAN is none')
  await sendFrames(outside, families.map((family) => datagram(family, outside, server, { ...world, destinationMac: 'ff:ff:ff:ff:ff:ff' })))
  t.is(await received(server), 6, 'routers forward no link-layer broadcasts')
})

/** A host behind an interface of the node that is not its uplink. */
async function addSide(lab: Lab, node: Node): Promise<Host> {
  const intruder = await lab.addHost('intruder', 66)
  await intruder.ip('link delete eth0')
  await node.ip(
    `link add ${side.name} address ${side.mac} type veth peer name eth0 netns ${intruder.namespace} address ${side.peerMac}`,
    `link set ${side.name} up`,
  )
  await node.sysctl({ 'ipv4/conf/all/rp_filter': 0, [`ipv4/conf/${side.name}/rp_filter`]: 0 })
  await intruder.ip('link set eth0 up')
  return intruder
}

kernelTest('what enters elsewhere is not taken for a workload’s, neither by another nor outside', async (t) => {
  await using lab = await Lab.create()
  const { node, client, server, agent } = await makeScene(lab)
  const outside = await lab.addHost('outside', 30)
  const intruder = await addSide(lab, node)
  const macs = { sourceMac: side.peerMac, destinationMac: side.mac }
  await sendFrames(intruder, families.map((family) => datagram(family, intruder, server, macs)))
  t.is(await received(server), 2, 'the way is open')
  for (const [index, to] of [server, outside].entries()) {
    await sendFrames(intruder, families.map((family) => datagram(family, client, to, macs)))
    t.is(await droppedFor(agent, 'spoofed-address'), 2 * (index + 1), `to ${to.name}`)
  }
  await sendFrames(intruder, families.map((family) => datagram(family, node, server, macs)))
  t.is(await received(server), 2)
  t.is(await received(outside), 0)
})

kernelTest('who may not reach the node does not by its broadcast and anycast addresses', async (t) => {
  await using lab = await Lab.create()
  const { node, client, agent } = await makeScene(lab)
  await agent.apply(ciliumPolicy('world-alone', 'client', { egress: [{ toEntities: ['world'] }] }), client.manifest({ app: 'client' }))
  const macs = { sourceMac: mac.workload(1, 11), destinationMac: mac.nodeSide(1, 11) }
  const [ipv4, ipv6] = ['10.77.0.255', 'fd77::']
  const before = await received(node)
  await sendFrames(client, families.map((family) => datagram(family, client, { addresses: { ipv4, ipv6 } }, macs)))
  t.is(await droppedFor(agent, 'no-route'), 2)
  t.is(await received(node), before)
})
