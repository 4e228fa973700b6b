// The engine's public surface: one class over engine.wasm, the vocabulary, and helpers for addresses.

import { maskAddress } from './address.ts'
import { maglevTable, roundRobinPicks, type MaglevBackend } from './balancing.ts'
import { encodeDocument, encodeIdentity, encodeNamedPorts } from './encode.ts'
import { EngineError } from './errors.ts'
import { InputWriter } from './input.ts'
import { endpointRecord, generationRecords, join, joinAddresses, KEY_BYTES, VALUE_BYTES, type PackedEntries } from './records.ts'
import type {
  AddressEntry, Capacities, Change, ComparedRow, Decision, EndpointEntry, EngineMap, Label, Policy, SideVerdict, Verdict,
} from './types.ts'
import { combine, withPolicies, worldOf } from './values.ts'
import { errorOf, type EngineExports } from './wasm.ts'

export * from './types.ts'
export type { MaglevBackend } from './balancing.ts'
export type { PackedEntries } from './records.ts'
export { EngineError, type EngineErrorCode } from './errors.ts'
export {
  addressOf, covers, familyOf, formatAddress, formatPrefix, maskAddress, parseAddress, parsePrefix, prefixCovers, prefixOf,
  type Family, type Prefix,
} from './address.ts'

export const DEFAULT_CAPACITIES: Capacities = {
  identities: 131_072,
  labels: 262_144,
  selectors: 32_768,
  rules: 65_536,
  addresses: 131_072,
  endpoints: 4096,
  classes: 65_535,
  policyEntries: 262_144,
  policyRows: 1_048_576,
}

/** Labels that the engine knows of by itself; `setIdentity` replaces them. */
export const RESERVED_IDENTITIES: ReadonlyMap<number, readonly Label[]> = new Map([
  [1, ['reserved:host=']],
  [2, ['reserved:world=']],
  [9, ['reserved:world=', 'reserved:world-ipv4=']],
  [10, ['reserved:world=', 'reserved:world-ipv6=']],
])

/** The pinned maps of a running datapath. `classGenerations` is the whole array, by class number; `lastSubject` the one number. */
export interface PinnedMaps {
  readonly endpoints: PackedEntries
  readonly addresses: PackedEntries
  readonly prefixes: PackedEntries
  readonly policy: PackedEntries
  readonly classGenerations: Uint32Array
  readonly lastSubject: number
}

export interface EngineStats {
  readonly classes: number
  readonly subjects: number
  /** Rows of `policy_rows` in use, entries of `policy`. */
  readonly rows: number
  readonly entries: number
  /** Linear memory. */
  readonly bytes: number
}

/** From or to absent: somewhere in the world, by the other end's family. `port` of ICMP: `type << 8 | code`. */
export interface VerdictQuery {
  readonly from?: Uint8Array
  readonly to?: Uint8Array
  readonly protocol: number
  readonly port: number
}

const INPUT_BYTES = 8 << 20
const MAPS: readonly EngineMap[] = ['addresses', 'prefixes', 'class_generations', 'endpoints', 'policy', 'policy_rows', 'last_subject']
const ENTRY_MAP_ADDRESSES = 1
const ENTRY_MAP_PREFIXES = 2
const RESTORE_BATCH = 65_536
/** Words of a side in engine/assembly/verdict.ts: the decision, then two rows. */
const SIDE_HEAD_WORDS = 4
const COMPARED_ROW_WORDS = 5
const DECISIONS: readonly (Decision | undefined)[] = ['denied', 'allowed', 'audited', undefined]
const WASM_PATH = new URL('../build/engine.wasm', import.meta.url)

/**
 * Policy and load balancing as pure computation: inputs change tables, `takeChanges` gives what the BPF maps need
 * for it. Not thread-safe; calls are synchronous. Every input is a transaction of its own unless `transaction` is
 * around it. An EngineError from any call means that nothing has changed.
 */
export class Engine {
  readonly #wasm: EngineExports
  readonly #input: InputWriter
  #bytes: Uint8Array
  #words: Uint32Array
  #state: 'new' | 'restoring' | 'running' | 'transaction' = 'new'
  /** Keys of the policies that the transaction set: what does not fit is mostly theirs. */
  #policiesSet: string[] = []

