// The programs' objects: loaded once, and again for other constants or after they were refused.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { familyOf } from '../../engine/index.ts'
import { BpfObject, type ConstantValue, FormerMaps, MapMigration, type Program } from '../../loader/index.ts'
import { addressBytes, macBytes } from '../address.ts'
import { AgentError } from '../errors.ts'
import type { KernelOptions, RefusedObject } from '../kernel.ts'
import { codeOf, messageOf } from '../log.ts'
import type { PinDirectories } from '../pins.ts'
import type { LinkReport } from '../reconcilers/programs.ts'

const OBJECTS = ['tc_endpoint', 'tc_host', 'xdp_lb'] as const
type ObjectName = (typeof OBJECTS)[number]
/** Tables that stand in two maps. */
const SPLIT_TABLES = [{ direct: 'endpoints', beyond: 'endpoints_beyond' }] as const
type Constants = Readonly<Record<string, ConstantValue>>

interface Loaded {
  readonly object: BpfObject
  readonly signature: string
}

export class ProgramObjects implements Disposable {
  readonly #loaded = new Map<ObjectName, Loaded>()
  /** Of a migration, maybe an earlier agent's, until every link has a program that uses the new maps. */
  #former: FormerMaps | undefined

  /** By name; undefined while its object is refused. */
  program(name: string): Program | undefined {
    for (const { object } of this.#loaded.values()) {
      const program = object.programs.find((each) => each.name === name)
      if (program !== undefined) return program
    }
    return undefined
  }

  /**
   * One object that is refused does not keep the others, nor the program that it gave before, from working. Only where
   * pinned maps have to take other sizes all objects must load, else an attached program would go on with the old maps
   * for good: then it throws, and everything is as it was. It also throws where a pinned map has another layout.
   */
  load(options: KernelOptions, pins: PinDirectories): RefusedObject[] {
    this.#former = new FormerMaps({ pins: pins.maps, former: pins.former })
    const resized = resizedPins(options, pins.maps)
    if (resized.length === 0) return this.#loadAll(options, pins.maps)
    this.#migrate(options, pins, resized)
    return []
  }

  /** What programs wrote into the maps before migration comes over whenever some of them have left these maps. */
  linksUpdated({ updated, outdated }: Pick<LinkReport, 'updated' | 'outdated'>): void {
    const former = this.#former
    if (former === undefined || !former.any) return
    if (updated || !outdated) former.copyLate()
    if (!outdated) former.remove()
  }

  #loadAll(options: KernelOptions, pinDirectory: string): RefusedObject[] {
    const refused: RefusedObject[] = []
    for (const name of OBJECTS) {
      try {
        this.#ensure(name, options, pinDirectory)
      } catch (error) {
        if (codeOf(error) === 'INCOMPATIBLE') throw incompatible(error)
        refused.push({ object: `${name}.bpf.o`, message: messageOf(error) })
      }
    }
    return refused
  }

  #migrate(options: KernelOptions, { maps, staging, former }: PinDirectories, resized: readonly string[]): void {
    using stack = new DisposableStack()
    using migration = new MapMigration({ pins: maps, staging, former }, resized, SPLIT_TABLES)
    stack.defer(() => this.#unload())
    const [refused] = this.#loadAll(options, staging)
    if (refused !== undefined) throw notMigrated(resized, `${refused.object}: ${refused.message}`)
    try {
      migration.copy()
    } catch (error) {
      throw notMigrated(resized, messageOf(error))
    }
    migration.commit()
    stack.move()
  }

  #unload(): void {
    for (const { object } of this.#loaded.values()) object[Symbol.dispose]()
    this.#loaded.clear()
  }

  [Symbol.dispose](): void {
    this.#unload()
  }

  #ensure(name: ObjectName, options: KernelOptions, pinDirectory: string): void {
    const constants = name === 'xdp_lb' ? balancerConstants(options) : endpointConstants(options)
    const signature = Object.entries(constants).join(';')
    const known = this.#loaded.get(name)
    if (known?.signature === signature) return
    const path = join(options.bpfObjects, `${name}.bpf.o`)
    using stack = new DisposableStack()
    const object = stack.use(BpfObject.open(path, { pinDirectory, mapSizes: sizesFor(path, options.mapSizes), constants }))
    object.load()
    stack.move()
    this.#loaded.set(name, { object, signature })
    known?.object[Symbol.dispose]() // What is attached stays so until the link is updated.
  }
}

function resizedPins(options: KernelOptions, pinDirectory: string): readonly string[] {
  const resized = OBJECTS.map((name) => join(options.bpfObjects, `${name}.bpf.o`)).filter(existsSync).flatMap((path) => {
    using object = BpfObject.open(path, { mapSizes: sizesFor(path, options.mapSizes) })
    return object.resizedPins(pinDirectory)
  })
  return [...new Set(resized)]
}

/** The engine must not write its records into a map that attached programs read in another way. */
function incompatible(error: unknown): AgentError {
  return new AgentError('UNAVAILABLE', messageOf(error), {
    hint:
      'the last programmed policy holds; run the agent that made these maps, or stop this one and run `sluiced cleanup` (`npm stop` ' +
      'for the demo), which removes them with all connections and the policy that they enforce',
  })
}

function notMigrated(resized: readonly string[], why: string): AgentError {
  return new AgentError('UNAVAILABLE', `cannot give the pinned maps ${resized.join(', ')} their new sizes: ${why}`, {
    hint: 'the last programmed policy holds; start with the former sizes (--map-size), or remove all that is pinned (sluiced cleanup)',
  })
}

/** Of bpf/config/balancer.h. An IPv4 address is in network byte order, as it stands in memory. */
function balancerConstants({ encapsulationSources, stationMac }: KernelOptions): Constants {
  const constants: Record<string, ConstantValue> = {}
  const mac = macBytes(stationMac ?? '')
  if (mac !== undefined) constants['station_mac'] = Uint8Array.of(...mac, 0, 0)
  for (const address of encapsulationSources.map(addressBytes)) {
    if (familyOf(address) === 'IPv4') constants['encapsulation_source4'] = address.slice(12)
    else constants['encapsulation_source6'] = address
  }
  return constants
}

/** Of bpf/config/features.h. */
function endpointConstants({ allowHost, reportFlows, uplinkIfindex }: KernelOptions): Constants {
  return { allow_host: allowHost, report_flows: reportFlows, uplink_ifindex: uplinkIfindex }
}

/** Not every object declares every map. */
function sizesFor(path: string, sizes: Readonly<Record<string, number>>): Record<string, number> {
  using object = BpfObject.open(path)
  const declared = new Set(object.mapSpecs.map(({ name }) => name))
  return Object.fromEntries(Object.entries(sizes).filter(([name]) => declared.has(name)))
}
