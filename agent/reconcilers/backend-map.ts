// The array of backends, by number: who they are, and whether they take new flows. What the datapath was told outlives
// the agent, the end of a drain included.
import { type BackendRecord, backendRecord, BackendState } from '../../bpf/index.ts'
import { ticksAfter, ticksUntil } from './hand-over.ts'
import type { MapPort } from './ports.ts'

export interface BackendSpec {
  /** Index of the array `backends`, from the store. */
  readonly number: number
  /** Mapped form. */
  readonly address: Uint8Array
  readonly port: number
  readonly weight: number
  /** What Maglev hashes: the same backend has the same places on every balancer. */
  readonly hash: string
  /** `draining`: keeps its flows and gets no new ones. */
  readonly state: 'active' | 'draining' | 'down'
  /** From the moment that it drains; absent: until its last flow has ended. */
  readonly drainSeconds?: number
}

/** Where services disagree about a backend that they share, the most alive state holds. */
const STATES = { active: BackendState.ACTIVE, draining: BackendState.DRAINING, down: BackendState.DOWN } as const

export class BackendMap {
  readonly #map: MapPort
  readonly #records = new Map<number, BackendRecord>()

  constructor(map: MapPort) {
    this.#map = map
    for (const { count, keys, values } of map.entries()) {
      const numbers = new DataView(keys.buffer, keys.byteOffset)
      for (let index = 0; index < count; index++) {
        const record = backendRecord.decode(values, index * map.valueSize)
        if (record.address.some((byte) => byte !== 0)) this.#records.set(numbers.getUint32(index * 4, true), record)
      }
    }
  }

  isDown(number: number): boolean {
    return (this.#records.get(number)?.state ?? BackendState.DOWN) === BackendState.DOWN
  }

  /** Before any slot names them. Those that go down do so in `retire`, once no slot does. */
  write(wanted: ReadonlyMap<number, BackendSpec & { readonly protocol: number }>, nowTicks: number): void {
    for (const [number, spec] of wanted) {
      const known = this.#records.get(number)
      const record = recordOf(spec, known, nowTicks)
      if (record.state === BackendState.DOWN && known !== undefined) continue
      if (known === undefined || !isSame(known, record)) this.#update(number, record)
    }
  }

  /** Those that nobody wants, or that are down: their flows go to whoever owns their slots now. */
  retire(wanted: ReadonlyMap<number, BackendSpec>): void {
    for (const [number, record] of this.#records) {
      const state = wanted.get(number)?.state ?? 'down'
      if (state === 'down' && record.state !== BackendState.DOWN) this.#update(number, { ...record, state: BackendState.DOWN, drained: 0 })
    }
  }

  /** Ends the drains whose time is over. */
  endDrains(nowTicks: number): void {
    for (const [number, record] of this.#records) {
      if (record.state === BackendState.DRAINING && isOver(record, nowTicks)) this.#update(number, { ...record, state: BackendState.DOWN })
    }
  }

  #update(number: number, record: BackendRecord): void {
    this.#map.update(new Uint8Array(Uint32Array.of(number).buffer), backendRecord.encode(record))
    this.#records.set(number, record)
  }
}

/** By number; of several frontends' the most alive. */
export function mostAlive<T extends { readonly protocol: number; readonly backends: readonly BackendSpec[] }>(
  frontends: readonly T[],
): Map<number, BackendSpec & { readonly protocol: number }> {
  const wanted = new Map<number, BackendSpec & { readonly protocol: number }>()
  for (const { protocol, backends } of frontends) {
    for (const spec of backends) {
      const known = wanted.get(spec.number)
      if (known === undefined || STATES[spec.state] < STATES[known.state]) wanted.set(spec.number, { ...spec, protocol })
    }
  }
  return wanted
}

/** A drain that goes on ends when it was to end, and one that ended stays so. */
function recordOf(spec: BackendSpec & { readonly protocol: number }, known: BackendRecord | undefined, nowTicks: number): BackendRecord {
  const { address, port, protocol, drainSeconds } = spec
  const state = STATES[spec.state]
  const base = { address, port, protocol, state, drained: 0 }
  if (state !== BackendState.DRAINING) return base
  if (known !== undefined && (known.state === BackendState.DRAINING || isOver(known, nowTicks))) return { ...base, state: known.state, drained: known.drained }
  return { ...base, drained: drainSeconds === undefined ? 0 : ticksAfter(nowTicks, drainSeconds) || 1 }
}

function isOver({ drained }: BackendRecord, nowTicks: number): boolean {
  return drained !== 0 && ticksUntil(drained, nowTicks) <= 0
}

function isSame(a: BackendRecord, b: BackendRecord): boolean {
  const sameAddress = a.address.every((byte, index) => byte === b.address[index])
  return sameAddress && a.port === b.port && a.protocol === b.protocol && a.state === b.state && a.drained === b.drained
}
