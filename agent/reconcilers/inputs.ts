// The engine's inputs as data: desired state is a set of them by key, and what to tell the engine is the difference
// between the set that it was told last and the set that is wanted now.
import type { AddressEntry, EndpointEntry, Label, Policy } from '../../engine/index.ts'
import type { EnginePort } from './ports.ts'

export type EngineInput =
  | { readonly input: 'identity'; readonly number: number; readonly labels: readonly Label[] }
  | { readonly input: 'policy'; readonly key: string; readonly policies: readonly Policy[] }
  | { readonly input: 'address'; readonly entry: AddressEntry }
  | { readonly input: 'endpoint'; readonly entry: EndpointEntry }

/** One change: an input that is new or differs, or one that is gone. */
export interface InputChange {
  readonly operation: 'set' | 'remove'
  readonly input: EngineInput
}

/** What kinds build on stands first: an address names an identity, an endpoint has addresses. */
const ORDER = ['identity', 'policy', 'address', 'endpoint'] as const

export class InputSet {
  readonly #inputs = new Map<string, { readonly input: EngineInput; readonly signature: string | undefined }>()

  get size(): number {
    return this.#inputs.size
  }

  add(input: EngineInput): void {
    this.#inputs.set(keyOf(input), { input, signature: signatureOf(input) })
  }

  /**
   * Inputs of which nobody knows whether the engine has them: all of them are told again, and those that are not
   * wanted are removed, which is no error for what is not there.
   */
  static doubtful(...sets: readonly InputSet[]): InputSet {
    const doubtful = new InputSet()
    for (const set of sets) {
      for (const [key, { input }] of set.#inputs) doubtful.#inputs.set(key, { input, signature: undefined })
    }
    return doubtful
  }

  /** Changes that lead from `told` to this set: additions in the order of kinds, then removals in the reverse one. */
  changesSince(told: InputSet): InputChange[] {
    const set: InputChange[] = []
    for (const [key, { input, signature }] of this.#inputs) {
      if (told.#inputs.get(key)?.signature !== signature) set.push({ operation: 'set', input })
    }
    const removed: InputChange[] = []
    for (const [key, { input }] of told.#inputs) {
      if (!this.#inputs.has(key)) removed.push({ operation: 'remove', input })
    }
    return [...set.sort(byKind), ...removed.sort((a, b) => byKind(b, a))]
  }
}

export function applyInput(engine: EnginePort, { operation, input }: InputChange): void {
  const set = operation === 'set'
  switch (input.input) {
    case 'identity':
      return set ? engine.setIdentity(input.number, input.labels) : engine.removeIdentity(input.number)
    case 'policy':
      return set ? engine.setPolicy(input.key, input.policies) : engine.removePolicy(input.key)
    case 'address':
      return set ? engine.setAddress(input.entry) : engine.removeAddress(input.entry.address, input.entry.prefixLength)
    case 'endpoint':
      return set ? engine.setEndpoint(input.entry) : engine.removeEndpoint(input.entry.ifindex)
  }
}

function byKind(a: InputChange, b: InputChange): number {
  return ORDER.indexOf(a.input.input) - ORDER.indexOf(b.input.input)
}

function keyOf(input: EngineInput): string {
  switch (input.input) {
    case 'identity':
      return `identity ${input.number}`
    case 'policy':
      return `policy ${input.key}`
    case 'address':
      return `address ${hex(input.entry.address)}/${input.entry.prefixLength}`
    case 'endpoint':
      return `endpoint ${input.entry.ifindex}`
  }
}

/** All that is not in the key, as text. Addresses are many, so theirs is put together by hand. */
function signatureOf(input: EngineInput): string {
  switch (input.input) {
    case 'identity':
      return input.labels.join('\n')
    case 'policy':
      return JSON.stringify(input.policies)
    case 'address': {
      const { identity, flags, ifindex, namedPorts } = input.entry
      return `${identity} ${flags} ${ifindex} ${JSON.stringify(namedPorts)}`
    }
    case 'endpoint':
      return JSON.stringify(input.entry, (_key, value: unknown) => (value instanceof Uint8Array ? hex(value) : value))
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
