import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { lanAddresses, workloadRanges } from './address.ts'
import { Agent } from './agent.ts'
import { cgroupRoot } from './cleanup.ts'
import { Host, type LabContext } from './host.ts'
import { Workload, type WorkloadSpec } from './workload.ts'

const sluiced = fileURLToPath(new URL('../sluiced', import.meta.url))

export interface AgentOptions {
  /** Folders of manifests; without any only the API is a source. */
  readonly manifests?: readonly string[]
  /** Further options of sluiced. */
  readonly options?: readonly string[]
}

/** A node: a host of the LAN with workloads and, once started, an agent with all state of its own. */
export class Node extends Host {
  readonly number: number
  readonly workloads: Workload[] = []

  constructor(context: LabContext, name: string, number: number) {
    super(context, name, lanAddresses(number))
    this.number = number
  }

  async addWorkload(spec: WorkloadSpec): Promise<Workload> {
    const workload = await Workload.create(this.context, spec, this.number, this.namespace)
    this.workloads.push(workload)
    return workload
  }

  /** Starts the agent, or starts it again after it ended, and waits until it has programmed what it knows. */
  async startAgent(options: AgentOptions = {}): Promise<Agent> {
    const agent = this.launchAgent(options)
    await agent.waitUntilReady(this.context.signal)
    return agent
  }

  /** The same without waiting. */
  launchAgent({ manifests = [], options = [] }: AgentOptions = {}): Agent {
    mkdirSync(this.stateFolder, { recursive: true })
    const socket = join(this.stateFolder, 'sluice.sock')
    const ranges = Object.values(workloadRanges(this.number)) as string[]
    const service = this.start('agent', [
      sluiced,
      ...['--name', `${this.context.name}-${this.name}`, '--uplink', 'eth0'],
      ...['--state-dir', this.stateFolder, '--socket', socket, '--bpffs', this.bpffs],
      ...this.#cgroupOptions(),
      ...ranges.flatMap((range) => ['--workload-range', range]),
      ...manifests.flatMap((folder) => ['--manifests', folder]),
      ...options,
    ])
    return new Agent(service, socket)
  }

  /** Socket, database and lock of the agent. */
  get stateFolder(): string {
    return join(this.context.folder, `${this.context.name}-${this.name}`)
  }

  #cgroupOptions(): string[] {
    const root = cgroupRoot()
    if (root === undefined) return []
    const folder = join(root, this.namespace)
    mkdirSync(folder, { recursive: true })
    return ['--cgroup', folder]
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    for (const workload of this.workloads) await workload[Symbol.asyncDispose]()
    await super[Symbol.asyncDispose]()
  }
}
