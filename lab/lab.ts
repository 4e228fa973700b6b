import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Addresses, lan, lanAddresses, mac, virtualRanges, workloadRanges } from './address.ts'
import { removeAbandonedLabs, removeLab } from './cleanup.ts'
import { inNamespace, ip, run } from './command.ts'
import { Host, type LabContext } from './host.ts'
import { Node } from './node.ts'
import { bpffsRoot, missingPrivilege } from './privilege.ts'
import { isAlive } from './process.ts'
import { labFolder, ownRecord, records, runFolder, writeRecord } from './record.ts'

export interface LabOptions {
  /**
   * Lower-case letters and digits, for a lab that people look at: the CLI finds its agent. Without one the lab gets a
   * name that no other has, and the CLI needs the socket of its agent.
   */
  readonly name?: string
  /** Aborts whatever the lab waits for. */
  readonly signal?: AbortSignal
}

const [lanPrefixLength4, lanPrefixLength6] = [lan.ipv4, lan.ipv6].map((prefix) => prefix.split('/')[1])
const passProgram = fileURLToPath(new URL('../build/bpf/xdp_pass.bpf.o', import.meta.url))
let labs = 0

/**
 * A LAN in namespaces: a bridge in one of its own, hosts and nodes around it. Nothing of the machine's own network is
 * touched, and everything is called `sluice-LAB-*`, so that it can be removed whoever made it.
 */
export class Lab implements AsyncDisposable {
  readonly name: string
  readonly hosts: Host[] = []
  readonly nodes: Node[] = []
  readonly #context: LabContext
  readonly #bridge: string
  /** Aborted on disposal, so that what still runs then makes nothing anew. */
  readonly #end = new AbortController()
  #kept = false

  private constructor(name: string, folder: string, signal: AbortSignal | undefined) {
    this.name = name
    this.#bridge = `sluice-${name}-lan`
    const signals = signal === undefined ? [this.#end.signal] : [signal, this.#end.signal]
    this.#context = { name, folder, signal: AbortSignal.any(signals) }
  }

  static async create({ name, signal }: LabOptions = {}): Promise<Lab> {
    const missing = missingPrivilege()
    if (missing !== undefined) throw new Error(`a lab cannot be made: ${missing}`)
    const folder = name === undefined ? labFolder : runFolder
    const lab = new Lab(checkName(name ?? `t${process.pid}x${++labs}`), folder, signal)
    checkFree(lab.name)
    await removeAbandonedLabs()
    await removeLab(lab.name)
    writeRecord(ownRecord(lab.name))
    try {
      await lab.#makeLan()
    } catch (error) {
      await lab[Symbol.asyncDispose]()
      throw error
    }
    return lab
  }

  async #makeLan(): Promise<void> {
    const { folder, signal } = this.#context
    mkdirSync(join(folder, `${this.name}-logs`), { recursive: true })
    await ip([`netns add ${this.#bridge}`], undefined, signal)
    await ip(
      ['link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0', 'link set br0 up'],
      this.#bridge,
      signal,
    )
  }

  /** A host of the LAN; its number, 9 to 254, is the last part of its addresses. */
  async addHost(name: string, number: number): Promise<Host> {
    const host = new Host(this.#context, name, lanAddresses(number))
    await this.#connect(host, number)
    for (const node of this.nodes) await addRoutes(host, node)
    this.hosts.push(host)
    return host
  }

  /** A node; its number, 1 to 8, also tells its workload range. */
  async addNode(name: string, number = this.nodes.length + 1): Promise<Node> {
    const node = new Node(this.#context, name, number)
    await this.#connect(node, number)
    await this.#acceptXdpTransmit(node)
    // The datapath asks the FIB for next hops, which answers only where forwarding is on.
    await node.sysctl({ 'ipv4/ip_forward': 1, 'ipv6/conf/all/forwarding': 1 })
    for (const host of this.hosts) await addRoutes(host, node)
    for (const other of this.nodes) await Promise.all([addRoutes(other, node), addRoutes(node, other)])
    this.nodes.push(node)
    return node
  }

  /** The lab stays when this object is disposed of and when the process ends; `removeLab(name)` removes it. */
  keep(): void {
    this.#kept = true
    const { owner: _, ...record } = ownRecord(this.name)
    writeRecord(record)
  }

  /**
   * XDP programs on a veth see what the sender's offloads left undone: with transmit checksumming off (and with it
   * TSO) packets are whole.
   */
  async #connect(host: Host, number: number): Promise<void> {
    const { signal } = this.#context
    const ends = `netns ${host.namespace} address ${mac.lan(number)} type veth peer name ${portOf(host)} netns ${this.#bridge}`
    await ip([`netns add ${host.namespace}`], undefined, signal)
    await host.sysctl(lanSettings)
    await ip([`link add eth0 ${ends}`], undefined, signal)
    await ip([`link set ${portOf(host)} master br0 up`], this.#bridge, signal)
    await host.run(['ethtool', '-K', 'eth0', 'tx', 'off'])
    await host.ip(
      'link set lo up',
      'link set eth0 up',
      `address add ${host.addresses.ipv4}/${lanPrefixLength4} dev eth0`,
      `address add ${host.addresses.ipv6}/${lanPrefixLength6} dev eth0 nodad`,
    )
  }

  /** What a node's balancer sends back to the bridge, the bridge's port takes only with a program (xdp_pass.bpf.c). */
  async #acceptXdpTransmit(node: Node): Promise<void> {
    const { signal } = this.#context
    const pin = join(bpffsRoot, `${this.#bridge}-${node.name}`)
    await run(['bpftool', 'prog', 'load', passProgram, pin, 'type', 'xdp'], { signal })
    const attach = ['bpftool', 'net', 'attach', 'xdp', 'pinned', pin, 'dev', portOf(node)]
    await run(inNamespace(this.#bridge, attach), { signal })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort(new Error(`the lab ${this.name} was disposed of`))
    for (const host of [...this.hosts, ...this.nodes]) await host[Symbol.asyncDispose]()
    if (!this.#kept) await removeLab(this.name)
  }
}

/** The bridge's side of a host's link. */
function portOf(host: Host): string {
  return `p-${host.name}`.slice(0, 15)
}

/** Virtual addresses stand on the loopback of backends: they may neither answer ARP for them nor ask in their name. */
const lanSettings = {
  'ipv6/conf/default/accept_dad': 0,
  'ipv6/conf/default/accept_ra': 0,
  'ipv4/conf/all/rp_filter': 0,
  'ipv4/conf/default/rp_filter': 0,
  'ipv4/conf/all/arp_ignore': 1,
  'ipv4/conf/all/arp_announce': 2,
} as const

/** Routes to a node's workloads and, on the first node, to the balancer's virtual addresses. */
async function addRoutes(host: Host, node: Node): Promise<void> {
  const ranges: Addresses[] = [workloadRanges(node.number), ...(node.number === 1 ? [virtualRanges] : [])]
  await host.ip(...ranges.flatMap(({ ipv4, ipv6 }) => [
    `route replace ${ipv4} via ${node.addresses.ipv4}`,
    `route replace ${ipv6} via ${node.addresses.ipv6}`,
  ]))
}

function checkFree(name: string): void {
  const owner = records().find((record) => record.name === name)?.owner
  if (owner === undefined || !isAlive(owner)) return
  throw new Error(`process ${owner.pid} has a lab of the name ${name}: wait for it or end it`)
}

function checkName(name: string): string {
  if (/^[a-z0-9]{1,20}$/.test(name)) return name
  throw new Error(`${name} is no name of a lab: 1 to 20 lower-case letters and digits`)
}
