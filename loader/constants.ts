// Values of an object's `const volatile` variables, which the verifier sees as known numbers.

import type { Btf } from './btf.ts'
import { LoaderError } from './errors.ts'
import type { ConstantSpec } from './spec.ts'

/** Bytes are for arrays and structs, and stand as they will in memory. */
export type ConstantValue = number | bigint | boolean | Uint8Array

/** The bytes of a constant. Throws LoaderError `BAD_ARGUMENT` for a value that does not fit. */
export function encodeConstant(spec: ConstantSpec, value: ConstantValue, btf: Btf): Uint8Array {
  if (value instanceof Uint8Array) {
    if (value.byteLength === spec.size) return value
    throw new LoaderError('BAD_ARGUMENT', `constant ${spec.name} has ${spec.size} bytes, not ${value.byteLength}`)
  }
  const type = btf.resolve(spec.type)
  if (type.kind !== 'int' && type.kind !== 'enum')
    throw new LoaderError('BAD_ARGUMENT', `constant ${spec.name} is a ${type.kind}: give its ${spec.size} bytes`)
  return encodeInteger(spec, BigInt(value), type.kind === 'int' && type.signed)
}

function encodeInteger(spec: ConstantSpec, value: bigint, signed: boolean): Uint8Array {
  const bits = spec.size * 8
  const kept = signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value)
  if (kept !== value)
    throw new LoaderError('BAD_ARGUMENT', `constant ${spec.name} is ${signed ? 'a signed' : 'an unsigned'} integer of ${bits} bits: ${value} does not fit`)
  const view = new DataView(new ArrayBuffer(8))
  view.setBigInt64(0, kept, true)
  return new Uint8Array(view.buffer, 0, spec.size)
}
