// What the loader needs of libbpf and of the C library, typed; loader/libbpf.ts is the real one. Tests pass a port of
// their own to play an older kernel.
//
// Calls that can fail return the negative errno, as libbpf 1.x does; callers know what they tried and make the error.

declare const brand: unique symbol
type Handle<Name extends string> = bigint & { readonly [brand]: Name }

export type ObjectHandle = Handle<'bpf_object'>
export type ProgramHandle = Handle<'bpf_program'>
export type MapHandle = Handle<'bpf_map'>
/** Start of an mmap'ed area. */
export type MappedAddress = Handle<'mmap'>

export interface TestRun {
  readonly data: Uint8Array
  readonly context: Uint8Array | undefined
  readonly output: Uint8Array
  readonly outputContext: Uint8Array | undefined
  readonly repeat: number
  readonly flags: number
}

/** Sizes are those of what the kernel wrote; `result` is the program's return value. */
export interface TestRunResult {
  readonly error: number
  readonly result: number
  readonly durationNs: number
  readonly outputSize: number
}

export interface TcFilter {
  readonly ifindex: number
  /** enum bpf_tc_attach_point. */
  readonly attachPoint: number
  readonly handle: number
  readonly priority: number
}

export interface PollHandle {
  close(): void
  ref(): void
  unref(): void
}

export interface Libbpf {
  readonly version: string
  readonly possibleCpus: number
  readonly pageSize: number

  openObject(path: string): ObjectHandle | number
  loadObject(object: ObjectHandle): number
  closeObject(object: ObjectHandle): void

  findProgram(object: ObjectHandle, name: string): ProgramHandle | undefined
  programs(object: ObjectHandle): readonly ProgramHandle[]
  programName(program: ProgramHandle): string
  programFd(program: ProgramHandle): number
  setAutoload(program: ProgramHandle, autoload: boolean): number
  /** The buffer must outlive the load. */
  setLogBuffer(program: ProgramHandle, log: Uint8Array): number

  findMap(object: ObjectHandle, name: string): MapHandle | undefined
  maps(object: ObjectHandle): readonly MapHandle[]
  mapName(map: MapHandle): string
  mapFd(map: MapHandle): number
  isInternalMap(map: MapHandle): boolean
  setMaxEntries(map: MapHandle, entries: number): number
  reuseMapFd(map: MapHandle, fd: number): number
  /** Writes into the map's initial value, between open and load. */
  writeInitialValue(map: MapHandle, offset: number, bytes: Uint8Array): number

  mapLookup(fd: number, key: Uint8Array, value: Uint8Array): number
  mapUpdate(fd: number, key: Uint8Array, value: Uint8Array, flags: number): number
  mapDelete(fd: number, key: Uint8Array): number
  mapNextKey(fd: number, key: Uint8Array | undefined, next: Uint8Array): number
  /** `count[0]`: entries wanted before, done after. */
  mapUpdateBatch(fd: number, keys: Uint8Array, values: Uint8Array, count: Uint32Array): number
  mapDeleteBatch(fd: number, keys: Uint8Array, count: Uint32Array): number
  mapLookupBatch(
    fd: number,
    from: Uint8Array | undefined,
    next: Uint8Array,
    keys: Uint8Array,
    values: Uint8Array,
    count: Uint32Array
  ): number

  pin(fd: number, path: string): number
  openPinned(path: string): number
  objectInfo(fd: number, info: Uint8Array): number
  linkCreate(programFd: number, target: number, attachType: number, flags: number): number
  linkUpdate(linkFd: number, programFd: number): number
  linkDetach(linkFd: number): number
  nextId(kind: IdKind, id: number): number
  fdById(kind: IdKind, id: number): number
  tcCreateHook(filter: TcFilter): number
  tcAttach(filter: TcFilter, programFd: number): number
  tcDetach(filter: TcFilter): number
  /** Id of the filter's program. */
  tcQuery(filter: TcFilter): number
  testRun(programFd: number, run: TestRun): TestRunResult
  probeHelper(programType: number, helper: number): number
  probeProgramType(programType: number): number
  probeMapType(mapType: number): number

  close(fd: number): void
  mmap(fd: number, length: number, writable: boolean, offset: number): MappedAddress | number
  munmap(address: MappedAddress, length: number): number
  /** The bytes at an address without a copy; revoke the buffer (`ArrayBuffer.transfer`) before unmapping. */
  view(address: MappedAddress, length: number): ArrayBuffer
  interfaceIndex(name: string): number
  interfaceName(ifindex: number): string | undefined
  enterNamespace(fd: number): number
  mount(source: string, target: string, type: string): number
  /** flock(2), exclusive and without waiting. */
  lock(fd: number): number
  poll(fd: number, onReadable: () => void): PollHandle
  address(bytes: Uint8Array): bigint
}

export type IdKind = 'prog' | 'map' | 'link' | 'btf'
