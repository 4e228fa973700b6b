// Maps that outlive the process: an object takes over those that are pinned and pins the ones it made.

import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { describeLayout } from './btf.ts'
import type { Btf } from './btf.ts'
import { LoaderError, systemError } from './errors.ts'
import { btfById, mapInfo } from './info.ts'
import type { MapInfo } from './info.ts'
import { BpfMap } from './map.ts'
import { RESIZABLE_TYPES } from './migration.ts'
import type { Libbpf, MapHandle } from './port.ts'
import type { ObjectMapSpec } from './spec.ts'

/** Makes `map` the pinned one if there is one. Throws LoaderError `INCOMPATIBLE` where its layout is another. */
export function reusePinned(libbpf: Libbpf, map: MapHandle, wanted: ObjectMapSpec, btf: Btf, directory: string): boolean {
  const path = join(directory, wanted.name)
  if (!existsSync(path)) return false
  const fd = libbpf.openPinned(path)
  if (fd < 0) throw systemError(`open pinned map ${path}`, -fd)
  try {
    const differences = compare(libbpf, mapInfo(libbpf, fd), wanted, btf)
    if (differences.length > 0) throw incompatible(path, differences)
    const error = libbpf.reuseMapFd(map, fd) // keeps a duplicate
    if (error < 0) throw systemError(`take over pinned map ${path}`, -error)
    return true
  } finally {
    libbpf.close(fd)
  }
}

/** Whether a map is pinned that differs from the wanted one in its number of entries and in nothing else. */
export function isPinnedWithOtherSize(libbpf: Libbpf, wanted: ObjectMapSpec, btf: Btf, directory: string): boolean {
  const path = join(directory, wanted.name)
  if (!existsSync(path) || !RESIZABLE_TYPES.includes(wanted.type)) return false
  using map = BpfMap.openPinned(path, libbpf)
  return map.maxEntries !== wanted.maxEntries && compare(libbpf, map.info, { ...wanted, maxEntries: map.maxEntries }, btf).length === 0
}

export function pinIfAbsent(libbpf: Libbpf, fd: number, directory: string, name: string): void {
  const path = join(directory, name)
  if (existsSync(path)) return
  const error = libbpf.pin(fd, path)
  if (error < 0) throw systemError(`pin map ${path}`, -error)
}

function compare(libbpf: Libbpf, pinned: MapInfo, wanted: ObjectMapSpec, btf: Btf): string[] {
  return [...compareSizes(pinned, wanted), ...compareLayouts(libbpf, pinned, wanted, btf)]
}

function incompatible(path: string, differences: readonly string[]): LoaderError {
  return new LoaderError('INCOMPATIBLE', `pinned map ${path} has another layout than the object: ${differences.join('; ')}`)
}

/**
 * Flags that the kernel or libbpf may set on its own are not compared: BPF_F_RDONLY_PROG and BPF_F_MMAPABLE belong to
 * maps of global data, which are never pinned here.
 */
function compareSizes(pinned: MapInfo, wanted: ObjectMapSpec): string[] {
  const fields = ['type', 'keySize', 'valueSize', 'maxEntries', 'flags'] as const
  return fields
    .filter((field) => pinned[field] !== wanted[field])
    .map((field) => `its ${field} is ${pinned[field]}, the object wants ${wanted[field]}`)
}

/** Equal sizes are not equal layouts; BTF of both tells, where both have it. */
function compareLayouts(libbpf: Libbpf, pinned: MapInfo, wanted: ObjectMapSpec, btf: Btf): string[] {
  if (pinned.btfId === 0) return []
  const pinnedBtf = btfById(libbpf, pinned.btfId)
  const compare = (what: string, pinnedType: number, wantedType: number | undefined): string[] => {
    if (pinnedType === 0 || wantedType === undefined) return []
    const [is, should] = [describeLayout(pinnedBtf, pinnedType), describeLayout(btf, wantedType)]
    return is === should ? [] : [`its ${what} is ${is}, the object wants ${should}`]
  }
  return [...compare('key', pinned.keyType, wanted.keyType), ...compare('value', pinned.valueType, wanted.valueType)]
}
