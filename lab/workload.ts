import { gateway, mac, workloadAddresses } from './address.ts'
import { ip } from './command.ts'
import { Host, type LabContext } from './host.ts'

export interface WorkloadSpec {
  /** At most 12 characters, since its interface on the node is called sl-NAME. */
  readonly name: string
  /** Last part of its addresses, 2 to 254. */
  readonly number: number
  /** Namespace of the manifest. */
  readonly namespace?: string
  readonly labels?: Readonly<Record<string, string>>
}

/** A workload: a namespace and a veth whose other side is in the node's namespace. */
export class Workload extends Host {
  readonly spec: WorkloadSpec
  readonly node: number
  readonly nodeNamespace: string
  /** Node side of its veth. */
  readonly interface: string

  private constructor(context: LabContext, spec: WorkloadSpec, node: number, nodeNamespace: string) {
    super(context, spec.name, workloadAddresses(node, spec.number))
    this.spec = spec
    this.node = node
    this.nodeNamespace = nodeNamespace
    this.interface = `sl-${spec.name}`
    if (this.interface.length > 15) throw new RangeError(`${spec.name} is too long for a workload: 12 characters`)
  }

  static async create(context: LabContext, spec: WorkloadSpec, node: number, nodeNamespace: string): Promise<Workload> {
    const workload = new Workload(context, spec, node, nodeNamespace)
    const { namespace, interface: nodeSide } = workload
    const [own, other] = [mac.workload(node, spec.number), mac.nodeSide(node, spec.number)]
    await ip([`netns add ${namespace}`], undefined, context.signal)
    await workload.sysctl({ 'ipv6/conf/default/accept_dad': 0, 'ipv6/conf/default/accept_ra': 0 })
    const ends = `netns ${nodeNamespace} address ${other} type veth peer name eth0 netns ${namespace} address ${own}`
    await ip([`link add ${nodeSide} ${ends}`], undefined, context.signal)
    await workload.#configure(own)
    return workload
  }

  /**
   * The node's routes come first, as a CNI plug-in would set them: only the node's own stack uses them, packets of
   * other workloads and of the LAN are redirected by the datapath.
   */
  async #configure(own: string): Promise<void> {
    const { ipv4, ipv6 } = this.addresses
    const dev = `dev ${this.interface}`
    const node = [
      `link set ${this.interface} up`,
      `neighbour replace ${ipv4} lladdr ${own} ${dev} nud permanent`,
      `neighbour replace ${ipv6} lladdr ${own} ${dev} nud permanent`,
      `route replace ${ipv4}/32 ${dev}`,
      `route replace ${ipv6}/128 ${dev}`,
    ]
    await ip(node, this.nodeNamespace, this.context.signal)
    await this.ip(
      'link set lo up',
      'link set eth0 up',
      `address add ${ipv4}/32 dev eth0`,
      `address add ${ipv6}/128 dev eth0 nodad`,
      `route add ${gateway.ipv4} dev eth0 scope link`,
      `route add default via ${gateway.ipv4} dev eth0 onlink`,
      `route add default via ${gateway.ipv6} dev eth0 onlink`,
    )
  }

  /** `namespace/name`, as listings and flows show it. */
  get fullName(): string {
    return `${this.manifestNamespace}/${this.name}`
  }

  get manifestNamespace(): string {
    return this.spec.namespace ?? 'default'
  }

  /** Its document for the agent. */
  manifest(labels: Readonly<Record<string, string>> = this.spec.labels ?? {}): object {
    return {
      apiVersion: 'sluice.io/v1',
      kind: 'Workload',
      metadata: { name: this.name, namespace: this.manifestNamespace, labels },
      spec: {
        addresses: [this.addresses.ipv4, this.addresses.ipv6],
        interface: this.interface,
        netns: this.namespace,
        mac: mac.workload(this.node, this.spec.number),
      },
    }
  }

  /** Removes the workload and its namespace, as when a container ends. */
  async remove(): Promise<void> {
    await this[Symbol.asyncDispose]()
    await ip([`link delete ${this.interface}`], this.nodeNamespace)
    await ip([`netns delete ${this.namespace}`])
  }
}
