// VLAN devices of this node, whose tags XDP has to write itself.
import type { Interface } from './interfaces.ts'

export interface VlanDevice {
  readonly ifindex: number
  /** Ifindex of the interface below all tags. */
  readonly parent: number
  /** TPID << 16 | TCI, outermost first: one or two. */
  readonly tags: readonly number[]
}

/** By the names that `ip` gives them. */
const TPIDS: Readonly<Record<string, number>> = { '802.1Q': 0x8100, '802.1ad': 0x88a8 }

/** Those with one tag or two over an interface of this namespace; the datapath knows no others. */
export function vlanDevices(links: readonly Interface[]): VlanDevice[] {
  const byName = new Map(links.map((link) => [link.name, link]))
  return links.filter(({ vlan }) => vlan !== undefined).flatMap((link) => {
    const device = deviceOf(link, byName)
    return device === undefined ? [] : [device]
  })
}

function deviceOf(link: Interface, byName: ReadonlyMap<string, Interface>): VlanDevice | undefined {
  const tags: number[] = []
  let below: Interface | undefined = link
  while (below?.vlan !== undefined && tags.length < 3) {
    tags.unshift((TPIDS[below.vlan.protocol] ?? 0) * 0x1_0000 + below.vlan.id)
    below = below.peerName === undefined ? undefined : byName.get(below.peerName)
  }
  return below === undefined || tags.length > 2 ? undefined : { ifindex: link.ifindex, parent: below.ifindex, tags }
}
