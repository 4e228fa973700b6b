// Reads BTF (Documentation/bpf/btf.rst of the kernel) without the kernel: types of the records, variables and
// maps of an object. Line and function information (.BTF.ext) is left to libbpf.

import { readFileSync } from 'node:fs'

import { parseElf, stringAt } from './elf.ts'
import { LoaderError } from './errors.ts'

export interface BtfMember {
  readonly name: string
  readonly type: number
  readonly offsetBits: number
}

export interface BtfEnumerator {
  readonly name: string
  readonly value: number
}

export interface BtfSectionVariable {
  readonly type: number
  readonly size: number
}

interface BtfComposite<K extends 'struct' | 'union'> {
  readonly kind: K
  readonly id: number
  readonly name: string
  readonly size: number
  readonly members: readonly BtfMember[]
}

/** One type; `id` is its number in the object. Modifiers (typedef, const, volatile, ...) only point on. */
export type BtfType =
  | { readonly kind: 'void'; readonly id: 0; readonly name: '' }
  | { readonly kind: 'int'; readonly id: number; readonly name: string; readonly size: number; readonly signed: boolean }
  | { readonly kind: 'pointer'; readonly id: number; readonly name: string; readonly type: number }
  | { readonly kind: 'modifier'; readonly id: number; readonly name: string; readonly type: number }
  | { readonly kind: 'array'; readonly id: number; readonly name: string; readonly type: number; readonly length: number }
  | BtfComposite<'struct'>
  | BtfComposite<'union'>
  | {
      readonly kind: 'enum'
      readonly id: number
      readonly name: string
      readonly size: number
      readonly enumerators: readonly BtfEnumerator[]
    }
  | { readonly kind: 'variable'; readonly id: number; readonly name: string; readonly type: number }
  | { readonly kind: 'section'; readonly id: number; readonly name: string; readonly variables: readonly BtfSectionVariable[] }
  | { readonly kind: 'other'; readonly id: number; readonly name: string }

export type BtfKind = BtfType['kind']
export type BtfOf<K extends BtfKind> = Extract<BtfType, { kind: K }>

/** All types of an object. */
export class Btf {
  readonly types: readonly BtfType[]

  constructor(types: readonly BtfType[]) {
    this.types = types
  }

  /** The first type of that kind and name. */
  find<K extends BtfKind>(kind: K, name: string): BtfOf<K> | undefined {
    return this.types.find((type): type is BtfOf<K> => type.kind === kind && type.name === name)
  }

  /** A type by number. */
  type(id: number): BtfType {
    const type = this.types[id]
    if (type === undefined) throw new LoaderError('BAD_OBJECT', `BTF has no type ${id}`)
    return type
  }

  /** What a type is behind typedefs, const, volatile and tags. */
  resolve(id: number): BtfType {
    const type = this.type(id)
    return type.kind === 'modifier' ? this.resolve(type.type) : type
  }

  /** Size in bytes of a type that can be in a record. */
  sizeOf(id: number): number {
    const type = this.resolve(id)
    switch (type.kind) {
      case 'pointer':
        return 8
      case 'array':
        return type.length * this.sizeOf(type.type)
      case 'int':
      case 'enum':
      case 'struct':
      case 'union':
        return type.size
      default:
        throw new LoaderError('BAD_OBJECT', `BTF type ${id} (${type.kind} ${type.name}) has no size`)
    }
  }
}

/** BTF of an object file. Throws LoaderError `BAD_OBJECT` if it has none. */
export function readBtf(path: string): Btf {
  const section = parseElf(readFileSync(path), path).section('.BTF')
  if (section === undefined) throw new LoaderError('BAD_OBJECT', `${path} has no BTF: compile it with clang -g`)
  return parseBtf(section.bytes)
}

const MAGIC = 0xeb9f

/** Parses the bytes of a .BTF section, or of `btf__raw_data`. */
export function parseBtf(bytes: Uint8Array): Btf {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.byteLength < 24 || view.getUint16(0, true) !== MAGIC)
    throw new LoaderError('BAD_OBJECT', 'the BTF has a wrong magic number or the other byte order')
  const headerSize = view.getUint32(4, true)
  const start = headerSize + view.getUint32(8, true)
  const end = start + view.getUint32(12, true)
  const strings = bytes.subarray(headerSize + view.getUint32(16, true))
  const cursor = new Cursor(view, strings, start)
  const types: BtfType[] = [{ kind: 'void', id: 0, name: '' }]
  while (cursor.at < end) types.push(readType(cursor, types.length))
  return new Btf(types)
}

class Cursor {
  readonly #view: DataView
  readonly #strings: Uint8Array
  at: number

  constructor(view: DataView, strings: Uint8Array, at: number) {
    this.#view = view
    this.#strings = strings
    this.at = at
  }

