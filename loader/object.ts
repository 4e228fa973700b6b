// A BPF object file: opened, specialised by its constants, loaded.

import { readFileSync } from 'node:fs'

import { parseBtf } from './btf.ts'
import type { Btf } from './btf.ts'
import { encodeConstant } from './constants.ts'
import type { ConstantValue } from './constants.ts'
import { parseElf } from './elf.ts'
import { LoaderError, systemError } from './errors.ts'
import { systemLibbpf } from './libbpf.ts'
import { BpfMap } from './map.ts'
import { isPinnedWithOtherSize, pinIfAbsent, reusePinned } from './pins.ts'
import type { Libbpf, ObjectHandle, ProgramHandle } from './port.ts'
import { Program } from './program.ts'
import { Resource } from './resource.ts'
import { readConstantSpecs, readMapSpecs } from './spec.ts'
import type { ConstantSpec, ObjectMapSpec } from './spec.ts'
import { VerifierError } from './verifier.ts'

export interface BpfObjectOptions {
  /** Values of `const volatile` variables by name; the others keep what the source gives them. */
  readonly constants?: Readonly<Record<string, ConstantValue>>
  /** Entries at most, by map name; the others keep what the source gives them. */
  readonly mapSizes?: Readonly<Record<string, number>>
  /** Folder on a bpffs: maps pinned there by their names are taken over, the others are pinned there after loading. */
  readonly pinDirectory?: string
  /** Open maps to use in place of the object's own, by map name: objects that share maps without pins. */
  readonly maps?: Readonly<Record<string, BpfMap>>
  /** Programs to load; all by default. */
  readonly programs?: readonly string[]
  readonly libbpf?: Libbpf
}

const ENOENT = 2

/** Enough for the verifier's log of any program that is refused; memory is used only where a log is written. */
const LOG_SIZE = 4 << 20

export class BpfObject extends Resource {
  readonly path: string
  readonly btf: Btf
  readonly constants: readonly ConstantSpec[]
  readonly #mapSpecs: readonly ObjectMapSpec[]
  readonly #libbpf: Libbpf
  readonly #handle: ObjectHandle
  readonly #options: BpfObjectOptions
  readonly #programs = new Map<string, Program>()
  readonly #maps = new Map<string, BpfMap>()

  private constructor(path: string, handle: ObjectHandle, libbpf: Libbpf, options: BpfObjectOptions) {
    super(`BPF object ${path}`)
    const elf = parseElf(readFileSync(path), path)
    this.path = path
    this.btf = parseBtf(elf.section('.BTF')?.bytes ?? new Uint8Array())
    this.constants = readConstantSpecs(this.btf, elf)
    this.#mapSpecs = readMapSpecs(this.btf)
    this.#libbpf = libbpf
    this.#handle = handle
    this.#options = options
  }

  /**
   * Reads the object; nothing is in the kernel until `load`.
   * Throws LoaderError `BAD_OBJECT`, or `NOT_FOUND` for a constant, map or program that the object does not have.
   */
  static open(path: string, options: BpfObjectOptions = {}): BpfObject {
    const libbpf = options.libbpf ?? systemLibbpf()
    const handle = libbpf.openObject(path)
    if (typeof handle === 'number') throw systemError(`open BPF object ${path}`, -handle, -handle === ENOENT ? 'build it with sh scripts/build' : undefined)
    using stack = new DisposableStack()
    const closing = stack.adopt(handle, (each) => libbpf.closeObject(each))
    const object = new BpfObject(path, closing, libbpf, options)
    stack.move() // the object closes it from here on
    try {
      object.#configure()
    } catch (error) {
      object[Symbol.dispose]()
      throw error
    }
    return object
  }

  /** Maps as the object declares them, sizes of the options included. */
  get mapSpecs(): readonly ObjectMapSpec[] {
    const sizes = this.#options.mapSizes ?? {}
    return this.#mapSpecs.map((spec) => ({ ...spec, maxEntries: sizes[spec.name] ?? spec.maxEntries }))
  }

