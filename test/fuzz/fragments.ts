// What the balancer remembers of datagrams in fragments.

import type { Packet } from './parse.ts'

export type Refusal = 'malformed' | 'fragment-without-first' | 'overlapping-fragment'

/** In 8 bytes. */
interface Part {
  readonly first: number
  readonly past: number
}

interface Datagram {
  parts: Part[]
  total: number | undefined
}

const MAX_PARTS = 4
const MAX_PAST = 8192

export class Fragments {
  readonly #ports = new Map<string, readonly [source: number, destination: number]>()
  readonly #datagrams = new Map<string, Datagram>()

  clear(): void {
    this.#ports.clear()
    this.#datagrams.clear()
  }

  /** Gives a later fragment the ports of its first. */
  completePorts(packet: Packet): Refusal | undefined {
    if (!packet.isLater) return undefined
    const ports = this.#ports.get(keyOf(packet))
    if (ports === undefined) return 'fragment-without-first'
    ;[packet.sourcePort, packet.destinationPort] = ports
    return undefined
  }

  /** Of a packet to a frontend. */
  admit(packet: Packet): Refusal | undefined {
    const length = packet.end - packet.partStart
    const past = packet.partOffset + Math.ceil(length / 8)
    if (length <= 0 || past > MAX_PAST || (packet.more && length % 8 !== 0)) return 'malformed'
    const refusal = this.#add(keyOf(packet), { first: packet.partOffset, past }, !packet.more)
    if (refusal === undefined && packet.isFirst) this.#ports.set(keyOf(packet), [packet.sourcePort, packet.destinationPort])
    return refusal
  }

  #add(key: string, part: Part, isLast: boolean): Refusal | undefined {
    const datagram = this.#datagrams.get(key) ?? { parts: [], total: undefined }
    const overlaps = datagram.parts.some(({ first, past }) => part.first < past && (isLast || part.past > first))
    if (overlaps || part.past > (datagram.total ?? Infinity)) return 'overlapping-fragment'
    const joined = join(datagram.parts, part)
    if (joined.length > MAX_PARTS) return 'overlapping-fragment'
    datagram.parts = joined
    if (isLast) datagram.total = part.past
    const isWhole = datagram.parts.some(({ first, past }) => first === 0 && past === datagram.total)
    if (isWhole && this.#datagrams.has(key)) this.#datagrams.delete(key)
    else this.#datagrams.set(key, datagram)
    return undefined
  }
}

function join(parts: readonly Part[], part: Part): Part[] {
  const before = parts.find(({ past }) => past === part.first)
  const behind = parts.find(({ first }) => first === part.past)
  const rest = parts.filter((each) => each !== before && each !== behind)
  return [...rest, { first: before?.first ?? part.first, past: behind?.past ?? part.past }]
}

function keyOf({ source, destination, identification, protocol }: Packet): string {
  return `${source} ${destination} ${identification} ${protocol}`
}
