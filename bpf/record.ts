// Reads and writes the C records of bpf/types.h by field names. The layouts are generated: see layout.generated.ts.

/**
 * `u8` to `u64`: unsigned numbers in the machine's byte order (all supported machines are little-endian), `u64` as
 * bigint; `be16`, `be32`: in network byte order in memory, numbers here; `bytes`: as they stand.
 */
export type FieldKind = 'u8' | 'u16' | 'u32' | 'u64' | 'be16' | 'be32' | 'bytes' | 'record'

export interface Field {
  readonly name: string
  /** Bytes from the record's start. */
  readonly offset: number
  readonly size: number
  readonly kind: FieldKind
  /** Of a nested record. */
  readonly record?: Layout
}

/** What a layout can do whatever its type is. */
export interface Layout {
  readonly name: string
  readonly size: number
  readonly fields: readonly Field[]
  read(view: DataView, at?: number): object
  write(value: object, view: DataView, at?: number): void
}

type FieldValue = number | bigint | Uint8Array | object

/** Layout of one C record; `T` is its TypeScript face, without the padding. */
export class RecordLayout<T extends object> implements Layout {
  /** Name of the struct in bpf/types.h. */
  readonly name: string
  /** sizeof the struct, tail padding included. */
  readonly size: number
  readonly fields: readonly Field[]

  constructor(name: string, size: number, fields: readonly Field[]) {
    this.name = name
    this.size = size
    this.fields = fields
  }

  /** The record at offset `at`; byte fields are copies. Throws RangeError past the view's end. */
  read(view: DataView, at = 0): T {
    return Object.fromEntries(this.fields.map((field) => [field.name, readField(field, view, at + field.offset)])) as T
  }

  /** Writes a whole record at offset `at`, padding as zeros. Throws RangeError for a value that its field cannot hold. */
  write(value: T, view: DataView, at = 0): void {
    new Uint8Array(view.buffer, view.byteOffset + at, this.size).fill(0)
    for (const field of this.fields) {
      const fieldValue = (value as Record<string, FieldValue>)[field.name]
      if (fieldValue === undefined) throw new RangeError(`record ${this.name} lacks its field ${field.name}`)
      writeField(field, view, at + field.offset, fieldValue, this.name)
    }
  }

  encode(value: T): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.size)
    this.write(value, new DataView(bytes.buffer))
    return bytes
  }

  decode(bytes: Uint8Array, at = 0): T {
    return this.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), at)
  }
}

/** One map of bpf/maps.h. Sizes are bytes; `maxEntries` is the default, which the agent may set before loading. */
export interface MapSpec {
  readonly type: string
  readonly keySize: number
  readonly valueSize: number
  readonly maxEntries: number
  readonly flags: number
}

/** Name of an enum's value in the words of the command line: `policy-denied`. Unknown values give their number. */
export function enumName(values: Readonly<Record<string, number>>, value: number): string {
  const name = Object.keys(values).find((key) => values[key] === value)
  return name?.toLowerCase().replaceAll('_', '-') ?? String(value)
}

function readField(field: Field, view: DataView, at: number): FieldValue {
  switch (field.kind) {
    case 'u8':
      return view.getUint8(at)
    case 'u16':
      return view.getUint16(at, true)
    case 'u32':
      return view.getUint32(at, true)
    case 'u64':
      return view.getBigUint64(at, true)
    case 'be16':
      return view.getUint16(at)
    case 'be32':
      return view.getUint32(at)
    case 'bytes':
      return new Uint8Array(view.buffer, view.byteOffset + at, field.size).slice()
    case 'record':
      return nested(field).read(view, at)
  }
}

function writeField(field: Field, view: DataView, at: number, value: FieldValue, record: string): void {
  checkFits(field, value, record)
  switch (field.kind) {
    case 'u8':
      return view.setUint8(at, value as number)
    case 'u16':
      return view.setUint16(at, value as number, true)
    case 'u32':
      return view.setUint32(at, value as number, true)
    case 'u64':
      return view.setBigUint64(at, value as bigint, true)
    case 'be16':
      return view.setUint16(at, value as number)
    case 'be32':
      return view.setUint32(at, value as number)
    case 'bytes':
      return new Uint8Array(view.buffer, view.byteOffset + at, field.size).set(value as Uint8Array)
    case 'record':
      return nested(field).write(value as object, view, at)
  }
}

function nested(field: Field): Layout {
  if (field.record === undefined) throw new TypeError(`field ${field.name} names no record`)
  return field.record
}

/** DataView would cut a value that is too large, and a rule would silently be another. */
function checkFits(field: Field, value: FieldValue, record: string): void {
  if (field.kind === 'record') return
  if (fits(field, value)) return
  const wanted = field.kind === 'bytes' ? `${field.size} bytes` : `an unsigned integer of ${field.size * 8} bits`
  const given = value instanceof Uint8Array ? `${value.length} bytes` : String(value)
  throw new RangeError(`field ${field.name} of record ${record} wants ${wanted}, not ${given}`)
}

function fits(field: Field, value: FieldValue): boolean {
  if (field.kind === 'bytes') return value instanceof Uint8Array && value.length === field.size
  if (field.kind === 'u64') return typeof value === 'bigint' && value >= 0n && value < 1n << 64n
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** (field.size * 8)
}
