// The records, enums, constants and maps of a BTF, in the terms that both generated languages need.

import type { Btf, BtfMember, BtfOf, BtfType } from '../../loader/index.ts'
import { readMapSpecs } from '../../loader/index.ts'
import type { FieldKind } from '../../bpf/index.ts'

export interface ModelField {
  /** As in C. */
  readonly name: string
  readonly offset: number
  readonly size: number
  readonly kind: FieldKind
  /** Struct of a nested record. */
  readonly record?: string
}

export interface ModelRecord {
  readonly name: string
  readonly size: number
  readonly fields: readonly ModelField[]
}

export interface ModelEnum {
  readonly name: string
  readonly values: readonly { readonly name: string; readonly value: number }[]
}

export interface ModelMap {
  readonly name: string
  readonly type: string
  readonly keySize: number
  readonly valueSize: number
  readonly maxEntries: number
  readonly flags: number
}

export interface Model {
  readonly records: readonly ModelRecord[]
  readonly enums: readonly ModelEnum[]
  readonly constants: readonly { readonly name: string; readonly value: number }[]
  readonly maps: readonly ModelMap[]
}

const CONSTANT_PREFIX = 'constant_'

export function readModel(btf: Btf): Model {
  const probed = (prefix: string): BtfType[] =>
    btf.types
      .filter((type) => type.kind === 'variable')
      .filter((variable) => variable.name.startsWith(prefix))
      .map((variable) => btf.resolve(variable.type))
  const constants = btf.find('enum', 'constants')?.enumerators ?? []
  return {
    records: probed('probe_struct_').filter(isStruct).map((struct) => readRecord(btf, struct)),
    enums: probed('probe_enum_').filter(isEnum).map((type) => ({ name: type.name, values: type.enumerators })),
    constants: constants.map(({ name, value }) => ({ name: name.slice(CONSTANT_PREFIX.length), value })),
    maps: readMapSpecs(btf).map((map) => ({ ...map, type: mapTypeName(btf, map.type) }))
  }
}

function isStruct(type: BtfType): type is BtfOf<'struct'> {
  return type.kind === 'struct'
}

function isEnum(type: BtfType): type is BtfOf<'enum'> {
  return type.kind === 'enum'
}

export function readRecord(btf: Btf, struct: BtfOf<'struct'>): ModelRecord {
  const fields = struct.members.filter((member) => !isPadding(member)).map((member) => readField(btf, struct.name, member))
  return { name: struct.name, size: struct.size, fields }
}

function isPadding(member: BtfMember): boolean {
  return /^pad\d*$/.test(member.name)
}

function readField(btf: Btf, record: string, member: BtfMember): ModelField {
  const type = btf.resolve(member.type)
  const field = { name: member.name, offset: member.offsetBits / 8, size: btf.sizeOf(member.type) }
  if (isStruct(type) && !isBytes(btf, type)) return { ...field, kind: 'record', record: type.name }
  const kind = fieldKind(btf, member.type, type)
  if (kind === undefined) throw new Error(`field ${member.name} of struct ${record}: no view of a ${type.kind} ${type.name}`)
  return { ...field, kind }
}

/** An array, or a struct around one (struct ip_address), is bytes to whoever does not parse it. */
function isBytes(btf: Btf, type: BtfOf<'struct'>): boolean {
  const [only, ...more] = type.members
  return only !== undefined && more.length === 0 && btf.resolve(only.type).kind === 'array'
}

function fieldKind(btf: Btf, id: number, type: BtfType): FieldKind | undefined {
  if (type.kind === 'array' || type.kind === 'struct') return 'bytes'
  const name = btf.type(id).name
  if (name === '__be16') return 'be16'
  if (name === '__be32') return 'be32'
  if (type.kind !== 'int' || type.signed) return undefined
  return ({ 1: 'u8', 2: 'u16', 4: 'u32', 8: 'u64' } as const)[type.size as 1 | 2 | 4 | 8]
}

/** enum bpf_map_type is not in the objects' BTF; these numbers are part of the kernel's ABI (linux/bpf.h). */
const MAP_TYPES: Readonly<Record<number, string>> = {
  1: 'hash',
  2: 'array',
  3: 'prog_array',
  5: 'percpu_hash',
  6: 'percpu_array',
  9: 'lru_hash',
  10: 'lru_percpu_hash',
  11: 'lpm_trie',
  14: 'devmap',
  27: 'ringbuf'
}

function mapTypeName(btf: Btf, type: number): string {
  const name = MAP_TYPES[type]
  if (name === undefined) throw new Error(`map type ${type} has no name here: add it to MAP_TYPES (${btf.types.length} types read)`)
  return name
}
