import test from 'ava'
import type { Change } from '../../engine/index.ts'
import { MemoryMap } from '../testing/memory-map.ts'
import type { InputChange } from './inputs.ts'
import { ENGINE_MAPS, PolicyMaps, readAll } from './policy.ts'
import type { EngineMaps, EnginePort, PinnedState } from './ports.ts'

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values)
}

function run(map: Change['map'], operation: Change['operation'], keys: number[], values: number[] = []): Change {
  return { map, operation, count: keys.length, keys: bytes(...keys), values: bytes(...values) }
}

/** Answers with prepared changes, in memory that it overwrites at the next call, as Wasm's would be. */
class ScriptedEngine implements EnginePort {
  readonly calls: string[] = []
  readonly script: Change[][] = []
  restored: PinnedState | undefined
  #memory: Uint8Array[] = []

  takeChanges(): readonly Change[] {
    for (const view of this.#memory) view.fill(0xee)
    const changes = this.script.shift() ?? []
    this.#memory = changes.flatMap(({ keys, values }) => [keys, values])
    return changes
  }

  transaction(body: () => void): void {
    this.calls.push('begin')
    body()
    this.calls.push('commit')
  }

  restore(pinned: PinnedState): void {
    this.restored = pinned
  }

  finishRestore = (): void => void this.calls.push('finishRestore')
  setIdentity = (number: number): void => void this.calls.push(`setIdentity ${number}`)
  removeIdentity = (number: number): void => void this.calls.push(`removeIdentity ${number}`)
  setAddress = (): void => void this.calls.push('setAddress')
  removeAddress = (): void => void this.calls.push('removeAddress')
  setEndpoint = (): void => void this.calls.push('setEndpoint')
  removeEndpoint = (): void => void this.calls.push('removeEndpoint')
  setPolicy = (key: string): void => void this.calls.push(`setPolicy ${key}`)
  removePolicy = (key: string): void => void this.calls.push(`removePolicy ${key}`)
  explain = (): never => {
    throw new Error('not asked here')
  }
  stats = (): never => {
    throw new Error('not asked here')
  }
}

/** One byte for keys and values is enough here, but arrays are read as numbers. */
function emptyMap(name: keyof EngineMaps): [string, MemoryMap] {
  const size = name === 'class_generations' || name === 'last_subject' ? 4 : 1
  return [name, new MemoryMap(name, size, size, 8)]
}

function setUp() {
  const engine = new ScriptedEngine()
  const maps = Object.fromEntries(ENGINE_MAPS.map(emptyMap)) as Record<keyof EngineMaps, MemoryMap>
  return { engine, maps, policy: new PolicyMaps(engine, maps) }
}

const noChanges: InputChange[] = []

test('runs are written in their order, updates and deletes', (t) => {
  const { engine, maps, policy } = setUp()
  engine.script.push([run('policy', 'update', [1, 2], [10, 20]), run('endpoints', 'update', [7], [1]), run('policy', 'delete', [1])])
  t.deepEqual(policy.apply(noChanges), { accepted: true, written: 4, pendingRuns: 0 })
  t.deepEqual([...readAll(maps.policy).keys], [2])
  t.deepEqual([...readAll(maps.endpoints).keys], [7])
})

test('a refused run and all later ones are kept as they were, and written before anything new', (t) => {
  const { engine, maps, policy } = setUp()
  engine.script.push([run('policy', 'update', [1], [10]), run('addresses', 'update', [5], [50]), run('endpoints', 'update', [7], [1])])
  engine.script.push([run('endpoints', 'delete', [7])])
  maps.addresses.failure = Object.assign(new Error('no memory'), { code: 'SYSTEM' })
  const report = policy.apply(noChanges)
  t.deepEqual(report, { accepted: true, written: 1, pendingRuns: 2, error: { code: 'SYSTEM', message: 'no memory' } })
  t.is(maps.endpoints.contents.size, 0, 'later runs build on earlier ones')

  const again = policy.apply(noChanges)
  t.truthy(again.error, 'still refused: the engine is not asked for more')
  t.false(again.accepted, 'and the caller is told so, lest it forget these changes')
  t.is(engine.script.length, 1)

  maps.addresses.failure = undefined
  t.deepEqual(policy.flush(), { written: 2, pendingRuns: 0 })
  t.deepEqual([...readAll(maps.addresses).values], [50], "the engine's memory was overwritten meanwhile")
  policy.apply(noChanges)
  t.is(maps.endpoints.contents.size, 0)
})

test('all inputs of a call are one transaction, and pruning comes only when asked for', (t) => {
  const { engine, policy } = setUp()
  policy.apply([
    { operation: 'set', input: { input: 'identity', number: 300, labels: ['k8s:app=web'] } },
    { operation: 'set', input: { input: 'policy', key: 'p', policies: [] } },
  ])
  t.deepEqual(engine.calls, ['begin', 'setIdentity 300', 'setPolicy p', 'commit'])
  policy.apply([{ operation: 'remove', input: { input: 'policy', key: 'p' } }], { finishRestore: true })
  t.deepEqual(engine.calls.slice(4), ['begin', 'removePolicy p', 'commit', 'finishRestore'])
})

test('the pinned maps are handed over whole', (t) => {
  const { engine, maps, policy } = setUp()
  for (let key = 0; key < 7; key++) maps.endpoints.update(bytes(key), bytes(key + 1))
  maps.class_generations.update(bytes(2, 0, 0, 0), bytes(9, 0, 0, 0))
  maps.last_subject.update(bytes(0, 0, 0, 0), bytes(5, 0, 0, 0))
  t.is(policy.restore(), 7)
  t.deepEqual([...(engine.restored?.endpoints.keys ?? [])], [0, 1, 2, 3, 4, 5, 6])
  t.deepEqual([...(engine.restored?.endpoints.values ?? [])], [1, 2, 3, 4, 5, 6, 7])
  t.is(engine.restored?.policy.count, 0)
  t.deepEqual([...(engine.restored?.classGenerations ?? [])], [0, 0, 9, 0, 0, 0, 0, 0])
  t.is(engine.restored?.lastSubject, 5)
})
