// The engine's inputs as data, and how the engine is told of them.
import type { AddressEntry, EndpointEntry, Label, Policy } from '../../engine/index.ts'
import type { EnginePort } from './ports.ts'

/** What tells one input of its kind from the others. */
export type InputKey =
  | { readonly input: 'identity'; readonly number: number }
  | { readonly input: 'policy'; readonly key: string }
  | { readonly input: 'address'; readonly entry: Pick<AddressEntry, 'address' | 'prefixLength'> }
  | { readonly input: 'endpoint'; readonly entry: Pick<EndpointEntry, 'ifindex'> }

export type EngineInput =
  | { readonly input: 'identity'; readonly number: number; readonly labels: readonly Label[] }
  | { readonly input: 'policy'; readonly key: string; readonly policies: readonly Policy[] }
  | { readonly input: 'address'; readonly entry: AddressEntry }
  | { readonly input: 'endpoint'; readonly entry: EndpointEntry }

/** An input that is new or differs, or one that is gone. */
export type InputChange =
  | { readonly operation: 'set'; readonly input: EngineInput }
  | { readonly operation: 'remove'; readonly input: InputKey }

export function applyInput(engine: EnginePort, change: InputChange): void {
  if (change.operation === 'set') set(engine, change.input)
  else remove(engine, change.input)
}

function set(engine: EnginePort, input: EngineInput): void {
  switch (input.input) {
    case 'identity':
      return engine.setIdentity(input.number, input.labels)
    case 'policy':
      return engine.setPolicy(input.key, input.policies)
    case 'address':
      return engine.setAddress(input.entry)
    case 'endpoint':
      return engine.setEndpoint(input.entry)
  }
}

function remove(engine: EnginePort, input: InputKey): void {
  switch (input.input) {
    case 'identity':
      return engine.removeIdentity(input.number)
    case 'policy':
      return engine.removePolicy(input.key)
    case 'address':
      return engine.removeAddress(input.entry.address, input.entry.prefixLength)
    case 'endpoint':
      return engine.removeEndpoint(input.entry.ifindex)
  }
}
