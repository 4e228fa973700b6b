// What the balancer is to do with a frame, written down again without a look at its program: the verdict, the reason of a
// drop, and every byte that leaves.

import { concat, EtherType, IpProtocol, number32 } from '../wire.ts'
import { answerEcho, answerTooBig } from './answers.ts'
import { flowHash } from './hash.ts'
import { encapsulate } from './headers.ts'
import { Fragments, type Refusal } from './fragments.ts'
import { type Packet, parseIp, parseQuotation } from './parse.ts'
import type { EdgeWorld, Way } from './world.ts'

export type Outcome =
  | { readonly verdict: 'pass' | 'transmit' | 'redirect'; readonly data: Uint8Array; readonly reason?: string }
  | { readonly verdict: 'drop'; readonly reason: string }

const FLOOD: Outcome = { verdict: 'drop', reason: 'of a flood' }

const TAG_TYPES: readonly number[] = [0x8100, 0x88a8]
const MAX_TAGS = 2

export class BalancerModel {
  readonly #world: EdgeWorld
  readonly #fragments = new Fragments()

  constructor(world: EdgeWorld) {
    this.#world = world
  }

  /** Forgets every datagram. */
  reset(): void {
    this.#fragments.clear()
  }

  expect(frame: Uint8Array): Outcome {
    const pass = { verdict: 'pass', data: frame } as const
    if (Buffer.compare(frame.subarray(0, 6), this.#world.stationMac) !== 0) return pass
    const { tags, bare } = untag(frame)
    const outcome = bare === undefined ? pass : this.#balance(bare)
    if (outcome.verdict === 'drop' || outcome.verdict === 'redirect') return outcome
    return outcome === pass ? pass : { ...outcome, data: retag(outcome.data, tags) }
  }

  #balance(frame: Uint8Array): Outcome {
    const type = word(frame, 12)
    if (type !== EtherType.IPV4 && type !== EtherType.IPV6) return { verdict: 'pass', data: frame }
    const packet = parseIp(frame, 14, type === EtherType.IPV4 ? 4 : 6)
    if (packet.source !== undefined && this.#world.isPrefiltered(packet.source)) return FLOOD
    const unreadable = packet.refusal ?? this.#fragments.completePorts(packet)
    if (unreadable !== undefined) return this.#isVip(packet) ? { verdict: 'drop', reason: unreadable } : { verdict: 'pass', data: frame }
    if (packet.isIcmpError && !packet.isFirst) parseQuotation(frame, packet)
    const service = this.#world.serviceOf(packet)
    if (service === undefined) return this.#answerEcho(frame, packet)
    if (packet.source !== undefined && this.#world.refusesClient(service, packet.source)) return FLOOD
    const refusal = this.#admitFragment(frame, packet)
    if (refusal !== undefined) return { verdict: 'drop', reason: refusal }
    const way = this.#world.wayTo(service, flowHash(packet))
    return way === undefined ? { verdict: 'drop', reason: 'no-backend' } : this.#send(frame, packet, way)
  }

  #isVip({ destination }: Packet): boolean {
    return destination !== undefined && this.#world.isVip(destination)
  }

  #answerEcho(frame: Uint8Array, packet: Packet): Outcome {
    const asks = packet.echo === 'request' && !packet.isFirst && !packet.isIcmpError && this.#isVip(packet)
    return (asks ? answerEcho(frame, packet) : undefined) ?? { verdict: 'pass', data: frame }
  }

  #admitFragment(frame: Uint8Array, packet: Packet): Refusal | undefined {
    if (!packet.isFirst && !packet.isLater) return undefined
    if (packet.isFirst && !hasWholeHeader(frame, packet)) return 'malformed'
    return this.#fragments.admit(packet)
  }

  #send(frame: Uint8Array, packet: Packet, way: Way): Outcome {
    const length = packet.family === 4 ? word(frame, 16) : word(frame, 18)
    const total = packet.family === 4 ? length : 40 + length
    if (length === 0 || total > frame.byteLength - 14) return { verdict: 'drop', reason: 'malformed' }
    if (way.mtu === undefined || (way.tunnel === undefined && !way.onSegment)) return { verdict: 'drop', reason: 'no-route' }
    const sent = encapsulate(frame, packet, way, total)
    if (total + sent.overhead > way.mtu) return answerTooBig(frame, packet, way.mtu - sent.overhead)
    return { verdict: 'redirect', data: retag(sent.data, way.tags) }
  }
}

function word(frame: Uint8Array, at: number): number {
  return ((frame[at] ?? 0) << 8) | (frame[at + 1] ?? 0)
}

/** `bare` is undefined where a frame is left as it is: three tags, or none that is whole. */
function untag(frame: Uint8Array): { tags: readonly number[]; bare: Uint8Array | undefined } {
  if (!TAG_TYPES.includes(word(frame, 12))) return { tags: [], bare: frame }
  if (frame.byteLength < 24) return { tags: [], bare: undefined }
  const tags: number[] = []
  while (TAG_TYPES.includes(word(frame, 12 + 4 * tags.length)) && tags.length < MAX_TAGS) {
    const at = 12 + 4 * tags.length
    tags.push(word(frame, at) * 0x1_0000 + word(frame, at + 2))
  }
  const bare = concat(frame.subarray(0, 12), frame.subarray(12 + 4 * tags.length))
  const type = word(bare, 12)
  return type === EtherType.IPV4 || type === EtherType.IPV6 ? { tags, bare } : { tags: [], bare: undefined }
}

function retag(frame: Uint8Array, tags: readonly number[]): Uint8Array {
  return concat(frame.subarray(0, 12), ...tags.map(number32), frame.subarray(12))
}

/** Of a first fragment; UDP's is as long as any packet must have it. */
function hasWholeHeader(frame: Uint8Array, { protocol, l4, end }: Packet): boolean {
  const bytes = protocol === IpProtocol.SCTP ? 12 : protocol === IpProtocol.TCP ? ((frame[l4 + 12] ?? 0) >> 4) * 4 : 0
  return l4 + bytes <= Math.min(end, frame.byteLength)
}

