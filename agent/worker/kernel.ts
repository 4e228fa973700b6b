// The datapath of this kernel: programs, open maps, the engine, and the reconcilers that write.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type MapName, mapSpecs } from '../../bpf/index.ts'
import { Engine, type Verdict } from '../../engine/index.ts'
import { BpfMap, SplitMap } from '../../loader/index.ts'
import type { MapItem } from '../api/types.ts'
import { AgentError } from '../errors.ts'
import type { Kernel, KernelOptions, KernelStart, RefusedObject } from '../kernel.ts'
import { makePinDirectories, type PinDirectories } from '../pins.ts'
import { Admission } from '../reconcilers/admission.ts'
import { ConntrackCollector, type ConntrackReport } from '../reconcilers/conntrack.ts'
import { type FlowReport, FlowTable } from '../reconcilers/flow-table.ts'
import { ticksOf } from '../reconcilers/hand-over.ts'
import { type ApplyReport, PolicyMaps } from '../reconcilers/policy.ts'
import type { EngineStatistics, MapPort, VerdictQuery } from '../reconcilers/ports.ts'
import { ProgramLinks, type ProgramReport } from '../reconcilers/programs.ts'
import { ServiceMaps, type ServiceReport } from '../reconcilers/services.ts'
import { reconcileVips } from '../reconcilers/vips.ts'
import { reconcileVlanDevices } from '../reconcilers/vlan-devices.ts'
import { formatRefusals } from '../refusals.ts'
import { capacitiesOf, inOptions, type MaxEntries } from './capacities.ts'
import { LoaderLinks } from './links.ts'
import { ProgramObjects } from './objects.ts'

/** Everything that exists once `start` succeeded. */
interface Running {
  readonly engine: Engine
  readonly policy: PolicyMaps
  readonly admission: Admission
  readonly services: ServiceMaps
  readonly vips: MapPort
  readonly vlanDevices: MapPort
  readonly flows: FlowTable
  readonly programs: ProgramLinks
  readonly conntrack: ConntrackCollector
  readonly takenOver: number
  readonly maps: readonly MapItem[]
  readonly maxEntries: MaxEntries
}

type Argument<M extends keyof Kernel> = Parameters<Kernel[M]>[0]

export class LinuxKernel implements Kernel, Disposable {
  readonly #objects = new ProgramObjects()
  #running: Running | undefined
  #resources = new DisposableStack()

  async start(options: KernelOptions): Promise<KernelStart> {
    const pins = makePinDirectories(options.bpffs)
    const refused = this.#objects.load(options, pins)
    this.#running ??= await this.#open(options, pins, refused)
    const { takenOver, maps, vlanDevices } = this.#running
    reconcileVlanDevices(vlanDevices, options.vlanDevices)
    return { takenOver, maps, refused }
  }

