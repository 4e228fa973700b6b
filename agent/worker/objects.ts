// The programs' objects: loaded once, and again for other constants or after they were refused.
import { join } from 'node:path'
import { familyOf } from '../../engine/index.ts'
import { BpfObject, type ConstantValue, type Program } from '../../loader/index.ts'
import { addressBytes } from '../address.ts'
import type { KernelOptions, RefusedObject } from '../kernel.ts'
import { messageOf } from '../log.ts'

const OBJECTS = ['tc_endpoint', 'tc_host', 'xdp_lb'] as const
type ObjectName = (typeof OBJECTS)[number]
type Constants = Readonly<Record<string, ConstantValue>>

interface Loaded {
  readonly object: BpfObject
  readonly signature: string
}

export class ProgramObjects implements Disposable {
  readonly #loaded = new Map<ObjectName, Loaded>()

  /** By name; undefined while its object is refused. */
  program(name: string): Program | undefined {
    for (const { object } of this.#loaded.values()) {
      const program = object.programs.find((each) => each.name === name)
      if (program !== undefined) return program
    }
    return undefined
  }

  /** One object that is refused does not keep the others, nor the program that it gave before, from working. */
  load(options: KernelOptions, pinDirectory: string): RefusedObject[] {
    const refused: RefusedObject[] = []
    for (const name of OBJECTS) {
      try {
        this.#ensure(name, options, pinDirectory)
      } catch (error) {
        refused.push({ object: `${name}.bpf.o`, message: messageOf(error) })
      }
    }
    return refused
  }

  [Symbol.dispose](): void {
    for (const { object } of this.#loaded.values()) object[Symbol.dispose]()
  }

  #ensure(name: ObjectName, options: KernelOptions, pinDirectory: string): void {
    const constants = name === 'xdp_lb' ? balancerConstants(options.encapsulationSources) : {}
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

/** Of bpf/config/balancer.h. An IPv4 address is in network byte order, as it stands in memory. */
function balancerConstants(sources: readonly string[]): Constants {
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
