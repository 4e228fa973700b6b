// Shares, and what moves, against tables that are asked hash by hash.
import test from 'ava'
import fc from 'fast-check'
import { Engine } from '../engine/index.ts'
import { compile, parseDocuments, type Cluster } from '../manifests/index.ts'
import { compareBalancing, type BalancingChange } from './balancing.ts'

interface Backend {
  readonly number: number
  readonly weight: number
  readonly state: 'active' | 'draining' | 'down'
}

function balancer(backends: readonly Backend[], tableSize = 251): Cluster {
  const items = backends.map(({ number, weight, state }) => ({ name: `b${number}`, addresses: [`10.0.0.${number}`], weight, state }))
  const spec = { addresses: ['10.9.0.1'], ports: [{ port: 80 }], tableSize, backends: items }
  const { documents, errors } = parseDocuments(JSON.stringify({ apiVersion: 'sluice.io/v1', kind: 'LoadBalancer', metadata: { name: 'edge' }, spec }), 'lb.json')
  if (errors[0]) throw errors[0]
  return compile(documents)
}

const active = (...numbers: number[]): Backend[] => numbers.map((number) => ({ number, weight: 1, state: 'active' }))

async function change(before: Cluster, after: Cluster): Promise<BalancingChange> {
  const [only] = await compareBalancing(before, after)
  if (only === undefined) throw new Error('no frontend')
  return only
}

test('nothing changes where nothing changes, in whatever order the backends stand', async (t) => {
  t.like(await change(balancer(active(1, 2, 3)), balancer(active(3, 1, 2))), { moved: 0, kept: 0, lost: 0, oldSlots: 251, newSlots: 251 })
})

test('what a removed backend had is lost, a drained one keeps it', async (t) => {
  const before = balancer(active(1, 2, 3, 4))
  const removed = await change(before, balancer(active(1, 2, 3)))
  const had = removed.backends.find(({ name }) => name === 'b4')
  t.is(had?.new, undefined)
  t.is(removed.lost.toFixed(6), (had?.old?.share ?? 0).toFixed(6))
  t.true(removed.moved >= removed.lost)
  const drained = await change(before, balancer([...active(1, 2, 3), { number: 4, weight: 1, state: 'draining' }]))
  t.is(drained.lost, 0)
  t.is(drained.moved, removed.moved)
  t.is(drained.kept, drained.moved)
  t.is((await change(before, balancer([...active(1, 2, 3), { number: 4, weight: 1, state: 'down' }]))).lost, removed.lost)
})

test('a frontend of one version alone, and one that nobody takes connections of', async (t) => {
  const one = balancer(active(1))
  const nobody = await change(one, balancer([{ number: 1, weight: 1, state: 'draining' }]))
  t.like(nobody, { moved: 1, kept: 1, lost: 0, newSlots: 0 })
  t.like(await change(one, compile([])), { moved: 1, lost: 1 })
  t.like(await change(compile([]), one), { moved: 0, lost: 0 })
})

test('shares of the hash are those of single hashes, over tables of other sizes too', async (t) => {
  const engine = await Engine.load()
  const backend = fc.record({ number: fc.integer({ min: 1, max: 6 }), weight: fc.integer({ min: 1, max: 5 }), state: fc.constant('active' as const) })
  const version = fc.record({ backends: fc.uniqueArray(backend, { minLength: 1, maxLength: 6, selector: ({ number }) => number }), size: fc.constantFrom(251, 509, 1021) })
  const ownerAt = ({ backends, size }: { backends: readonly Backend[]; size: number }) => {
    const table = engine.maglev(backends.map(({ number, weight }) => ({ hash: `10.0.0.${number} 80/TCP`, weight })), size)
    return (hash: number) => backends[table[Math.floor(hash * size)] ?? 0]?.number
  }
  await fc.assert(
    fc.asyncProperty(version, version, async (before, after) => {
      const { moved, lost } = await change(balancer(before.backends, before.size), balancer(after.backends, after.size))
      const [old, next] = [ownerAt(before), ownerAt(after)]
      const numbers = new Set(after.backends.map(({ number }) => number))
      const hashes = Array.from({ length: 20_000 }, (_, index) => (index + 0.5) / 20_000)
      const share = (chosen: (hash: number) => boolean): number => hashes.filter(chosen).length / hashes.length
      t.true(Math.abs(moved - share((hash) => old(hash) !== next(hash))) < 0.02)
      t.true(Math.abs(lost - share((hash) => !numbers.has(old(hash) ?? 0))) < 0.02)
    }),
    { numRuns: 40 },
  )
})
