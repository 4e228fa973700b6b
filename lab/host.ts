import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { type Addresses, lanAddresses } from './address.ts'
import { ClientProcess, type Reply, type Stream, type Target } from './client-process.ts'
import { inNamespace, ip, run, type RunOptions, type RunResult } from './command.ts'
import { Service } from './service.ts'
import { labVariable } from './record.ts'

const serverScript = fileURLToPath(new URL('server.ts', import.meta.url))
const sluiced = fileURLToPath(new URL('../sluiced', import.meta.url))

/** What hosts need of their lab. */
export interface LabContext {
  readonly name: string
  /** Holds the folders of its nodes and of its logs. */
  readonly folder: string
  readonly signal: AbortSignal
}

/** Port of a server: HTTP, UDP answered with the name, TCP that echoes, sends of itself, or only receives. */
export type ServerPort = `${'tcp' | 'udp' | 'echo' | 'source' | 'sink'}:${number}` | `udp:${number}@${string}`

/** A network namespace with addresses: a host of the LAN, a node, or a workload. */
export class Host implements AsyncDisposable {
  readonly name: string
  readonly namespace: string
  readonly addresses: Addresses
  protected readonly context: LabContext
  #client: ClientProcess | undefined

  constructor(context: LabContext, name: string, addresses: Addresses) {
    this.context = context
    this.name = name
    this.namespace = `sluice-${context.name}-${name}`
    this.addresses = addresses
  }

  /** Runs a command in the namespace, to its end. bpffs and cgroups are visible to it. */
  run(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return run(inNamespace(this.namespace, command), { signal: this.context.signal, ...options })
  }

  /** Runs lines of `ip` in the namespace. */
  ip(...lines: string[]): Promise<void> {
    return ip(lines, this.namespace, this.context.signal)
  }

  /** Sets values below /proc/sys/net, which shows the namespace of who looks. */
  async sysctl(values: Readonly<Record<string, number>>): Promise<void> {
    const lines = Object.entries(values).map(([key, value]) => `echo ${value} > /proc/sys/net/${key}`)
    await this.run(['sh', '-ec', lines.join('\n')])
  }

  /** Starts a process in the background; it lives until the lab is removed. */
  start(what: string, command: readonly string[]): Service {
    this.context.signal.throwIfAborted()
    return new Service({
      what: `${what} on ${this.name}`,
      command: inNamespace(this.namespace, command),
      logFile: join(this.context.folder, `${this.context.name}-logs`, `${this.name}-${what}.log`),
      environment: this.environment(),
    })
  }

  /** Starts a server that answers on these ports, over IPv4 and IPv6, with this host's name. */
  async serve(...ports: ServerPort[]): Promise<Service> {
    const service = this.start('server', [process.execPath, serverScript, this.name, ...ports])
    await service.waitForLine('ready', this.context.signal)
    return service
  }

  /** Receives the first node's packets for these virtual addresses, which stand on the loopback. `off`: by tc. */
  async decapsulate(virtual: readonly string[], xdpMode: 'auto' | 'off' = 'auto'): Promise<string> {
    await this.ip(...virtual.map((address) => `address replace ${address} dev lo ${address.includes(':') ? 'nodad' : ''}`))
    const vips = virtual.flatMap((address) => ['--vip', address])
    const balancer = lanAddresses(1)
    const sources = ['--source', balancer.ipv4, '--source', balancer.ipv6]
    const { stdout } = await this.run([sluiced, 'decap', '--interface', 'eth0', '--bpffs', `${this.bpffs}-decap`, '--xdp-mode', xdpMode, ...vips, ...sources])
    return stdout
  }

  /** One request, over a new connection. A dropped packet shows as the outcome `timeout`. */
  async request(target: Target): Promise<Reply> {
    this.context.signal.throwIfAborted()
    return this.#clientProcess().request(target)
  }

  /** A connection that sends a byte every `intervalMs` (50; 0: never) and counts the bytes that come. */
  stream(target: Target & { readonly intervalMs?: number }): Stream {
    return this.#clientProcess().stream(target)
  }

  /** Folder of what this host pins. */
  get bpffs(): string {
    return `/sys/fs/bpf/${this.namespace}`
  }

  protected environment(): NodeJS.ProcessEnv {
    return { ...process.env, [labVariable]: this.context.name }
  }

  #clientProcess(): ClientProcess {
    return (this.#client ??= new ClientProcess(this.namespace, this.environment()))
  }

  /** Ends this process's own part; the namespace goes with the lab. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client?.[Symbol.asyncDispose]()
    this.#client = undefined
  }
}
