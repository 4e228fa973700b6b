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

/** What a frontend says of its backends. */
export interface BackendUser {
  readonly protocol: number
  readonly backends: readonly BackendSpec[]
}

interface Use {
  readonly user: BackendUser
  readonly spec: BackendSpec
}

/** Where users disagree about a backend that they share, the most alive state holds. */
const STATES = { active: BackendState.ACTIVE, draining: BackendState.DRAINING, down: BackendState.DOWN } as const

export class BackendMap {
  readonly #map: MapPort
  readonly #records = new Map<number, BackendRecord>()
  readonly #users = new Map<string, BackendUser>()
  readonly #uses = new Map<number, readonly Use[]>()
  /** Numbers whose record may not be what their users want; at first all that an earlier agent left. */
  readonly #touched: Set<number>

  constructor(map: MapPort) {
    this.#map = map
    for (const { count, keys, values } of map.entries()) {
      const numbers = new DataView(keys.buffer, keys.byteOffset)
      for (let index = 0; index < count; index++) {
        const at = index * map.valueSize
        if (isZero(values, at)) continue
        this.#records.set(numbers.getUint32(index * 4, true), backendRecord.decode(values, at))
      }
    }
    this.#touched = new Set(this.#records.keys())
  }

  isDown(number: number): boolean {
    return (this.#records.get(number)?.state ?? BackendState.DOWN) === BackendState.DOWN
  }

  /** What the user of this name wants from now on; undefined: it is gone. Nothing is written yet. */
  setUser(name: string, user: BackendUser | undefined): void {
    const before = this.#users.get(name)
    if (before === user) return
    for (const { number } of before?.backends ?? []) {
      this.#uses.set(number, (this.#uses.get(number) ?? []).filter((use) => use.user !== before))
      this.#touched.add(number)
    }
    for (const spec of user?.backends ?? []) {
      this.#uses.set(spec.number, [...(this.#uses.get(spec.number) ?? []), { user: user as BackendUser, spec }])
      this.#touched.add(spec.number)
    }
    if (user === undefined) this.#users.delete(name)
    else this.#users.set(name, user)
  }

  /** Before any slot names them. Those that go down do so in `retire`, once no slot does. */
  write(nowTicks: number): void {
    for (const number of this.#touched) {
      const use = this.#mostAlive(number)
      if (use === undefined) continue
      const known = this.#records.get(number)
      const record = recordOf(use, known, nowTicks)
      if (record.state === BackendState.DOWN && known !== undefined) continue
      if (known === undefined || !isSame(known, record)) this.#update(number, record)
    }
  }

  /** Those that nobody wants, or that are down: their flows go to whoever owns their slots now. */
  retire(): void {
    for (const number of this.#touched) {
      const state = this.#mostAlive(number)?.spec.state ?? 'down'
      const record = this.#records.get(number)
      if (state === 'down' && record !== undefined && record.state !== BackendState.DOWN) this.#update(number, { ...record, state: BackendState.DOWN, drained: 0 })
      this.#touched.delete(number)
    }
  }

  /** Ends the drains whose time is over. */
  endDrains(nowTicks: number): void {
    for (const [number, record] of this.#records) {
      if (record.state === BackendState.DRAINING && isOver(record, nowTicks)) this.#update(number, { ...record, state: BackendState.DOWN })
    }
  }

  #mostAlive(number: number): Use | undefined {
    const [first, ...others] = this.#uses.get(number) ?? []
    return others.reduce((best, use) => (best !== undefined && STATES[best.spec.state] <= STATES[use.spec.state] ? best : use), first)
  }

  #update(number: number, record: BackendRecord): void {
    this.#map.update(new Uint8Array(Uint32Array.of(number).buffer), backendRecord.encode(record))
    this.#records.set(number, record)
  }
}

/** Arrays have all numbers; those that were never given have no address. */
function isZero(values: Uint8Array, at: number): boolean {
  for (let index = at; index < at + 16; index++) if (values[index] !== 0) return false
  return true
}

/** A drain that goes on ends when it was to end, and one that ended stays so. */
function recordOf({ user, spec }: Use, known: BackendRecord | undefined, nowTicks: number): BackendRecord {
  const { address, port, drainSeconds } = spec
  const state = STATES[spec.state]
  const base = { address, port, protocol: user.protocol, state, drained: 0 }
  if (state !== BackendState.DRAINING) return base
  if (known !== undefined && (known.state === BackendState.DRAINING || isOver(known, nowTicks))) return { ...base, state: known.state, drained: known.drained }
  return { ...base, drained: drainSeconds === undefined ? 0 : ticksAfter(nowTicks, drainSeconds) || 1 }
}

function isOver({ drained }: BackendRecord, nowTicks: number): boolean {
  return drained !== 0 && ticksUntil(drained, nowTicks) <= 0
}

function isSame(a: BackendRecord, b: BackendRecord): boolean {
  return sameBytes(a.address, b.address) && a.port === b.port && a.protocol === b.protocol && a.state === b.state && a.drained === b.drained
}

export function isSameBackend(a: BackendSpec, b: BackendSpec): boolean {
  return (
    a.number === b.number && a.port === b.port && a.weight === b.weight && a.hash === b.hash && a.state === b.state &&
    a.drainSeconds === b.drainSeconds && sameBytes(a.address, b.address)
  )
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false
  return true
}
