// `sluiced decap`: the backend's receiving program. One-shot: attached and pinned, it needs no agent to run.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { attachXdp, type BpfMap, BpfObject, ensurePinned, interfaceIndex } from '../loader/index.ts'
import { addressBytes } from './address.ts'
import { AgentError } from './errors.ts'
import type { DecapOptions } from './options.ts'
import { makePinDirectories, removePinned } from './pins.ts'
import { readAll } from './reconcilers/policy.ts'

const OBJECT = join(import.meta.dirname, '../build/bpf/decap.bpf.o')
const PROGRAM = 'decap'
const USED_MAPS = ['decap_vips', 'counters', 'events', 'events_lost', '.rodata', '.bss', '.data']

export interface DecapReport {
  readonly interface: string
  readonly vips: readonly string[]
  readonly fallback: string | undefined
}

/** Attaches, or puts a new program and a new list of VIPs into what is attached. */
export function attachDecap(options: DecapOptions): DecapReport {
  const vips = options.vips.map(addressBytes)
  const ifindex = interfaceIndex(options.interface)
  const pins = makePinDirectories(options.bpffs)
  using object = BpfObject.open(OBJECT, { pinDirectory: pins.maps, mapSizes: smallMaps() }).load()
  setVips(object.map('decap_vips'), vips)
  const mode = options.xdpMode === 'generic' ? 'generic' : 'native'
  const program = object.program(PROGRAM)
  using link = ensurePinned(join(pins.links, `${PROGRAM}-${ifindex}`), program, ifindex, () => attachXdp(program, ifindex, { mode }))
  if (options.xdpMode === 'native' && link.fallback !== undefined) {
    removePinned(options.bpffs)
    throw new AgentError('UNAVAILABLE', `${options.interface} cannot run XDP natively: ${link.fallback}`, { hint: 'use --xdp-mode auto' })
  }
  return { interface: options.interface, vips: options.vips, fallback: link.fallback }
}

export function detachDecap({ bpffs }: DecapOptions): boolean {
  const existed = existsSync(bpffs)
  removePinned(bpffs)
  return existed
}

/** An object declares every map of bpf/maps.h; those that this program never touches need no memory. */
function smallMaps(): Record<string, number> {
  using object = BpfObject.open(OBJECT)
  const unused = object.mapSpecs.filter(({ name }) => !USED_MAPS.includes(name))
  return Object.fromEntries(unused.map(({ name }) => [name, 1]))
}

/** Additions first: a VIP that stays is never missing. */
function setVips(map: BpfMap, vips: readonly Uint8Array[]): void {
  const wanted = new Set(vips.map((vip) => Buffer.from(vip).toString('hex')))
  for (const vip of vips) map.update(vip, new Uint8Array(map.valueSize))
  const { count, keys } = readAll(map)
  for (let index = 0; index < count; index++) {
    const key = keys.subarray(index * map.keySize, (index + 1) * map.keySize)
    if (!wanted.has(Buffer.from(key).toString('hex'))) map.delete(key)
  }
}