  word(): number {
    const word = this.#view.getUint32(this.at, true)
    this.at += 4
    return word
  }

  name(): string {
    return stringAt(this.#strings, this.word())
  }

  times<T>(count: number, read: (cursor: Cursor) => T): T[] {
    return Array.from({ length: count }, () => read(this))
  }
}

/** Numbers of BTF_KIND_*. */
const KIND = {
  INT: 1,
  POINTER: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  FORWARD: 7,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  FUNCTION: 12,
  FUNCTION_PROTOTYPE: 13,
  VARIABLE: 14,
  SECTION: 15,
  FLOAT: 16,
  DECLARATION_TAG: 17,
  TYPE_TAG: 18,
  ENUM64: 19
} as const

function readType(cursor: Cursor, id: number): BtfType {
  const name = cursor.name()
  const info = cursor.word()
  const sizeOrType = cursor.word()
  const count = info & 0xffff
  const flag = info >>> 31 === 1
  const kind = (info >>> 24) & 0x1f
  switch (kind) {
    case KIND.INT:
      return { kind: 'int', id, name, size: sizeOrType, signed: ((cursor.word() >>> 24) & 1) === 1 }
    case KIND.POINTER:
      return { kind: 'pointer', id, name, type: sizeOrType }
    case KIND.ARRAY: {
      const [type = 0, , length = 0] = cursor.times(3, (each) => each.word())
      return { kind: 'array', id, name, type, length }
    }
    case KIND.STRUCT:
    case KIND.UNION: {
      const members = cursor.times(count, (each) => readMember(each, flag))
      return { kind: kind === KIND.STRUCT ? 'struct' : 'union', id, name, size: sizeOrType, members }
    }
    case KIND.ENUM:
      return { kind: 'enum', id, name, size: sizeOrType, enumerators: cursor.times(count, (each) => readEnumerator(each, flag)) }
    case KIND.ENUM64:
      return { kind: 'enum', id, name, size: sizeOrType, enumerators: cursor.times(count, readEnumerator64) }
    case KIND.TYPEDEF:
    case KIND.VOLATILE:
    case KIND.CONST:
    case KIND.RESTRICT:
    case KIND.TYPE_TAG:
      return { kind: 'modifier', id, name, type: sizeOrType }
    case KIND.VARIABLE:
      cursor.word() // linkage
      return { kind: 'variable', id, name, type: sizeOrType }
    case KIND.SECTION:
      return { kind: 'section', id, name, variables: cursor.times(count, readSectionVariable) }
    case KIND.FUNCTION_PROTOTYPE:
      cursor.at += count * 8
      return { kind: 'other', id, name }
    case KIND.DECLARATION_TAG:
      cursor.word()
      return { kind: 'other', id, name }
    case KIND.FORWARD:
    case KIND.FUNCTION:
    case KIND.FLOAT:
      return { kind: 'other', id, name }
    default:
      throw new LoaderError('BAD_OBJECT', `BTF type ${id} has kind ${kind}, which this reader does not know`)
  }
}

/** With the flag the upper byte of the offset is a bit-field's width. */
function readMember(cursor: Cursor, hasBitFields: boolean): BtfMember {
  const name = cursor.name()
  const type = cursor.word()
  const offset = cursor.word()
  return { name, type, offsetBits: hasBitFields ? offset & 0xffffff : offset }
}

function readEnumerator(cursor: Cursor, signed: boolean): BtfEnumerator {
  const name = cursor.name()
  const value = cursor.word()
  return { name, value: signed ? value | 0 : value }
}

/** Values past 2^53 do not occur in records; they would lose their low bits here. */
function readEnumerator64(cursor: Cursor): BtfEnumerator {
  const name = cursor.name()
  const low = cursor.word()
  return { name, value: cursor.word() * 2 ** 32 + low }
}

/** The offset is skipped: clang leaves it 0 and the symbol table has it. */
function readSectionVariable(cursor: Cursor): BtfSectionVariable {
  const type = cursor.word()
  cursor.word()
  return { type, size: cursor.word() }
}

/**
 * A type's layout as text, the same for equal layouts of different objects: names of fields count, since a field
 * that changed its meaning but not its size is another layout; names of typedefs and structs do not.
 */
export function describeLayout(btf: Btf, id: number): string {
  const type = btf.resolve(id)
  switch (type.kind) {
    case 'int':
      return `${type.signed ? 's' : 'u'}${type.size * 8}`
    case 'enum':
      return `u${type.size * 8}`
    case 'array':
      return `${describeLayout(btf, type.type)}[${type.length}]`
    case 'struct':
    case 'union': {
      const members = type.members.map((member) => `${member.offsetBits / 8} ${member.name}: ${describeLayout(btf, member.type)}`)
      return `${type.kind} of ${type.size} bytes { ${members.join(', ')} }`
    }
    default:
      return type.kind
  }
}
