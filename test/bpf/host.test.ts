// The node's own traffic under policies of its own: with the world, with its workloads, and what no policy takes from it.

import test from 'ava'
import type { ExecutionContext } from 'ava'

import { HOST_IFINDEX, PeerFlags } from '../../bpf/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { buildIpPacket } from '../packet.ts'
import { IpProtocol } from '../wire.ts'
import type { PacketDescription, Transport } from '../packet.ts'
import { flowsOf } from './conntrack.ts'
import { TestNode } from './node.ts'
import { ack, answer, packet, runStep, runSteps, syn, tcp, udp } from './table.ts'
import type { Step } from './table.ts'
import { addressOf, allow, deny, FAMILIES, OPEN, removeEndpoint, setAddress, setHost, setPolicy, TCP, UDP } from './world.ts'
import type { Family, Rule } from './world.ts'

let node: TestNode
test.before(() => {
  node = new TestNode({ hooks: ['from_endpoint', 'to_endpoint', 'from_world', 'to_world'] })
})
test.after.always(() => node?.[Symbol.dispose]())
test.beforeEach(() => node?.reset())

/** The node takes SSH and asks for names, and nothing else. */
const GUARDED: readonly Rule[] = [
  { subject: 'host', direction: 'ingress', peer: 'any', protocol: TCP, ports: [0, 21], action: 'deny', rule: 9 },
  { subject: 'host', direction: 'ingress', peer: 'any', protocol: TCP, ports: [22, 22], action: 'allow' },
  { subject: 'host', direction: 'ingress', peer: 'any', protocol: TCP, ports: [23, 0xffff], action: 'deny', rule: 9 },
  { subject: 'host', direction: 'egress', peer: 'any', protocol: UDP, ports: [0, 52], action: 'deny', rule: 9 },
  { subject: 'host', direction: 'egress', peer: 'any', protocol: UDP, ports: [53, 53], action: 'allow' },
  { subject: 'host', direction: 'egress', peer: 'any', protocol: UDP, ports: [54, 0xffff], action: 'deny', rule: 9 },
]
const CLOSED = [deny('host', 'ingress'), deny('host', 'egress')]

const into = (family: Family, transport: Transport, more: Partial<PacketDescription> = {}) => ({ hook: 'from_world', at: 'uplink', packet: packet(family, 'world', 'host', transport, more) }) as const
const out = (family: Family, transport: Transport, more: Partial<PacketDescription> = {}) => ({ hook: 'to_world', at: 'uplink', packet: packet(family, 'host', 'world', transport, more) }) as const
const workloadToHost = (family: Family, transport: Transport) => ({ hook: 'from_endpoint', at: 'a', packet: packet(family, 'a', 'host', transport) }) as const
const hostToWorkload = (family: Family, transport: Transport) => ({ hook: 'to_endpoint', at: 'a', packet: packet(family, 'host', 'a', transport) }) as const

const icmp = (type: number): Transport => ({ kind: 'icmp', type })
const GROUPS = { 4: '224.0.0.1', 6: 'ff02::1' } as const
/** Ports of client and server. */
const DHCP = { 4: [68, 67], 6: [546, 547] } as const
const neighbours = [133, 134, 135, 136, 137]

/** Each passes without a word. */
function pass(t: ExecutionContext, steps: readonly Omit<Step, 'expect'>[]): void {
  for (const [index, step] of steps.entries()) runStep(t, node, { ...step, expect: 'pass' }, `packet ${index + 1}`)
}

