// Stand-ins for the datapath and for the interfaces, for tests of everything above them.
import { EventEmitter } from 'node:events'
import type { SourceRanges } from '../../manifests/index.ts'
import type { Interface, InterfacePort } from '../interfaces.ts'
import type { Kernel, KernelStart, UplinkOptions } from '../kernel.ts'
import type { InputChange } from '../reconcilers/inputs.ts'
import type { ApplyReport } from '../reconcilers/policy.ts'
import type { FrontendSpec } from '../reconcilers/services.ts'

/** Keeps the inputs that it was told, as the engine would. */
export class FakeKernel implements Kernel {
  readonly inputs = new Map<string, InputChange['input']>()
  readonly attached = new Set<string>()
  restoresFinished = 0
  /** Thrown by the next calls of applyPolicy. */
  refusal: Error | undefined
  /** A map refuses what is written: the call's changes are taken and kept, later calls are not taken before that is over. */
  mapFailure: NonNullable<ApplyReport['error']> | undefined
  /** Thrown by the next calls of reconcileServices. */
  serviceFailure: Error | undefined
  /** What it was told last. */
  services: readonly FrontendSpec[] = []
  prefilter: SourceRanges = { allow: [], deny: [] }
  /** Objects that the kernel refuses. */
  refused: KernelStart['refused'] = []
  /** Programs that cannot be attached: "from_endpoint sl-web". */
  readonly unattachable = new Set<string>()
  /** What each start was told of the uplink. */
  readonly starts: UplinkOptions[] = []
  #pendingRuns = 0

  start: Kernel['start'] = async ({ uplinkIfindex, stationMac, encapsulationSources, vlanDevices }) => {
    this.starts.push({ uplinkIfindex, stationMac, encapsulationSources, vlanDevices })
    return { takenOver: 0, maps: [], refused: this.refused }
  }

  applyPolicy: Kernel['applyPolicy'] = async ({ changes, finishRestore }) => {
    const error = this.mapFailure
    if (error !== undefined && this.#pendingRuns > 0) return { accepted: false, written: 0, pendingRuns: this.#pendingRuns, error }
    this.#pendingRuns = 0
    // The first listing gathers before it is committed, as the engine's does.
    if (this.refusal !== undefined && this.restoresFinished > 0) throw this.refusal
    for (const { operation, input } of changes) {
      if (operation === 'set') this.inputs.set(keyOf(input), input)
      else this.inputs.delete(keyOf(input))
    }
    if (this.refusal !== undefined) throw this.refusal
    if (finishRestore) this.restoresFinished++
    if (error === undefined) return { accepted: true, written: changes.length, pendingRuns: 0 }
    this.#pendingRuns = 1
    return { accepted: true, written: 0, pendingRuns: 1, error }
  }

  reconcileServices: Kernel['reconcileServices'] = async ({ frontends, prefilter }) => {
    if (this.serviceFailure !== undefined) throw this.serviceFailure
    this.services = frontends
    this.prefilter = prefilter
    return frontends.map(({ backends }) => new Map(backends.map(({ number }) => [number, 1])))
  }

  reconcilePrograms: Kernel['reconcilePrograms'] = async ({ wanted }) => {
    const failing = wanted.filter(({ program, interface: device }) => this.unattachable.has(`${program} ${device}`))
    for (const each of wanted) if (!failing.includes(each)) this.attached.add(`${each.program} ${each.interface}`)
    return { attached: [], failures: failing.map((attachment) => ({ attachment, code: 'SYSTEM', message: 'no memory' })) }
  }

  /** Keys of what it was told, e.g. "policy NetworkPolicy/demo/web" or "endpoint 7". */
  keys(kind: string): string[] {
    return [...this.inputs.keys()].filter((key) => key.startsWith(`${kind} `)).sort()
  }
}

function keyOf(input: InputChange['input']): string {
  switch (input.input) {
    case 'identity':
      return `identity ${input.number}`
    case 'policy':
      return `policy ${input.key}`
    case 'address':
      return `address ${[...input.entry.address.subarray(12)].join('.')}/${input.entry.prefixLength}`
    case 'endpoint':
      return `endpoint ${input.entry.ifindex}`
  }
}

export class FakeInterfaces implements InterfacePort {
  readonly #changes = new EventEmitter()
  #links: Interface[] = []

  list = async (): Promise<Interface[]> => this.#links
  peerMac = async (): Promise<string> => '02:00:00:00:00:01'

  watch(changed: () => void): void {
    this.#changes.on('changed', changed)
  }

  remove(name: string): void {
    this.#links = this.#links.filter((link) => link.name !== name)
    this.#changes.emit('changed')
  }

  /** Or changes it. */
  add(name: string, ifindex: number, addresses: readonly string[] = []): void {
    const mac = '02:00:00:00:00:02'
    const peer = { peerIfindex: 2, peerName: undefined, peerNamespaceId: 0 }
    const others = this.#links.filter((link) => link.ifindex !== ifindex && link.name !== name)
    this.#links = [...others, { ifindex, name, mac, kind: 'veth', vlan: undefined, up: true, ...peer, addresses, xdpMode: undefined }]
    this.#changes.emit('changed')
  }
}