  private constructor(wasm: EngineExports) {
    this.#wasm = wasm
    this.#input = new InputWriter(wasm.memory, wasm.inputAddress(), wasm.inputCapacity())
    this.#bytes = new Uint8Array(wasm.memory.buffer)
    this.#words = new Uint32Array(wasm.memory.buffer)
  }

  /** Reads build/engine.wasm. Capacities that are not given are DEFAULT_CAPACITIES. */
  static async load(options: { capacities?: Partial<Capacities> } = {}): Promise<Engine> {
    const { readFile } = await import('node:fs/promises') // only here: the rest runs in a browser
    return Engine.instantiate(await readFile(WASM_PATH), options)
  }

  static async instantiate(wasm: Uint8Array | ArrayBuffer | WebAssembly.Module, options: { capacities?: Partial<Capacities> } = {}): Promise<Engine> {
    const module = wasm instanceof WebAssembly.Module ? wasm : await WebAssembly.compile(wasm)
    const instance = await WebAssembly.instantiate(module, { env: { abort } })
    const exports = instance.exports as unknown as EngineExports
    const c = { ...DEFAULT_CAPACITIES, ...options.capacities }
    exports.start()
    exports.configure(
      c.identities, c.labels, c.selectors, c.rules, c.addresses, c.endpoints, c.classes, c.policyEntries, c.policyRows, INPUT_BYTES,
    )
    return new Engine(exports)
  }

  // ---- inputs -------------------------------------------------------------------------------------------------

