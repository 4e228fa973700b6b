import test from 'ava'
import fc from 'fast-check'
import { Engine, EngineError } from './index.ts'

const engine = await Engine.load({ capacities: { identities: 16, labels: 64, selectors: 16, rules: 16, addresses: 16, endpoints: 4, classes: 16, policyEntries: 64, policyRows: 64 } })

const backends = fc.uniqueArray(fc.record({ hash: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), weight: fc.integer({ min: 0, max: 20 }) }), {
  selector: ({ hash }) => hash, minLength: 1, maxLength: 30,
}).filter((all) => all.some(({ weight }) => weight > 0))

/** Slots that each backend should have, as fractions. */
function sharesOf(all: readonly { weight: number }[], slots: number): number[] {
  const total = all.reduce((sum, { weight }) => sum + weight, 0)
  return all.map(({ weight }) => (slots * weight) / total)
}

function countsOf(table: Uint32Array, backendCount: number): number[] {
  const counts = new Array<number>(backendCount).fill(0)
  for (const index of table) counts[index] = (counts[index] ?? 0) + 1
  return counts
}

test('every slot is filled, and shares follow the weights to within one turn each', (t) => {
  fc.assert(fc.property(backends, fc.constantFrom(251, 1021, 4093), (all, slots) => {
    const counts = countsOf(engine.maglev(all, slots), all.length)
    const heaviest = Math.max(...all.map(({ weight }) => weight))
    sharesOf(all, slots).forEach((share, index) => {
      const count = counts[index] ?? 0
      // A backend is at most one turn ahead or behind, and a round gives the heaviest one slot.
      if (Math.abs(count - share) > 1 + share / heaviest) throw new Error(`${count} slots for a share of ${share}`)
      if (all[index]?.weight === 0 && count > 0) throw new Error('a backend of weight 0 got slots')
    })
  }))
  t.pass()
})

test('the order in which backends are given does not matter', (t) => {
  fc.assert(fc.property(backends, fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (all, random) => {
    const keyed = all.map((backend) => ({ backend, key: random.next().value }))
    const shuffled = keyed.sort((a, b) => a.key - b.key).map(({ backend }) => backend)
    const hashes = (list: typeof all) => [...engine.maglev(list, 1021)].map((index) => list[index]?.hash)
    return hashes(all).every((hash, slot) => hash === hashes(shuffled)[slot])
  }), { numRuns: 30 })
  t.pass()
})

test('one backend fewer moves its own slots and few others', (t) => {
  const all = Array.from({ length: 50 }, (_, i) => ({ hash: `10.0.0.${i}:80`, weight: 1 }))
  const before = engine.maglev(all, 65_537)
  const after = engine.maglev(all.slice(0, -1), 65_537)
  const moved = before.filter((index, slot) => index !== 49 && index !== after[slot]).length
  // NSDI'16, figure 12, has about 1% of disruption at 100 slots a backend; here are 1300.
  t.true(moved < 65_537 * 0.02, `${moved} slots of other backends moved`)
})

test('a table with no backend, no prime or too many slots is refused', (t) => {
  t.throws(() => engine.maglev([], 251), { instanceOf: EngineError, code: 'INVALID' })
  t.throws(() => engine.maglev([{ hash: 1n, weight: 0 }], 251), { instanceOf: EngineError, code: 'INVALID' })
  t.throws(() => engine.maglev([{ hash: 1n, weight: 1 }], 250), { instanceOf: EngineError, message: /primes up to 131071/ })
  t.throws(() => engine.maglev([{ hash: 1n, weight: -1 }], 251), { instanceOf: EngineError, message: /weight -1/ })
})

test('smooth weighted round robin spreads picks', (t) => {
  t.deepEqual([...engine.weightedRoundRobin([5, 1, 1], 7)], [0, 0, 1, 0, 2, 0, 0])
  t.throws(() => engine.weightedRoundRobin([0, 0], 1), { instanceOf: EngineError, code: 'INVALID' })
})

test('weighted round robin gives exact shares in every period', (t) => {
  fc.assert(fc.property(fc.array(fc.nat(9), { minLength: 1, maxLength: 8 }).filter((w) => w.some((x) => x > 0)), (weights) => {
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    const picks = engine.weightedRoundRobin(weights, total * 2)
    return countsOf(picks, weights.length).every((count, index) => count === 2 * (weights[index] ?? 0))
  }))
  t.pass()
})
