// The datapath of this kernel: loaded objects, open maps, the engine, and the reconcilers that write.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type MapName, mapSpecs } from '../../bpf/index.ts'
import { Engine, familyOf } from '../../engine/index.ts'
import type { Capacities, Verdict } from '../../engine/types.ts'
import { BpfMap, BpfObject, type ConstantValue, type Program, SplitMap } from '../../loader/index.ts'
import { addressBytes } from '../address.ts'
import type { MapItem } from '../api/types.ts'
import { AgentError } from '../errors.ts'
import type { Kernel, KernelOptions, KernelStart } from '../kernel.ts'
import { codeOf, messageOf } from '../log.ts'
import { makePinDirectories } from '../pins.ts'
import { ConntrackCollector, type ConntrackReport } from '../reconcilers/conntrack.ts'
import { type ApplyReport, PolicyMaps } from '../reconcilers/policy.ts'
import type { EngineStatistics, VerdictQuery } from '../reconcilers/ports.ts'
import { ProgramLinks, type ProgramReport } from '../reconcilers/programs.ts'
import { ServiceMaps, type ServiceReport } from '../reconcilers/services.ts'
import { formatRefusals } from '../refusals.ts'
import { LoaderLinks } from './links.ts'

const OBJECTS = ['tc_endpoint', 'tc_host', 'xdp_lb'] as const

/** Everything that exists once `start` succeeded. */
interface Running {
  readonly engine: Engine
  readonly policy: PolicyMaps
  readonly services: ServiceMaps
  readonly programs: ProgramLinks
  readonly conntrack: ConntrackCollector
}

type Argument<M extends keyof Kernel> = Parameters<Kernel[M]>[0]

export class LinuxKernel implements Kernel {
  #running: Running | undefined

  async start(options: KernelOptions): Promise<KernelStart> {
    const pins = makePinDirectories(options.bpffs)
    // A start that fails is tried again: it must not keep what it loaded.
    using stack = new DisposableStack()
    const { programs, refused } = loadObjects(options, pins.maps, stack)
    const map = mapOpener(pins.maps, refused, stack)
    const engine = await Engine.load({ capacities: capacitiesOf((name) => map(name).maxEntries) })
    const policy = new PolicyMaps(engine, {
      addresses: map('addresses'),
      prefixes: map('prefixes'),
      class_generations: map('class_generations'),
      endpoints: new SplitMap(map('endpoints'), map('endpoints_beyond')),
      policy: map('policy'),
      policy_rows: map('policy_rows'),
    })
    const takenOver = policy.restore()
    const running = {
      engine,
      policy,
      services: new ServiceMaps(engine, { frontends: map('frontends'), slots: map('slots'), backends: map('backends') }),
      programs: new ProgramLinks(new LoaderLinks(programs, options.xdpMode), pins.links),
      conntrack: new ConntrackCollector({ conntrack4: map('conntrack4'), conntrack6: map('conntrack6') }, process.hrtime.bigint),
    }
    const maps = mapItems(map, pins.maps)
    this.#running = running
    stack.move() // From here on all of it lives as long as the worker thread.
    return { takenOver, maps, refused }
  }

  async applyPolicy({ changes, finishRestore }: Argument<'applyPolicy'>): Promise<ApplyReport> {
    return this.#use().policy.apply(changes, { finishRestore })
  }

  async reconcileServices(frontends: Argument<'reconcileServices'>): Promise<ServiceReport> {
    return this.#use().services.reconcile(frontends)
  }

  async reconcilePrograms({ wanted, complete }: Argument<'reconcilePrograms'>): Promise<ProgramReport> {
    return this.#use().programs.reconcile(wanted, { complete })
  }

  /** One batch of collection. */
  collectConntrack(): ConntrackReport {
    const { conntrack } = this.#use()
    conntrack.step()
    return conntrack.report
  }

  verdict(query: VerdictQuery): Verdict {
    return this.#use().engine.verdict(query)
  }

  statistics(): EngineStatistics {
    return this.#use().engine.stats()
  }

  #use(): Running {
    if (this.#running === undefined) throw new AgentError('UNAVAILABLE', 'the datapath is not loaded yet')
    return this.#running
  }
}

interface LoadedObjects {
  readonly programs: Map<string, Program>
  readonly refused: KernelStart['refused']
}

/** One object that is refused does not keep the others, nor an earlier agent's programs, from working. */
function loadObjects(options: KernelOptions, pinDirectory: string, stack: DisposableStack): LoadedObjects {
  const programs = new Map<string, Program>()
  const refused: LoadedObjects['refused'][number][] = []
  for (const name of OBJECTS) {
    const path = join(options.bpfObjects, `${name}.bpf.o`)
    try {
      const constants = name === 'xdp_lb' ? balancerConstants(options.encapsulationSources) : {}
      const object = stack.use(BpfObject.open(path, { pinDirectory, mapSizes: sizesFor(path, options.mapSizes), constants })).load()
      for (const program of object.programs) programs.set(program.name, program)
    } catch (error) {
      refused.push({ object: `${name}.bpf.o`, code: codeOf(error), message: messageOf(error) })
    }
  }
  return { programs, refused }
}

/** Of bpf/config/balancer.h. An IPv4 address is in network byte order, as it stands in memory. */
function balancerConstants(sources: readonly string[]): Record<string, ConstantValue> {
  const constants: Record<string, ConstantValue> = {}
  for (const address of sources.map(addressBytes)) {
    if (familyOf(address) === 'IPv4') constants['encapsulation_source4'] = address.slice(12)
    else constants['encapsulation_source6'] = address
  }
  return constants
}

/** Not every object declares every map. */
function sizesFor(path: string, sizes: Readonly<Record<string, number>>): Record<string, number> {
  using object = BpfObject.open(path)
  const declared = new Set(object.mapSpecs.map(({ name }) => name))
  return Object.fromEntries(Object.entries(sizes).filter(([name]) => declared.has(name)))
}

/** Maps by their pins: they are there once any object that declares them was loaded, by this agent or an earlier one. */
function mapOpener(directory: string, refused: KernelStart['refused'], stack: DisposableStack): (name: MapName) => BpfMap {
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

/** What the engine refuses then is what a map could not hold: nothing is half written. */
export function capacitiesOf(maxEntries: (name: MapName) => number): Partial<Capacities> {
  return {
    // An entry of the engine stands in either map, and may move: all of them must fit both.
    addresses: Math.min(maxEntries('addresses'), maxEntries('prefixes')),
    endpoints: maxEntries('endpoints_beyond'), // An endpoint's ifindex may be any.
    classes: maxEntries('class_generations') - 1, // Class 0 is everybody.
    policyEntries: maxEntries('policy'),
    policyRows: maxEntries('policy_rows'),
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