  /** Gives a number these labels; those it had before are gone (relabel). */
  setIdentity(number: number, labels: readonly Label[]): void {
    if (!Number.isInteger(number) || number < 0 || number >= 1 << 24) throw new EngineError('INVALID', `identity ${number} does not fit 24 bits`)
    encodeIdentity(this.#openInput(), number, labels)
    this.#apply(this.#wasm.applySetIdentity, 'identity', number)
  }

  removeIdentity(number: number): void {
    this.#openInput().word(number)
    this.#apply(this.#wasm.applyRemoveIdentity, 'identity', number)
  }

  setAddress(entry: AddressEntry): void {
    this.#encodePrefix(entry.address, entry.prefixLength).word(entry.identity).word(entry.flags).word(entry.ifindex)
    encodeNamedPorts(this.#input, entry.namedPorts)
    this.#apply(this.#wasm.applySetAddress, 'an address of identity', entry.identity)
  }

  removeAddress(address: Uint8Array, prefixLength: number): void {
    this.#encodePrefix(address, prefixLength)
    this.#apply(this.#wasm.applyRemoveAddress, 'an address of prefix length', prefixLength)
  }

  setEndpoint(entry: EndpointEntry): void {
    this.#openInput().word(entry.ifindex).bytes(endpointRecord(entry))
    encodeNamedPorts(this.#input, entry.namedPorts)
    this.#apply(this.#wasm.applySetEndpoint, 'endpoint', entry.ifindex)
  }

  removeEndpoint(ifindex: number): void {
    this.#openInput().word(ifindex)
    this.#apply(this.#wasm.applyRemoveEndpoint, 'endpoint', ifindex)
  }

  /** Replaces all parts of one document at once. */
  setPolicy(key: string, policies: readonly Policy[]): void {
    encodeDocument(this.#openInput(), key, policies)
    if (this.#state !== 'running') this.#policiesSet.push(key)
    this.#apply(this.#wasm.applySetPolicy, 'policy', key)
  }

  removePolicy(key: string): void {
    this.#openInput().text(key)
    this.#apply(this.#wasm.applyRemovePolicy, 'policy', key)
  }

  /** Several inputs become one atomic change; an exception in `body` undoes all of them and is thrown on. */
  transaction(body: () => void): void {
    if (this.#state === 'restoring') {
      body()
      return
    }
    this.#start()
    if (this.#state === 'transaction') throw new EngineError('STATE', 'a transaction inside a transaction')
    this.#wasm.begin()
    this.#policiesSet = []
    this.#state = 'transaction'
    try {
      body()
    } catch (error) {
      this.#wasm.rollback()
      throw error
    } finally {
      this.#state = 'running'
    }
    this.#commit('a transaction')
  }

  /** Drains the journal, in the order to apply. Keys and values hold until the engine is called again. */
  takeChanges(): readonly Change[] {
    if (this.#state === 'transaction' || this.#state === 'restoring') return []
    this.#start()
    const count = this.#wasm.takeJournal()
    this.#refresh()
    const at = this.#wasm.journalRuns() / 4
    return Array.from({ length: count }, (_, index) => this.#readRun(at + index * 5))
  }

  // ---- takeover -----------------------------------------------------------------------------------------------

  /** Takes over the maps of a running datapath, before any other input; inputs then wait for `finishRestore`. */
  restore(pinned: PinnedMaps): void {
    if (this.#state !== 'new') throw new EngineError('STATE', 'restore comes before any other input')
    this.#check(this.#setReserved(), 'the pinned maps')
    this.#wasm.restoreLastSubject(pinned.lastSubject)
    this.#restoreRecords(generationRecords(pinned.classGenerations), 2, () => this.#wasm.applyRestoreGenerations())
    this.#restoreRecords(join('policy', pinned.policy), 4, () => this.#wasm.applyRestorePolicy())
    this.#restoreRecords(joinAddresses(pinned.addresses), 9, () => this.#wasm.applyRestoreAddresses(ENTRY_MAP_ADDRESSES))
    this.#restoreRecords(join('prefixes', pinned.prefixes), 9, () => this.#wasm.applyRestoreAddresses(ENTRY_MAP_PREFIXES))
    this.#restoreRecords(join('endpoints', pinned.endpoints), 17, () => this.#wasm.applyRestoreEndpoints())
    this.#state = 'restoring'
  }

  /**
   * Every source has listed: one atomic change leads from the old world to the new one and prunes what nobody wants. Until
   * it is made both worlds need room; where there is not enough the old one stays, and finishRestore may be called again.
   */
  finishRestore(): void {
    if (this.#state !== 'restoring') throw new EngineError('STATE', 'finishRestore without restore')
    this.#wasm.begin() // What does not fit is undone, the inputs that were listed stay.
    this.#wasm.finishRestore()
    this.#commit('the first listing')
    this.#state = 'running'
  }

  // ---- questions ----------------------------------------------------------------------------------------------

  /** What the datapath decides for a new flow. Each end that is a local endpoint decides for its own direction. */
  verdict(query: VerdictQuery): Verdict {
    return this.#decide(query, (at) => this.#readSide(at))
  }

  /** The same, with the rows that were compared. */
  explain(query: VerdictQuery): Verdict {
    return this.#decide(query, (at) => {
      const side = this.#readSide(at)
      return side && { ...side, compared: this.#readCompared(at + SIDE_HEAD_WORDS) }
    })
  }

  #decide(query: VerdictQuery, readSide: (at: number) => SideVerdict | undefined): Verdict {
    this.#start()
    this.#refresh()
    const input = this.#wasm.verdictInput()
    this.#bytes.set(query.from ?? worldOf(query.to), input)
    this.#bytes.set(query.to ?? worldOf(query.from), input + 16)
    this.#wasm.decide(query.protocol, query.port)
    const at = this.#wasm.verdictOutput() / 4
    const egress = query.from && readSide(at)
    const ingress = query.to && readSide(at + SIDE_HEAD_WORDS + 2 * COMPARED_ROW_WORDS)
    return { decision: combine(egress, ingress), ...(egress && { egress }), ...(ingress && { ingress }) }
  }

  stats(): EngineStats {
    const wasm = this.#wasm
    return {
      classes: wasm.countClasses(), subjects: wasm.countSubjects(), rows: wasm.rowsUsed(), entries: wasm.countEntries(),
      bytes: wasm.memory.buffer.byteLength,
    }
  }

  // ---- load balancing -----------------------------------------------------------------------------------------

  /**
   * A Maglev table: the index of the backend of each slot. `slots` is a prime up to 131,071. The table follows from
   * hashes and weights alone, not from the order of the backends; weight 0 gets no slot.
   */
  maglev(backends: readonly MaglevBackend[], slots: number): Uint32Array {
    return maglevTable(this.#wasm, backends, slots)
  }

  /** The first `picks` picks of smooth weighted round robin, as indexes of weights. */
  weightedRoundRobin(weights: readonly number[], picks: number): Uint32Array {
    return roundRobinPicks(this.#wasm, weights, picks)
  }

  // ---- the wasm side ------------------------------------------------------------------------------------------

  #openInput(): InputWriter {
    this.#start()
    return this.#input.open()
  }

  /** Has an encoded input applied. One that fails in a transaction throws; `transaction` then rolls back. */
  #apply(input: () => number, kind: string, which: string | number): void {
    const failure = this.#state === 'transaction' ? input() : this.#applyAlone(input)
    if (failure !== 0) throw errorOf(failure, `${kind} ${which}`)
    if (this.#state === 'running') this.#commit(`${kind} ${which}`)
  }

  /** Outside of a transaction a failure or a fault undoes the input here. */
  #applyAlone(input: () => number): number {
    this.#wasm.begin()
    try {
      const failure = input()
      if (failure !== 0) this.#wasm.rollback()
      return failure
    } catch (error) {
      this.#wasm.rollback()
      throw error
    }
  }

  #commit(what: string): void {
    const failure = this.#wasm.commit()
    const policies = this.#policiesSet.splice(0)
    if (failure !== 0) throw errorOf(failure, withPolicies(what, policies), this.stats())
  }

  #check(failure: number, what: string): void {
    if (failure !== 0) throw errorOf(failure, what)
  }

  /** The first call commits the reserved identities and the two prefixes that always exist. */
  #start(): void {
    if (this.#state !== 'new') return
    this.#check(this.#setReserved(), 'start')
    this.#commit('start')
    this.#state = 'running'
  }

  #setReserved(): number {
    for (const [number, labels] of RESERVED_IDENTITIES) {
      encodeIdentity(this.#input.open(), number, labels)
      const failure = this.#wasm.applySetIdentity()
      if (failure !== 0) return failure
    }
    return 0
  }

  #refresh(): void {
    if (this.#bytes.buffer === this.#wasm.memory.buffer) return
    this.#bytes = new Uint8Array(this.#wasm.memory.buffer)
    this.#words = new Uint32Array(this.#wasm.memory.buffer)
  }

  #encodePrefix(address: Uint8Array, length: number): InputWriter {
    if (address.length !== 16) throw new EngineError('INVALID', `an address of ${address.length} bytes; wanted are 16 (IPv4 mapped)`)
    if (!Number.isInteger(length) || length < 0 || length > 128) throw new EngineError('INVALID', `prefix length ${length}; allowed are 0 to 128 (IPv4: 96 + n)`)
    return this.#openInput().word(length).bytes(length === 128 ? address : maskAddress(address, length))
  }

  #restoreRecords(records: Uint32Array, recordWords: number, apply: () => number): void {
    for (let first = 0; first < records.length; first += RESTORE_BATCH * recordWords) {
      this.#refresh()
      const batch = records.subarray(first, first + RESTORE_BATCH * recordWords)
      const at = this.#wasm.inputAddress() / 4
      this.#words[at] = batch.length / recordWords
      this.#words.set(batch, at + 1)
      this.#check(apply(), 'restore')
    }
  }

  #readRun(at: number): Change {
    const [map, operation, count, keys, values] = this.#words.subarray(at, at + 5) as unknown as [number, number, number, number, number]
    const name = MAPS[map] as EngineMap
    const isDelete = operation === 1
    return {
      map: name,
      operation: isDelete ? 'delete' : 'update',
      count,
      keys: this.#bytes.subarray(keys, keys + count * KEY_BYTES[name]),
      values: this.#bytes.subarray(values, values + (isDelete ? 0 : count * VALUE_BYTES[name])),
    }
  }

  #readSide(at: number): SideVerdict | undefined {
    const [decision, rule, subject, peerClass] = this.#words.subarray(at, at + 4) as unknown as [number, number, number, number]
    const name = DECISIONS[decision]
    return name && { decision: name, rule, subject, peerClass }
  }

  #readCompared(at: number): readonly ComparedRow[] {
    const rows = [...this.#readRow(at, 'class'), ...this.#readRow(at + COMPARED_ROW_WORDS, 'every')]
    return rows.sort((a, b) => b.precedence - a.precedence)
  }

  /** None where the first key is above the last. */
  #readRow(at: number, peers: ComparedRow['peers']): readonly ComparedRow[] {
    const [first, last, precedence, rule, action] = this.#words.subarray(at, at + COMPARED_ROW_WORDS) as unknown as [number, number, number, number, number]
    return first > last ? [] : [{ peers, first, last, precedence, rule, decision: DECISIONS[action] ?? 'denied' }]
  }
}

/** AssemblyScript's assertions; none is left to reach by inputs. */
function abort(_message: number, _file: number, line: number): never {
  throw new EngineError('STATE', `engine.wasm aborted at line ${line}`)
}
