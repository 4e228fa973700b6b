// What the engine may hold, given the sizes of the maps that it writes to; and what it refuses, in the operator's options.
import type { MapName } from '../../bpf/index.ts'
import { type Capacities, DEFAULT_CAPACITIES, EngineError } from '../../engine/index.ts'
import { AgentError } from '../errors.ts'

export type MaxEntries = (name: MapName) => number

/** The other capacities are the engine's own. */
const MAPS = {
  // An entry of the engine stands in either map, and may move: all of them must fit both.
  addresses: ['addresses', 'prefixes'],
  // An endpoint's ifindex may be any.
  endpoints: ['endpoints_beyond'],
  classes: ['class_generations'],
  policyEntries: ['policy'],
  policyRows: ['policy_rows'],
} as const satisfies Partial<Record<keyof Capacities, readonly MapName[]>>

type OfMaps = keyof typeof MAPS

/** What the engine refuses then is what a map could not hold: nothing is half written. */
export function capacitiesOf(maxEntries: MaxEntries): Partial<Capacities> {
  const room = (capacity: OfMaps): number => roomOf(MAPS[capacity], maxEntries)
  const all = Object.fromEntries((Object.keys(MAPS) as OfMaps[]).map((capacity) => [capacity, room(capacity)]))
  return { ...all, classes: room('classes') - 1 } // Class 0 is everybody.
}

const roomOf = (maps: readonly MapName[], maxEntries: MaxEntries): number => Math.min(...maps.map(maxEntries))

/** A lack of room with what an operator can raise; any other error is itself. */
export function inOptions(error: unknown, maxEntries: MaxEntries): unknown {
  if (!(error instanceof EngineError) || error.capacity === undefined) return error
  return new AgentError('CAPACITY', `${error.message}; ${remedy(error.capacity, maxEntries)}`, { cause: error })
}

function remedy(capacity: keyof Capacities, maxEntries: MaxEntries): string {
  if (!Object.hasOwn(MAPS, capacity)) return `there is room for ${DEFAULT_CAPACITIES[capacity]} ${capacity}, which no option raises`
  const maps = MAPS[capacity as OfMaps]
  const room = roomOf(maps, maxEntries)
  const options = maps.filter((name) => maxEntries(name) === room).map((name) => `--map-size ${name}=N`)
  return `start sluiced with ${options.join(' ')}, N above ${room}`
}