for (const family of FAMILIES) {
  kernelTest(`IPv${family}: without host policies the node’s packets are nobody’s business`, (t) => {
    runSteps(t, node, [
      { ...into(family, syn), expect: 'pass', events: [] },
      { ...out(family, syn), expect: 'pass', events: [] },
    ])
    t.deepEqual(flowsOf(node.map, family), [])
  })

  kernelTest(`IPv${family}: the node’s ingress and egress decide about the world, replies pass`, (t) => {
    setPolicy(node.map, GUARDED)
    setHost(node.map)
    runStep(t, node, { ...into(family, tcp(4000, 80, 'SYN')), metadata: { broadcast: true }, expect: 'policy-denied' }, 'in a frame for every station')
    const { events } = runStep(t, node, { ...into(family, tcp(4000, 80, 'SYN')), expect: 'policy-denied', events: ['drop'], rule: 9 })
    t.is(events[0]?.ifindex, HOST_IFINDEX)
    runSteps(t, node, [
      { ...into(family, tcp(4000, 22, 'SYN')), expect: 'pass', events: ['flow'] },
      { ...out(family, tcp(22, 4000, 'SYN', 'ACK')), expect: 'pass', events: [] },
      { ...into(family, tcp(4000, 22, 'ACK')), expect: 'pass', events: [] },
      { ...out(family, udp(5000, 53)), expect: 'pass', events: ['flow'] },
      { ...into(family, udp(53, 5000)), expect: 'pass', events: [] },
      { ...out(family, udp(5000, 54)), expect: 'policy-denied', events: ['drop'], rule: 9 },
      { ...into(family, tcp(22, 4001, 'ACK')), expect: 'policy-denied' },
    ])
  })

  kernelTest(`IPv${family}: in audit all passes and is told`, (t) => {
    setPolicy(node.map, CLOSED)
    setHost(node.map, { audit: true })
    runSteps(t, node, [
      { ...into(family, syn), expect: 'pass', events: ['audit', 'flow'] },
      { ...out(family, answer), expect: 'pass', events: [] },
      { ...out(family, udp(5, 53)), expect: 'pass', events: ['audit', 'flow'] },
    ])
  })

  kernelTest(`IPv${family}: the node’s policies hold between it and its workloads, beside theirs`, (t) => {
    setPolicy(node.map, [...GUARDED, ...OPEN])
    setHost(node.map)
    runSteps(t, node, [
      { ...workloadToHost(family, tcp(4000, 80, 'SYN')), expect: 'policy-denied', rule: 9 },
      { ...workloadToHost(family, tcp(4000, 22, 'SYN')), expect: 'pass', events: ['flow'] },
      { ...hostToWorkload(family, tcp(22, 4000, 'SYN', 'ACK')), expect: 'pass', events: [] },
      { ...hostToWorkload(family, udp(5000, 54)), expect: 'policy-denied', rule: 9 },
      { ...hostToWorkload(family, udp(5000, 53)), expect: 'pass', events: ['flow'] },
      { ...workloadToHost(family, udp(53, 5000)), expect: 'pass', events: [] },
    ])
  })

  for (const sender of ['workload', 'host'] as const)
    kernelTest(`IPv${family}: flows with workloads that are older than host policies ask them, whoever sends: ${sender}`, (t) => {
      setPolicy(node.map, [...CLOSED, ...OPEN])
      const next = sender === 'workload' ? workloadToHost(family, ack) : hostToWorkload(family, answer)
      pass(t, [workloadToHost(family, syn), hostToWorkload(family, tcp(80, 4000, 'SYN', 'ACK')), next])
      setHost(node.map)
      runStep(t, node, { ...next, expect: 'policy-denied', events: ['revoked'] })
      removeEndpoint(node.map, HOST_IFINDEX)
      pass(t, [workloadToHost(family, syn), next])
    })

  kernelTest(`IPv${family}: a policy that changes or goes takes its flows along`, (t) => {
    setPolicy(node.map, [allow('host', 'ingress'), allow('host', 'egress')])
    setHost(node.map)
    pass(t, [into(family, syn), out(family, udp(5, 53))])
    setPolicy(node.map, CLOSED, { host: 23 }, 100)
    setHost(node.map, { subject: 23 })
    runSteps(t, node, [
      { ...out(family, answer), expect: 'policy-denied', events: ['revoked'] },
      { ...into(family, udp(53, 5)), expect: 'policy-denied', events: ['revoked'] },
    ])
    removeEndpoint(node.map, HOST_IFINDEX)
    pass(t, [out(family, answer), into(family, ack), into(family, udp(53, 5)), out(family, udp(5, 53))])
  })

  kernelTest(`IPv${family}: addresses, neighbours and errors are no matter of policy`, (t) => {
    setPolicy(node.map, CLOSED)
    setHost(node.map)
    const errors = (family === 4 ? [3, 11, 12] : [1, 2, 3, 4]).map(icmp)
    const [client, server] = DHCP[family]
    for (const transport of [...errors, ...(family === 6 ? neighbours.map(icmp) : [])]) pass(t, [into(family, transport), out(family, transport)])
    pass(t, [into(family, udp(server, client)), out(family, udp(client, server))])
    pass(t, [out(family, family === 4 ? { kind: 'raw', protocol: IpProtocol.IGMP } : icmp(143), { destination: GROUPS[family] })])
    runSteps(t, node, [
      { ...into(family, icmp(family === 4 ? 8 : 128)), expect: 'policy-denied' },
      { ...out(family, icmp(family === 4 ? 8 : 128)), expect: 'policy-denied' },
      { ...into(family, udp(client, server)), expect: 'policy-denied' },
    ])
  })

  kernelTest(`IPv${family}: what the node sends to groups its egress decides; what comes for them is not for its addresses`, (t) => {
    setPolicy(node.map, GUARDED)
    setHost(node.map)
    for (const destination of [GROUPS[family], ...(family === 4 ? ['255.255.255.255'] : ['fe80::1'])])
      runSteps(t, node, [
        { ...into(family, udp(5, 54), { destination }), expect: 'pass', events: [] },
        { ...out(family, udp(5, 54), { destination }), expect: 'policy-denied', events: ['drop'], rule: 9 },
        { ...out(family, udp(5, 53), { destination }), expect: 'pass', events: ['flow'] },
      ])
    t.is(flowsOf(node.map, family).length, 2)
    const [client, server] = DHCP[family]
    pass(t, [out(family, udp(client, server), { destination: GROUPS[family] }), into(family, udp(server, client), { destination: GROUPS[family] })])
  })

  kernelTest(`IPv${family}: the node’s errors about others’ packets leave their flows alone`, (t) => {
    setPolicy(node.map, [...CLOSED, ...OPEN])
    setHost(node.map)
    const fromWorld = { hook: 'from_world', at: 'uplink', packet: packet(family, 'world', 'a', udp(5, 53)) } as const
    runStep(t, node, { ...fromWorld, expect: 'redirect', events: ['flow'] })
    const before = flowsOf(node.map, family).map(({ state }) => state.destinationIfindex)
    const payload = buildIpPacket(packet(family, 'world', 'a', udp(5, 53)))
    runStep(t, node, { ...out(family, icmp(family === 4 ? 11 : 3), { payload }), expect: 'pass', events: [] })
    t.deepEqual(flowsOf(node.map, family).map(({ state }) => state.destinationIfindex), before)
    runStep(t, node, { ...fromWorld, expect: 'redirect', events: [] })
  })

  kernelTest(`IPv${family}: nobody outside speaks for the node or a workload of it`, (t) => {
    setPolicy(node.map, [allow('host', 'ingress'), allow('host', 'egress'), ...OPEN])
    setHost(node.map)
    runSteps(t, node, [
      { ...into(family, syn, { source: addressOf('host', family) }), expect: 'spoofed-address' },
      { ...into(family, syn, { source: addressOf('a', family) }), expect: 'spoofed-address' },
      { ...workloadToHost(family, syn), expect: 'pass' },
      { ...into(family, syn, { source: addressOf('a', family) }), expect: 'spoofed-address' },
      { hook: 'from_world', at: 'uplink', packet: packet(family, 'host', 'a', answer), expect: 'spoofed-address' },
    ])
  })
}

kernelTest('IPv6: what the node sends from a link-local address is no matter of policy', (t) => {
  setPolicy(node.map, CLOSED)
  setHost(node.map)
  setAddress(node.map, 'fe80::254', { class: 'host', flags: PeerFlags.HOST })
  for (const destination of [GROUPS[6], 'fe80::1']) runStep(t, node, { ...out(6, udp(5, 54), { source: 'fe80::254', destination }), expect: 'pass', events: [] })
})

kernelTest('what only the stack can read does not pass a closed node', (t) => {
  const hidden = { ...into(6, syn, { extensions: 7 }), expect: 'malformed' } as const
  setPolicy(node.map, CLOSED)
  pass(t, [hidden])
  setHost(node.map, { audit: true })
  pass(t, [hidden])
  setHost(node.map)
  runStep(t, node, hidden)
})
