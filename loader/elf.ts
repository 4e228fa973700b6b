// The little of ELF that a BPF object needs: sections and symbols of a 64-bit little-endian file
// (System V ABI, chapters 4 and 5; Linux's BPF targets are 64-bit, and big-endian nodes are not supported).

import { LoaderError } from './errors.ts'

export interface ElfSection {
  readonly name: string
  readonly bytes: Uint8Array
}

export interface ElfSymbol {
  readonly name: string
  /** Name of the section that holds the symbol; empty for absolute and undefined symbols. */
  readonly section: string
  /** Offset in that section, in bytes. */
  readonly value: number
  readonly size: number
}

export interface ElfFile {
  section(name: string): ElfSection | undefined
  readonly sections: readonly ElfSection[]
  readonly symbols: readonly ElfSymbol[]
}

const MAGIC = 0x464c457f // "\x7fELF", read as a little-endian word
const CLASS_64 = 2
const DATA_LITTLE_ENDIAN = 1
const SECTION_HEADER_OFFSET = 40
const SECTION_HEADER_SIZE = 64
const SECTION_COUNT = 60
const NAME_SECTION_INDEX = 62
const TYPE_SYMBOL_TABLE = 2
const TYPE_NO_BITS = 8
const SYMBOL_SIZE = 24

interface Header {
  readonly name: number
  readonly type: number
  readonly link: number
  readonly bytes: Uint8Array
}

/** Parses an object file. `path` is for messages only. Throws LoaderError `BAD_OBJECT`. */
export function parseElf(file: Uint8Array, path: string): ElfFile {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  checkIdentification(view, path)
  try {
    return readFile(file, view)
  } catch (cause) {
    if (cause instanceof RangeError) throw badObject(path, 'it is cut short or damaged', cause)
    throw cause
  }
}

function checkIdentification(view: DataView, path: string): void {
  if (view.byteLength < SECTION_HEADER_SIZE || view.getUint32(0, true) !== MAGIC) throw badObject(path, 'it is no ELF file')
  if (view.getUint8(4) !== CLASS_64 || view.getUint8(5) !== DATA_LITTLE_ENDIAN)
    throw badObject(path, 'it is not a 64-bit little-endian ELF file; compile it with clang -target bpfel')
}

function badObject(path: string, what: string, cause?: unknown): LoaderError {
  return new LoaderError('BAD_OBJECT', `cannot read ${path}: ${what}`, { cause })
}

function readFile(file: Uint8Array, view: DataView): ElfFile {
  const headers = readHeaders(file, view)
  const names = headers[view.getUint16(NAME_SECTION_INDEX, true)]?.bytes ?? new Uint8Array()
  const sections = headers.map((header) => ({ name: stringAt(names, header.name), bytes: header.bytes }))
  const symbols = headers
    .filter((header) => header.type === TYPE_SYMBOL_TABLE)
    .flatMap((table) => readSymbols(table, headers[table.link]?.bytes ?? new Uint8Array(), sections))
  return { sections, symbols, section: (name) => sections.find((section) => section.name === name) }
}

function readHeaders(file: Uint8Array, view: DataView): Header[] {
  const start = Number(view.getBigUint64(SECTION_HEADER_OFFSET, true))
  return Array.from({ length: view.getUint16(SECTION_COUNT, true) }, (_, index) => {
    const at = start + index * SECTION_HEADER_SIZE
    const type = view.getUint32(at + 4, true)
    const offset = Number(view.getBigUint64(at + 24, true))
    const size = type === TYPE_NO_BITS ? 0 : Number(view.getBigUint64(at + 32, true))
    if (offset + size > file.byteLength) throw new RangeError('section past the end of the file')
    return { name: view.getUint32(at, true), type, link: view.getUint32(at + 40, true), bytes: file.subarray(offset, offset + size) }
  })
}

function readSymbols(table: Header, names: Uint8Array, sections: readonly ElfSection[]): ElfSymbol[] {
  const view = new DataView(table.bytes.buffer, table.bytes.byteOffset, table.bytes.byteLength)
  return Array.from({ length: Math.floor(view.byteLength / SYMBOL_SIZE) }, (_, index) => {
    const at = index * SYMBOL_SIZE
    return {
      name: stringAt(names, view.getUint32(at, true)),
      section: sections[view.getUint16(at + 6, true)]?.name ?? '',
      value: Number(view.getBigUint64(at + 8, true)),
      size: Number(view.getBigUint64(at + 16, true))
    }
  })
}

/** The zero-terminated string that starts at `offset` of a string table. */
export function stringAt(table: Uint8Array, offset: number): string {
  const end = table.indexOf(0, offset)
  return new TextDecoder().decode(table.subarray(offset, end < 0 ? undefined : end))
}