  /** Maps that are pinned in the folder with another number of entries, and no other difference: see MapMigration. */
  resizedPins(directory: string): readonly string[] {
    return this.mapSpecs.filter((spec) => isPinnedWithOtherSize(this.#libbpf, spec, this.btf, directory)).map(({ name }) => name)
  }

  /** Creates the maps and loads the programs. Throws VerifierError, or LoaderError `INCOMPATIBLE` for a pinned map. */
  load(): this {
    this.checkOpen()
    const logs = this.#attachLogs()
    const reused = this.#takeOverMaps()
    const error = this.#libbpf.loadObject(this.#handle)
    if (error < 0) throw this.#loadError(-error, logs)
    for (const program of this.#wantedPrograms()) this.#addProgram(program)
    for (const spec of this.#mapSpecs) this.#addMap(spec.name, reused)
    return this
  }

  /** Throws LoaderError `NOT_FOUND`, also before `load`. */
  program(name: string): Program {
    return this.#programs.get(name) ?? this.#missing('program', name, this.#programs.keys())
  }

  map(name: string): BpfMap {
    return this.#maps.get(name) ?? this.#missing('map', name, this.#maps.keys())
  }

  get programs(): readonly Program[] {
    return [...this.#programs.values()]
  }

  get maps(): readonly BpfMap[] {
    return [...this.#maps.values()]
  }

  protected release(): void {
    for (const each of [...this.#programs.values(), ...this.#maps.values()]) each[Symbol.dispose]()
    this.#libbpf.closeObject(this.#handle)
  }

  #configure(): void {
    for (const [name, value] of Object.entries(this.#options.constants ?? {})) this.#setConstant(name, value)
    for (const [name, entries] of Object.entries(this.#options.mapSizes ?? {})) this.#setMapSize(name, entries)
    for (const name of this.#options.programs ?? []) this.#programHandle(name)
    for (const name of Object.keys(this.#options.maps ?? {})) this.#mapHandle(name)
    if (this.#options.programs === undefined) return
    for (const program of this.#libbpf.programs(this.#handle))
      this.#libbpf.setAutoload(program, this.#options.programs.includes(this.#libbpf.programName(program)))
  }

  #setConstant(name: string, value: ConstantValue): void {
    const names = this.constants.map((each) => each.name)
    const spec = this.constants.find((each) => each.name === name) ?? this.#missing('constant', name, names)
    const error = this.#libbpf.writeInitialValue(this.#mapHandle('.rodata'), spec.offset, encodeConstant(spec, value, this.btf))
    if (error < 0) throw systemError(`set constant ${name} of ${this.path}`, -error)
  }

  #setMapSize(name: string, entries: number): void {
    const error = this.#libbpf.setMaxEntries(this.#mapHandle(name), entries)
    if (error < 0) throw systemError(`set the size of map ${name} of ${this.path} to ${entries}`, -error)
  }

  #mapHandle(name: string) {
    const names = this.#mapSpecs.map((each) => each.name)
    return this.#libbpf.findMap(this.#handle, name) ?? this.#missing('map', name, names)
  }

  #programHandle(name: string): ProgramHandle {
    const names = this.#libbpf.programs(this.#handle).map((each) => this.#libbpf.programName(each))
    return this.#libbpf.findProgram(this.#handle, name) ?? this.#missing('program', name, names)
  }

  #missing(what: string, name: string, names: Iterable<string>): never {
    throw new LoaderError('NOT_FOUND', `${this.path} has no ${what} ${name}; it has ${[...names].join(', ') || 'none'}`)
  }

  #wantedPrograms(): ProgramHandle[] {
    const all = this.#libbpf.programs(this.#handle)
    return all.filter((each) => this.#options.programs?.includes(this.#libbpf.programName(each)) ?? true)
  }

  #attachLogs(): Map<ProgramHandle, Uint8Array> {
    const logs = new Map<ProgramHandle, Uint8Array>()
    for (const program of this.#wantedPrograms()) {
      const log = new Uint8Array(LOG_SIZE)
      logs.set(program, log)
      this.#libbpf.setLogBuffer(program, log)
    }
    return logs
  }

  /** Names of the maps that came from elsewhere. */
  #takeOverMaps(): Set<string> {
    const { maps = {}, pinDirectory } = this.#options
    for (const [name, map] of Object.entries(maps)) {
      const error = this.#libbpf.reuseMapFd(this.#mapHandle(name), map.fd)
      if (error < 0) throw systemError(`use map ${map.name} as ${name} of ${this.path}`, -error)
    }
    const taken = new Set(Object.keys(maps))
    if (pinDirectory === undefined) return taken
    const own = this.mapSpecs.filter((spec) => !taken.has(spec.name))
    const pinned = own.filter((spec) => reusePinned(this.#libbpf, this.#mapHandle(spec.name), spec, this.btf, pinDirectory))
    return taken.union(new Set(pinned.map((spec) => spec.name)))
  }

  /** libbpf stops at the first program that is refused: the last log that has text is the one. */
  #loadError(errno: number, logs: ReadonlyMap<ProgramHandle, Uint8Array>): LoaderError {
    const refused = [...logs].findLast(([, log]) => log[0] !== 0)
    if (refused === undefined) return systemError(`load ${this.path}`, errno)
    const [program, log] = refused
    const text = new TextDecoder().decode(log.subarray(0, log.indexOf(0)))
    return new VerifierError(this.#libbpf.programName(program), this.path, text, errno)
  }

  #addProgram(handle: ProgramHandle): void {
    const name = this.#libbpf.programName(handle)
    this.#programs.set(name, new Program(this.#libbpf.programFd(handle), name, false, this.#libbpf))
  }

  #addMap(name: string, reused: ReadonlySet<string>): void {
    const fd = this.#libbpf.mapFd(this.#mapHandle(name))
    if (this.#options.pinDirectory !== undefined && !reused.has(name)) pinIfAbsent(this.#libbpf, fd, this.#options.pinDirectory, name)
    this.#maps.set(name, new BpfMap(fd, name, false, this.#libbpf))
  }
}
