// Small pure functions behind the host class.

import { EngineError } from './errors.ts'
import type { Decision, SideVerdict } from './types.ts'

const WORLD_IPV4 = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0])

/** The unspecified address of the other end's family, which no workload has. */
export function worldOf(other: Uint8Array | undefined): Uint8Array {
  if (!other) throw new EngineError('INVALID', 'a verdict needs from or to')
  return WORLD_IPV4.subarray(0, 12).every((byte, index) => byte === other[index]) ? WORLD_IPV4 : new Uint8Array(16)
}

export function combine(egress: SideVerdict | undefined, ingress: SideVerdict | undefined): Decision {
  const decisions = [egress?.decision, ingress?.decision]
  return decisions.includes('denied') ? 'denied' : decisions.includes('audited') ? 'audited' : 'allowed'
}

const POLICIES_NAMED = 3

/** What was tried, with the policies that it set. */
export function withPolicies(what: string, keys: readonly string[]): string {
  if (keys.length === 0) return what
  const more = keys.length > POLICIES_NAMED ? ` and ${keys.length - POLICIES_NAMED} more` : ''
  return `${what} with ${keys.length === 1 ? 'policy' : 'policies'} ${keys.slice(0, POLICIES_NAMED).join(', ')}${more}`
}

export function checkedWeight(weight: number): number {
  if (!Number.isInteger(weight) || weight < 0 || weight > 65_535) throw new EngineError('INVALID', `weight ${weight}; allowed are 0 to 65535`)
  return weight
}

/** 64-bit FNV-1a (RFC draft-eastlake-fnv). */
export function hashText(text: string): bigint {
  let hash = 0xcbf29ce484222325n
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
  return hash
}

export function isPrime(value: number): boolean {
  if (!Number.isInteger(value) || value < 3) return false
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false
  return true
}
