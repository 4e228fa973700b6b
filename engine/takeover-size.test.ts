// Takeovers as large as the maps allow: until endpoints flip, the old world's rows and the new one's stand side by side.

import test from 'ava'
import { addressOf, type Change, DEFAULT_CAPACITIES, Engine, type EngineMap, type PinnedMaps, type Policy } from './index.ts'

const CLASSES = 8000
const RULES = 16
const RULES_OF_A_CLASS = 8 // and as many rows
const ROWS_OF_A_SUBJECT = CLASSES * RULES_OF_A_CLASS
const MOST_SUBJECTS = Math.floor(DEFAULT_CAPACITIES.policyRows / 2 / ROWS_OF_A_SUBJECT)
const PEER = 1000
const SUBJECT = 100_000
const mac = new Uint8Array(6)

/** Of the numbers with as many bits as there are rules, those with RULES_OF_A_CLASS bits set: each a class of its own. */
function* ruleSets(): Iterable<number[]> {
  for (let bits = 0; bits < 1 << RULES; bits++) {
    const set = Array.from({ length: RULES }, (_, rule) => rule).filter((rule) => (bits >> rule & 1) === 1)
    if (set.length === RULES_OF_A_CLASS) yield set
  }
}
const PEERS = [...ruleSets()].slice(0, CLASSES).map((set) => set.map((rule) => `k8s:bit-${rule}=`))

/** Every rule has a port of its own, and a number that no other subject's rules have: no rows are shared. */
function policyOf(subject: number): Policy {
  return {
    subject: { requirements: [{ key: 'k8s:subject', operator: 'In', values: [`${subject}`] }] }, tier: 'normal', priority: 0, isolates: { ingress: 1 },
    rules: Array.from({ length: RULES }, (_, rule) => ({
      number: 2 + subject * RULES + rule, direction: 'ingress', action: 'allow', ports: [{ protocol: 6, first: 1000 + 2 * rule, last: 1000 + 2 * rule }],
      peers: [{ selector: { requirements: [{ key: `k8s:bit-${rule}`, operator: 'Exists', values: [] }] } }],
    })),
    audit: false,
  }
}

/** The last input is a policy. */
function list(engine: Engine, subjects: number): void {
  for (const [i, labels] of PEERS.entries()) {
    engine.setIdentity(PEER + i, labels)
    engine.setAddress({ address: addressOf(`10.0.${i >> 8}.${i & 255}`), prefixLength: 128, identity: PEER + i, flags: 0, ifindex: 0, namedPorts: [] })
  }
  for (let subject = 0; subject < subjects; subject++) {
    engine.setIdentity(SUBJECT + subject, [`k8s:subject=${subject}`])
    engine.setEndpoint({ ifindex: subject + 1, id: subject + 1, identity: SUBJECT + subject, flags: 0, mac, nodeMac: mac, namedPorts: [] })
    engine.setPolicy(`policy-${subject}`, [policyOf(subject)])
  }
}

/** In a buffer of their own, as 32-bit numbers want it. */
const joined = (parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))

function written(changes: readonly Change[], map: EngineMap) {
  const runs = changes.filter((run) => run.map === map && run.operation === 'update')
  return { keys: joined(runs.map(({ keys }) => keys)), values: joined(runs.map(({ values }) => values)) }
}

/** What an agent finds that starts over the maps of one which ran with so many subjects. */
async function pinnedMaps(subjects: number): Promise<PinnedMaps> {
  const engine = await Engine.load()
  engine.transaction(() => list(engine, subjects))
  const changes = engine.takeChanges()
  return {
    endpoints: written(changes, 'endpoints'), addresses: written(changes, 'addresses'), prefixes: written(changes, 'prefixes'),
    policy: written(changes, 'policy'), classGenerations: new Uint32Array(CLASSES + 2), lastSubject: subjects,
  }
}

/** First row and count of every span that the pinned maps lead to. */
function rowsOf({ policy: { values } }: PinnedMaps): Set<number> {
  const spans = new Uint32Array(values.buffer)
  const rows = new Set<number>()
  for (let at = 0; at < spans.length; at += 2) for (let row = 0; row < (spans[at + 1] ?? 0); row++) rows.add((spans[at] ?? 0) + row)
  return rows
}

function rowsWritten(changes: readonly Change[]): Uint32Array {
  return new Uint32Array(written(changes, 'policy_rows').keys.buffer)
}

test('a takeover of half of all rows, about as many as fit beside the new ones', async (t) => {
  const pinned = await pinnedMaps(MOST_SUBJECTS)
  const engine = await Engine.load()
  engine.restore(pinned)
  list(engine, MOST_SUBJECTS)
  engine.finishRestore()
  const changes = engine.takeChanges()
  const fresh = rowsWritten(changes)
  const old = rowsOf(pinned)
  t.true(fresh.length >= MOST_SUBJECTS * ROWS_OF_A_SUBJECT)
  t.false(fresh.some((row) => old.has(row)), 'a row of the old world is written before endpoints have left it')
  t.is(written(changes, 'endpoints').keys.length / 4, MOST_SUBJECTS)
})

test('a takeover that does not fit is refused: nothing is written, and what was listed is there for the next attempt', async (t) => {
  const subjects = MOST_SUBJECTS + 1
  const engine = await Engine.load()
  engine.restore(await pinnedMaps(subjects))
  list(engine, subjects)
  const error = t.throws(() => engine.finishRestore(), { code: 'CAPACITY', message: /^the first listing with policies policy-0, .*: no room for more policy rows than the \d+ in use$/ })
  t.is((error as { capacity?: string }).capacity, 'policyRows')
  t.deepEqual(engine.takeChanges(), [])
  for (let subject = 0; subject < 3; subject++) engine.removePolicy(`policy-${subject}`)
  engine.finishRestore()
  t.true(rowsWritten(engine.takeChanges()).length >= (subjects - 3) * ROWS_OF_A_SUBJECT)
})