  /** A start that fails is tried again: it must not keep what it opened. */
  async #open({ xdpMode }: KernelOptions, pins: PinDirectories, refused: readonly RefusedObject[]): Promise<Running> {
    using stack = new DisposableStack()
    const map = mapOpener(pins.maps, refused, stack)
    const maxEntries: MaxEntries = (name) => map(name).maxEntries
    const engine = await Engine.load({ capacities: capacitiesOf(maxEntries) })
    const policy = new PolicyMaps(engine, {
      addresses: map('addresses'),
      prefixes: map('prefixes'),
      class_generations: map('class_generations'),
      endpoints: new SplitMap(map('endpoints'), map('endpoints_beyond')),
      policy: map('policy'),
      policy_rows: map('policy_rows'),
      last_subject: map('last_subject'),
    })
    const takenOver = policy.restore()
    const nowTicks = (): number => ticksOf(process.hrtime.bigint())
    const words = (name: 'slots' | 'slot_histories'): Uint32Array => new Uint32Array(stack.use(map(name).mmap()).buffer)
    const table = { slots: words('slots'), histories: words('slot_histories') }
    const services = new ServiceMaps(engine, { frontends: map('frontends'), backends: map('backends'), table }, nowTicks)
    const flowMaps = { half_open: map('half_open'), balanced4: map('balanced4'), balanced6: map('balanced6') }
    const running = {
      engine,
      policy,
      admission: new Admission({ source_ranges: map('source_ranges'), prefilter_size: map('prefilter_size'), rate_limits: map('rate_limits') }),
      services,
      vips: map('vips'),
      vlanDevices: map('vlan_devices'),
      flows: new FlowTable(services, flowMaps, () => refusedFlows(map('flows_refused')), nowTicks),
      programs: new ProgramLinks(new LoaderLinks({ programs: this.#objects, xdpMode }), pins.links),
      conntrack: new ConntrackCollector({ conntrack4: map('conntrack4'), conntrack6: map('conntrack6') }, process.hrtime.bigint),
      takenOver,
      maps: mapItems(map, pins.maps),
      maxEntries,
    }
    this.#resources = stack.move()
    return running
  }

  async applyPolicy({ changes, finishRestore }: Argument<'applyPolicy'>): Promise<ApplyReport> {
    const { policy, maxEntries } = this.#use()
    try {
      return policy.apply(changes, { finishRestore })
    } catch (error) {
      throw inOptions(error, maxEntries)
    }
  }

  async reconcileServices({ frontends, prefilter }: Argument<'reconcileServices'>): Promise<ServiceReport> {
    const { admission, services, vips } = this.#use()
    admission.write(frontends, prefilter)
    const report = services.reconcile(frontends)
    reconcileVips(vips, frontends)
    admission.prune(frontends, prefilter)
    return report
  }

  async reconcilePrograms({ wanted, complete }: Argument<'reconcilePrograms'>): Promise<ProgramReport> {
    const report = this.#use().programs.reconcile(wanted, { complete })
    this.#objects.linksUpdated(report)
    return report
  }

  /** One batch of collection. */
  collectConntrack(): ConntrackReport {
    const { conntrack } = this.#use()
    conntrack.step()
    return conntrack.report
  }

  /** One batch of a look at the balancer's flows, after which slots may settle. */
  lookAtFlows(): FlowReport | undefined {
    const { flows } = this.#use()
    flows.step()
    return flows.report
  }

  verdict(query: VerdictQuery): Verdict {
    return this.#use().engine.explain(query)
  }

  statistics(): EngineStatistics {
    return this.#use().engine.stats()
  }

  /** Everything stays pinned and attached. */
  [Symbol.dispose](): void {
    this.#running = undefined
    this.#resources.dispose()
    this.#objects[Symbol.dispose]()
  }

  #use(): Running {
    if (this.#running === undefined) throw new AgentError('UNAVAILABLE', 'the datapath is not loaded yet')
    return this.#running
  }
}

function refusedFlows(map: BpfMap): number {
  const counts = map.lookupPerCpu(new Uint8Array(4)) ?? []
  return counts.reduce((sum, count) => sum + Number(new DataView(count.buffer, count.byteOffset).getBigUint64(0, true)), 0)
}

/** Maps by their pins: they are there once any object that declares them was loaded, by this agent or an earlier one. */
function mapOpener(directory: string, refused: readonly RefusedObject[], stack: DisposableStack): (name: MapName) => BpfMap {
  const open = new Map<MapName, BpfMap>()
  return (name) => {
    const known = open.get(name)
    if (known !== undefined) return known
    const path = join(directory, name)
    if (!existsSync(path)) {
      throw new AgentError('UNAVAILABLE', `there is no map ${path}, since no program that declares it could be loaded: ${formatRefusals(refused)}`, {
        hint: 'build the programs (npm run setup); if the kernel refused one, the message above says why',
      })
    }
    const map = stack.use(BpfMap.openPinned(path))
    open.set(name, map)
    return map
  }
}

function mapItems(map: (name: MapName) => BpfMap, directory: string): MapItem[] {
  const names = Object.keys(mapSpecs) as MapName[]
  return names.filter((name) => existsSync(join(directory, name))).map((name) => {
    const { info } = map(name)
    const { id, keySize, valueSize, maxEntries } = info
    return { id, name, type: mapSpecs[name].type, keySize, valueSize, maxEntries, pin: join(directory, name) }
  })
}
