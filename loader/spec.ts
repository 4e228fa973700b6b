// What an object file asks for, read from its BTF without the kernel: maps and constants.

import type { Btf, BtfOf } from './btf.ts'
import type { ElfFile } from './elf.ts'
import { LoaderError } from './errors.ts'

/** A map as the object declares it in section `.maps`. */
export interface ObjectMapSpec {
  readonly name: string
  /** enum bpf_map_type. */
  readonly type: number
  readonly keySize: number
  readonly valueSize: number
  readonly maxEntries: number
  readonly flags: number
  /** BTF types of key and value, where the declaration names them. */
  readonly keyType: number | undefined
  readonly valueType: number | undefined
}

/** Maps of section `.maps`; clang orders them by their first use. */
export function readMapSpecs(btf: Btf): ObjectMapSpec[] {
  const section = btf.find('section', '.maps')
  return (section?.variables ?? []).map(({ type }) => readMapSpec(btf, btf.type(type) as BtfOf<'variable'>))
}

/** Attributes are pointers: to an array whose length is the number, or to the type of key or value. */
function readMapSpec(btf: Btf, variable: BtfOf<'variable'>): ObjectMapSpec {
  const definition = btf.resolve(variable.type)
  if (definition.kind !== 'struct') throw new LoaderError('BAD_OBJECT', `map ${variable.name} is no struct in section .maps`)
  const pointee = (name: string): number | undefined => {
    const member = definition.members.find((each) => each.name === name)
    const pointer = member === undefined ? undefined : btf.resolve(member.type)
    return pointer?.kind === 'pointer' ? pointer.type : undefined
  }
  const number = (name: string): number => {
    const type = pointee(name)
    const array = type === undefined ? undefined : btf.resolve(type)
    return array?.kind === 'array' ? array.length : 0
  }
  const size = (type: number | undefined, otherwise: string): number => (type === undefined ? number(otherwise) : btf.sizeOf(type))
  const [keyType, valueType] = [pointee('key'), pointee('value')]
  return {
    name: variable.name,
    type: number('type'),
    keySize: size(keyType, 'key_size'),
    valueSize: size(valueType, 'value_size'),
    maxEntries: number('max_entries'),
    flags: number('map_flags'),
    keyType,
    valueType
  }
}

/** A `const volatile` value that the loader may set before the program is verified. */
export interface ConstantSpec {
  readonly name: string
  /** Offset in section .rodata, in bytes. */
  readonly offset: number
  readonly size: number
  /** BTF type. */
  readonly type: number
}

/** Constants of section .rodata: types from BTF, offsets from the symbol table. */
export function readConstantSpecs(btf: Btf, elf: ElfFile): ConstantSpec[] {
  const section = btf.find('section', '.rodata')
  return (section?.variables ?? []).map(({ type, size }) => {
    const variable = btf.type(type) as BtfOf<'variable'>
    const symbol = elf.symbols.find((each) => each.section === '.rodata' && each.name === variable.name)
    if (symbol === undefined) throw new LoaderError('BAD_OBJECT', `constant ${variable.name} has no symbol: was the object stripped?`)
    return { name: variable.name, offset: symbol.value, size, type: variable.type }
  })
}
