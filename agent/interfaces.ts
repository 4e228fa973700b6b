// Interfaces of this network namespace, by way of `ip` (netlink). /sys/class/net would show another namespace's: sysfs
// belongs to the namespace that mounted it, and the agent keeps the machine's mounts for bpffs.
import { execFile, spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Logger } from './log.ts'
import { messageOf } from './log.ts'

const run = promisify(execFile)

/** Where `ip netns` keeps names of network namespaces. */
const NAMESPACES = '/run/netns'

export interface Interface {
  readonly ifindex: number
  readonly name: string
  readonly mac: string | undefined
  /** Kind of a virtual interface, e.g. "veth". */
  readonly kind: string | undefined
  /** Of a VLAN device: `peerName` is the interface below. */
  readonly vlan: { readonly protocol: string; readonly id: number } | undefined
  readonly up: boolean
  /** Of the other end, in its own namespace. */
  readonly peerIfindex: number | undefined
  /** Name of the other end where it is in this namespace too. */
  readonly peerName: string | undefined
  /** The other end is in another namespace: its number for that one. */
  readonly peerNamespaceId: number | undefined
  readonly addresses: readonly string[]
  /** Of the XDP program that is attached. */
  readonly xdpMode: 'native' | 'generic' | undefined
}

/** What the agent asks of the system; tests answer it from memory. */
export interface InterfacePort {
  list(): Promise<readonly Interface[]>
  /** MAC of the other end of a veth, or undefined where it cannot be seen from here. */
  peerMac(link: Interface, netns: string | undefined): Promise<string | undefined>
  /** Calls `changed` whenever links or addresses may have changed, until the signal aborts. */
  watch(changed: () => void, signal: AbortSignal): void
}

interface IpAddressJson {
  readonly ifindex: number
  readonly ifname: string
  readonly address?: string
  readonly link_index?: number
  readonly link?: string
  readonly link_netnsid?: number
  readonly flags?: readonly string[]
  readonly linkinfo?: { readonly info_kind?: string; readonly info_data?: { readonly protocol?: string; readonly id?: number } }
  readonly xdp?: { readonly mode: number }
  readonly addr_info?: readonly { readonly local?: string }[]
}

export class SystemInterfaces implements InterfacePort {
  readonly #log: Logger

  constructor(log: Logger) {
    this.#log = log
  }

  async list(): Promise<readonly Interface[]> {
    return (await ipJson<IpAddressJson>(['-details', 'address', 'show'])).filter(({ ifindex }) => ifindex > 0).map(toInterface)
  }

  async peerMac(link: Interface, netns: string | undefined): Promise<string | undefined> {
    if (link.peerName !== undefined) return (await this.list()).find(({ name }) => name === link.peerName)?.mac
    const name = netns ?? (await namespaceName(link.peerNamespaceId))
    if (name === undefined || link.peerIfindex === undefined) return undefined
    const links = await ipJson<IpAddressJson>(['link', 'show'], ['nsenter', `--net=${resolve(NAMESPACES, name)}`, '--'])
    return links.find(({ ifindex }) => ifindex === link.peerIfindex)?.address
  }

  watch(changed: () => void, signal: AbortSignal): void {
    this.#watch(changed, signal).catch((error: unknown) => this.#log.error('watch of interfaces ended', { error }))
  }

  async #watch(changed: () => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await monitor(changed, signal).catch((error: unknown) => {
        if (!signal.aborted) this.#log.warn('ip monitor ended, starting it again', { reason: messageOf(error) })
      })
      if (signal.aborted) return
      await sleep(1_000, undefined, { signal }).catch(() => undefined)
      changed() // Something may have happened meanwhile.
    }
  }
}

/** Resolves when the monitor ends. `--pdeathsig`: it must not outlive an agent that is killed. */
function monitor(changed: () => void, signal: AbortSignal): Promise<void> {
  return new Promise((ended, reject) => {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'ip', '-oneline', 'monitor', 'link', 'address'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      signal,
    })
    child.on('error', reject)
    child.on('exit', () => ended())
    createInterface(child.stdout).on('line', changed)
  })
}

/**
 * `within`: a command that takes it into another namespace. Not `ip -netns`, which mounts a new /sys first: that fails in
 * a container that may not mount, and where the root is no mount point (chroot).
 */
async function ipJson<T>(args: readonly string[], within: readonly string[] = []): Promise<readonly T[]> {
  const [file = '', ...rest] = [...within, 'ip', '-json', ...args]
  const { stdout } = await run(file, rest, { maxBuffer: 256 * 1024 * 1024 })
  return stdout.trim() === '' ? [] : JSON.parse(stdout)
}

/** `ip netns` names a namespace only where it has a name in /run/netns. */
async function namespaceName(id: number | undefined): Promise<string | undefined> {
  if (id === undefined) return undefined
  const namespaces = await ipJson<{ nsid: number; name?: string }>(['netns', 'list-id'])
  return namespaces.find(({ nsid }) => nsid === id)?.name
}

/** XDP_ATTACHED_* of linux/if_link.h. */
const XDP_MODES = [undefined, 'native', 'generic'] as const

function toInterface(json: IpAddressJson): Interface {
  return {
    ifindex: json.ifindex,
    name: json.ifname,
    mac: json.address,
    kind: json.linkinfo?.info_kind,
    vlan: vlanOf(json),
    up: json.flags?.includes('UP') ?? false,
    peerIfindex: json.link_index,
    peerName: json.link,
    peerNamespaceId: json.link_netnsid,
    xdpMode: XDP_MODES[json.xdp?.mode ?? 0],
    addresses: (json.addr_info ?? []).flatMap(({ local }) => (local === undefined ? [] : [local])),
  }
}

function vlanOf({ linkinfo }: IpAddressJson): Interface['vlan'] {
  const { protocol, id } = linkinfo?.info_data ?? {}
  return linkinfo?.info_kind === 'vlan' && protocol !== undefined && id !== undefined ? { protocol, id } : undefined
}
