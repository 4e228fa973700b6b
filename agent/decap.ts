// `sluiced decap`: the backend's receiving program. Attached and pinned, it needs no agent to run; who wants it to follow
// the interface's addresses lets the command run on.
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { attachTcx, attachXdp, BpfMap, BpfObject, clsactProgram, ensurePinned, interfaceIndex, type Program, systemLibbpf } from '../loader/index.ts'
import { prefixKeyRecord } from '../bpf/index.ts'
import { parsePrefix } from '../engine/index.ts'
import { addressBytes } from './address.ts'
import { AgentError } from './errors.ts'
import { ANY_SOURCE, type DecapOptions } from './options.ts'
import type { InterfacePort } from './interfaces.ts'
import { type Logger, messageOf } from './log.ts'
import { makePinDirectories, pinDirectories, removePinned } from './pins.ts'
import { setKeys } from './reconcilers/contents.ts'
import { Reconciler } from './reconcilers/reconciler.ts'
import { DECAP_TC, removeLink } from './worker/links.ts'

const OBJECT = join(import.meta.dirname, '../build/bpf/decap.bpf.o')
const DECAP_XDP = 'decap'
const USED_MAPS = ['decap_vips', 'decap_sources', 'decap_addresses', 'counters', 'events', 'events_lost', '.rodata', '.bss', '.data']

export interface DecapReport {
  readonly interface: string
  readonly vips: readonly string[]
  readonly sources: readonly string[]
  /** Outer destinations: the interface's own. */
  readonly addresses: readonly string[]
  readonly hook: 'xdp' | 'tc'
  /** Why it is not attached as it was asked for. */
  readonly fallback: string | undefined
}

/** Attaches, or puts a new program and new lists into what is attached. `addresses`: of the interface. */
export function attachDecap(options: DecapOptions, addresses: readonly string[]): DecapReport {
  if (addresses.length === 0) {
    throw new AgentError('UNAVAILABLE', `${options.interface} has no address that a balancer could send to`, { hint: 'give it one, then run decap again' })
  }
  const vips = options.vips.map(addressBytes)
  const sources = options.sources.map(sourceKey)
  const ifindex = interfaceIndex(options.interface)
  const pins = makePinDirectories(options.bpffs)
  using object = BpfObject.open(OBJECT, { pinDirectory: pins.maps, mapSizes: smallMaps() }).load()
  setKeys(object.map('decap_addresses'), addresses.map(addressBytes))
  setKeys(object.map('decap_sources'), sources)
  setKeys(object.map('decap_vips'), vips)
  const attached = attach(object, options.xdpMode, ifindex, pins.links)
  if (options.xdpMode === 'native' && attached.fallback !== undefined) {
    removePinned(options.bpffs)
    throw new AgentError('UNAVAILABLE', `${options.interface} cannot run XDP natively: ${attached.fallback}`, { hint: 'use --xdp-mode auto' })
  }
  return { interface: options.interface, vips: options.vips, sources: options.sources, addresses, ...attached }
}

type Attached = Pick<DecapReport, 'hook' | 'fallback'>

/** Tries tc where XDP is not possible, or taken by another program. What was attached the other way goes last, so that no packet meets neither. */
function attach(object: BpfObject, mode: DecapOptions['xdpMode'], ifindex: number, directory: string): Attached {
  const pinOf = (program: string): string => join(directory, `${program}-${ifindex}`)
  const xdp = mode === 'off' ? undefined : attachByXdp(object.program(DECAP_XDP), ifindex, pinOf(DECAP_XDP), mode)
  if (xdp !== undefined && (xdp.fallback === undefined || mode !== 'auto')) {
    removeLink(pinOf(DECAP_TC))
    return xdp
  }
  const tc = attachByTc(object.program(DECAP_TC), ifindex, pinOf(DECAP_TC))
  removeLink(pinOf(DECAP_XDP))
  return xdp === undefined ? tc : { ...tc, fallback: `tc instead of ${xdp.fallback}` }
}

function attachByXdp(program: Program, ifindex: number, pin: string, mode: DecapOptions['xdpMode']): Attached {
  const attach = () => attachXdp(program, ifindex, { mode: mode === 'generic' ? 'generic' : 'native' })
  try {
    using link = ensurePinned(pin, program, { ifindex, attach })
    return { hook: 'xdp', fallback: link.fallback }
  } catch (error) {
    if (mode !== 'auto') throw error
    return { hook: 'xdp', fallback: `XDP: ${messageOf(error)}` }
  }
}

function attachByTc(program: Program, ifindex: number, pin: string): Attached {
  const direction = 'ingress'
  const attach = () => {
    if (clsactProgram(ifindex, direction) !== undefined) throw new AgentError('UNAVAILABLE', 'the agent of this node has its filter there', { hint: 'use --xdp-mode generic' })
    // Before the agent's programs, which end the chain: they are to see what comes out of the tunnel.
    return attachTcx(program, ifindex, direction, systemLibbpf(), 'first')
  }
  using link = ensurePinned(pin, program, { ifindex, direction, attach })
  return { hook: 'tc', fallback: link.fallback }
}

/** None where there is no such interface. */
export async function addressesOf(device: string, interfaces: Pick<InterfacePort, 'list'>): Promise<readonly string[]> {
  return (await interfaces.list()).find(({ name }) => name === device)?.addresses ?? []
}

/** Keeps what is attached receiving for the addresses that the interface has now, until the signal aborts. */
export async function followAddresses(options: DecapOptions, interfaces: InterfacePort, log: Logger, signal: AbortSignal): Promise<void> {
  const path = join(pinDirectories(options.bpffs).maps, 'decap_addresses')
  const reconcile = async (): Promise<void> => {
    using map = BpfMap.openPinned(path)
    setKeys(map, (await addressesOf(options.interface, interfaces)).map(addressBytes))
  }
  const reconciler = new Reconciler({ name: 'decap', log, reconcile })
  interfaces.watch(() => reconciler.request(), signal)
  reconciler.request() // They may have changed before the watch began.
  await once(signal, 'abort')
  await reconciler.stop()
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

/** Key of `decap_sources`; IPv4 stands in mapped form, so that ::/0 covers both families. */
function sourceKey(text: string): Uint8Array {
  if (text === ANY_SOURCE) return prefixKeyRecord.encode({ prefixLength: 0, address: new Uint8Array(16) })
  const { address, length } = parsePrefix(text) ?? { address: addressBytes(text), length: 128 }
  return prefixKeyRecord.encode({ prefixLength: length, address })
}
