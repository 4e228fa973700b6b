// What the kernel says of its programs, maps and links (struct bpf_*_info of linux/bpf.h).

import { parseBtf } from './btf.ts'
import type { Btf } from './btf.ts'
import { systemError } from './errors.ts'
import type { IdKind, Libbpf } from './port.ts'

export interface ProgramInfo {
  readonly type: number
  readonly id: number
  /** Cut by the kernel to 15 characters. */
  readonly name: string
  /** Instructions after the kernel's rewriting, and bytes of machine code. */
  readonly instructions: number
  readonly jitedBytes: number
  /** Instructions that the verifier walked; kernel 5.16 and later. */
  readonly verifiedInstructions: number
  readonly runTimeNs: bigint
  readonly runCount: bigint
}

export interface MapInfo {
  readonly type: number
  readonly id: number
  readonly name: string
  readonly keySize: number
  readonly valueSize: number
  readonly maxEntries: number
  readonly flags: number
  /** 0 where the map has no BTF. */
  readonly btfId: number
  readonly keyType: number
  readonly valueType: number
}

export interface LinkInfo {
  readonly type: number
  readonly id: number
  readonly programId: number
  /** Of XDP and TCX links, 0 once the interface is gone. */
  readonly ifindex: number
}

const INSTRUCTION_SIZE = 8
const PROGRAM_INFO_SIZE = 232
const MAP_INFO_SIZE = 88
const LINK_INFO_SIZE = 64
const BTF_INFO_SIZE = 32

function readInfo(libbpf: Libbpf, fd: number, size: number, what: string, view = new DataView(new ArrayBuffer(size))): DataView {
  const error = libbpf.objectInfo(fd, new Uint8Array(view.buffer))
  if (error < 0) throw systemError(`ask the kernel about ${what}`, -error)
  return view
}

export function programInfo(libbpf: Libbpf, fd: number): ProgramInfo {
  const view = readInfo(libbpf, fd, PROGRAM_INFO_SIZE, 'a program')
  return {
    type: view.getUint32(0, true),
    id: view.getUint32(4, true),
    jitedBytes: view.getUint32(16, true),
    instructions: view.getUint32(20, true) / INSTRUCTION_SIZE,
    name: nameAt(view, 64),
    runTimeNs: view.getBigUint64(192, true),
    runCount: view.getBigUint64(200, true),
    verifiedInstructions: view.getUint32(216, true)
  }
}

export function mapInfo(libbpf: Libbpf, fd: number): MapInfo {
  const view = readInfo(libbpf, fd, MAP_INFO_SIZE, 'a map')
  const word = (offset: number): number => view.getUint32(offset, true)
  return {
    type: word(0),
    id: word(4),
    keySize: word(8),
    valueSize: word(12),
    maxEntries: word(16),
    flags: word(20),
    name: nameAt(view, 24),
    btfId: word(64),
    keyType: word(68),
    valueType: word(72)
  }
}

const LINK_TYPES_WITH_INTERFACE: readonly number[] = [6, 11, 13] // XDP, TCX, netkit

export function linkInfo(libbpf: Libbpf, fd: number): LinkInfo {
  const view = readInfo(libbpf, fd, LINK_INFO_SIZE, 'a link')
  const type = view.getUint32(0, true)
  const ifindex = LINK_TYPES_WITH_INTERFACE.includes(type) ? view.getUint32(16, true) : 0
  return { type, id: view.getUint32(4, true), programId: view.getUint32(8, true), ifindex }
}

/** BTF that the kernel keeps, by its id. */
export function btfById(libbpf: Libbpf, id: number): Btf {
  const fd = libbpf.fdById('btf', id)
  if (fd < 0) throw systemError(`open BTF ${id}`, -fd)
  try {
    const size = readInfo(libbpf, fd, BTF_INFO_SIZE, `BTF ${id}`).getUint32(8, true)
    const bytes = new Uint8Array(size)
    const request = new DataView(new ArrayBuffer(BTF_INFO_SIZE))
    request.setBigUint64(0, libbpf.address(bytes), true)
    request.setUint32(8, size, true)
    readInfo(libbpf, fd, BTF_INFO_SIZE, `BTF ${id}`, request)
    return parseBtf(bytes)
  } finally {
    libbpf.close(fd)
  }
}

/** Ids of everything of one kind that the kernel has now, in ascending order. */
export function listIds(libbpf: Libbpf, kind: IdKind): number[] {
  const ids: number[] = []
  for (let id = libbpf.nextId(kind, 0); id > 0; id = libbpf.nextId(kind, id)) ids.push(id)
  return ids
}

function nameAt(view: DataView, offset: number): string {
  const bytes = new Uint8Array(view.buffer, offset, 16)
  const end = bytes.indexOf(0)
  return new TextDecoder().decode(bytes.subarray(0, end < 0 ? 16 : end))
}
