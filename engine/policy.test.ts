// Whatever the history of inputs: the engine, the maps that its journal fills, and the naive model give the same
// verdicts; no state between two runs of a transaction shows anything but the old or the new verdict; a flow that
// checks subject and generation alone is never wrong; and nothing is left when everything has been removed.

import test from 'ava'
import fc from 'fast-check'
import { addressOf, prefixOf, type Peer, type Policy, type Selector } from './index.ts'
import { history, type Step, steps } from './testing/arbitrary.ts'
import { Node, smallEngine } from './testing/checks.ts'

const RUNS = Number(process.env['SLUICE_PROPERTY_RUNS'] ?? 300)

async function follow(transactions: readonly (readonly Step[])[]): Promise<void> {
  const node = new Node(await smallEngine())
  for (const inputs of transactions) node.transact(inputs)
  node.checkNothingLeaks()
}

test('engine, maps and model agree, transactions are atomic, established flows are right', async (t) => {
  t.timeout(900_000)
  await fc.assert(fc.asyncProperty(history, follow), { numRuns: RUNS, includeErrorInReport: true })
  t.pass()
})

// ---- what random histories meet too rarely ------------------------------------------------------------------------

const having = (key: string, value: string): Selector => ({ requirements: [{ key, operator: 'In', values: [value] }] })

function allowing(subject: string, peer: string, number: number): Policy {
  const rule = { number, direction: 'ingress', action: 'allow', peers: [{ selector: having('k8s:env', peer) }], ports: 'all' } as const
  return { subject: having('k8s:app', subject), tier: 'normal', priority: 0, isolates: { ingress: number + 1 }, rules: [rule], audit: false }
}

/** A node of one peer, fd00::1, and endpoints 11 to 13, whose labels the test moves. */
async function smallNode(): Promise<Node> {
  const node = new Node(await smallEngine())
  const mac = new Uint8Array(6)
  node.transact([
    steps.policy('a', [allowing('web', 'prod', 1001)]),
    steps.policy('b', [allowing('db', 'test', 2001)]),
    steps.identity(256, ['k8s:app=web']), steps.identity(257, ['k8s:app=web']), steps.identity(258, ['k8s:app=db']),
    steps.identity(259, ['k8s:env=prod']),
    ...[11, 12, 13].map((ifindex) => steps.endpoint({ ifindex, id: ifindex, identity: ifindex + 245, flags: 0, mac, nodeMac: mac, namedPorts: [] })),
    steps.address({ address: addressOf('fd00::1'), prefixLength: 128, identity: 259, flags: 0, ifindex: 0, namedPorts: [] }),
  ])
  return node
}

test('an endpoint and its peer relabelled at once: no packet sees one without the other', async (t) => {
  const node = await smallNode()
  // 11 leaves a subject that 12 keeps, for one that 13 has already, while the peer changes its class.
  node.transact([steps.identity(256, ['k8s:app=db']), steps.identity(259, ['k8s:env=test'])])
  t.is(node.maps.decide(11, 'ingress', addressOf('fd00::1'), 6, 80)?.decision, 'allowed')
})

test('nested prefixes that come and go at once', async (t) => {
  const node = await smallNode()
  const range = (text: string, identity: number) => {
    const { address, length } = prefixOf(text)
    return steps.address({ address, prefixLength: length, identity, flags: 0, ifindex: 0, namedPorts: [] })
  }
  // fd00::2 is denied before, between and after; only the wider prefix, were it alone, would allow it.
  node.transact([range('fd00::/16', 259), range('fd00::/64', 258)])
  node.transact([steps.removeAddress(prefixOf('fd00::/64')), steps.removeAddress(prefixOf('fd00::/16'))])
  t.is(node.maps.decide(11, 'ingress', addressOf('fd00::2'), 6, 80)?.decision, 'denied')
})

test('policy that allows one and denies the other, swapped: only the subjects selected are written', async (t) => {
  const node = await smallNode()
  const before = node.maps.subject(13)
  node.transact([steps.policy('a', [allowing('web', 'test', 1001)])])
  t.is(node.maps.subject(13), before)
  t.is(node.maps.decide(11, 'ingress', addressOf('fd00::1'), 6, 80)?.decision, 'denied')
})

test('one prefix wanted with labels and without: who wants it later is seen by what has been there', async (t) => {
  const node = await smallNode()
  const cidr = { prefix: 'fd00::/16', except: [], workloads: true }
  const by = (subject: string, peer: Peer, number: number): Policy => {
    const rule = { number, direction: 'ingress', action: 'allow', peers: [peer], ports: 'all' } as const
    return { subject: having('k8s:app', subject), tier: 'normal', priority: 0, isolates: { ingress: number + 1 }, rules: [rule], audit: false }
  }
  const decision = (ifindex: number) => node.maps.decide(ifindex, 'ingress', addressOf('fd00::2'), 6, 80)?.decision
  node.transact([steps.policy('a', [by('web', { cidr, selector: { requirements: [] } }, 1001)]), steps.policy('b', [])])
  node.transact([steps.policy('b', [by('db', { cidr }, 2001)])])
  t.deepEqual([decision(11), decision(13)], ['allowed', 'allowed'])
  node.transact([steps.removePolicy('b')])
  node.transact([steps.policy('c', [by('db', { selector: having('k8s:env', 'prod') }, 3001)])])
  t.deepEqual([decision(11), decision(13)], ['allowed', 'denied'])
})
