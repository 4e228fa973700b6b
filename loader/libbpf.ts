// The one file that imports koffi: libbpf and the few C library calls that Node lacks, bound to the port that the rest
// of the loader uses.

import koffi from 'koffi'
import type { LibraryHandle } from 'koffi'

import { LoaderError } from './errors.ts'
import type {
  IdKind,
  Libbpf,
  MapHandle,
  MappedAddress,
  ObjectHandle,
  PollHandle,
  ProgramHandle,
  TcFilter,
  TestRun,
  TestRunResult
} from './port.ts'

let shared: Libbpf | undefined

/** libbpf of this machine, opened at the first use. Throws LoaderError `NO_LIBBPF`. */
export function systemLibbpf(): Libbpf {
  shared ??= bind(open('libbpf.so.1', 'install libbpf1 (Debian: apt-get install libbpf1)'), open('libc.so.6', 'Linux with glibc is needed'))
  return shared
}

function open(name: string, hint: string): LibraryHandle {
  try {
    return koffi.load(name)
  } catch (cause) {
    throw new LoaderError('NO_LIBBPF', `cannot open ${name}: ${hint}`, { cause })
  }
}

const CLONE_NEWNET = 0x40000000
const PROT_READ = 1
const PROT_WRITE = 2
const MAP_SHARED = 1
const MAP_FAILED = 0xffffffffffffffffn
const SC_PAGESIZE = 30
const INTERFACE_NAME_SIZE = 16
const LOCK_EX = 2
const LOCK_NB = 4

/** A function's C type, said once; the cast gives it to TypeScript. */
function bind(libbpf: LibraryHandle, libc: LibraryHandle): Libbpf {
  const c = <F>(definition: string): F => libbpf.func(definition) as unknown as F
  const sys = <F>(definition: string): F => libc.func(definition) as unknown as F
  // libbpf would print to standard error; messages of ours come from return values and verifier logs.
  c<(callback: null) => void>('void *libbpf_set_print(void *callback)')(null)
  return { ...bindObjects(c), ...bindMaps(c), ...bindLinks(c), ...bindRuns(c), ...bindSystem(sys) }
}

type Bind = <F>(definition: string) => F
/** Pointers of libbpf's own structures; null is C's. */
type Pointer = bigint | null

function orErrno<H extends bigint>(pointer: Pointer): H | number {
  return pointer === null || pointer === 0n ? -koffi.errno() : (pointer as H)
}

function orUndefined<H extends bigint>(pointer: Pointer): H | undefined {
  return pointer === null || pointer === 0n ? undefined : (pointer as H)
}

function listed<H extends bigint>(next: (previous: Pointer) => Pointer): H[] {
  const handles: H[] = []
  for (let handle = orUndefined<H>(next(null)); handle !== undefined; handle = orUndefined<H>(next(handle))) handles.push(handle)
  return handles
}

function bindObjects(c: Bind) {
  const open = c<(path: string, options: null) => Pointer>('void *bpf_object__open_file(const char *path, const void *options)')
  const findProgram = c<(object: bigint, name: string) => Pointer>('void *bpf_object__find_program_by_name(void *object, const char *name)')
  const nextProgram = c<(object: bigint, program: Pointer) => Pointer>('void *bpf_object__next_program(void *object, void *program)')
  const findMap = c<(object: bigint, name: string) => Pointer>('void *bpf_object__find_map_by_name(void *object, const char *name)')
  const nextMap = c<(object: bigint, map: Pointer) => Pointer>('void *bpf_object__next_map(void *object, void *map)')
  const setLog = c<(program: bigint, log: Uint8Array, size: number) => number>(
    'int bpf_program__set_log_buf(void *program, void *log, size_t size)'
  )
  const initialValue = c<(map: bigint, size: BigUint64Array) => Pointer>('void *bpf_map__initial_value(void *map, void *size)')
  return {
    openObject: (path: string) => orErrno<ObjectHandle>(open(path, null)),
    loadObject: c<(object: ObjectHandle) => number>('int bpf_object__load(void *object)'),
    closeObject: c<(object: ObjectHandle) => void>('void bpf_object__close(void *object)'),
    findProgram: (object: ObjectHandle, name: string) => orUndefined<ProgramHandle>(findProgram(object, name)),
    programs: (object: ObjectHandle) => listed<ProgramHandle>((previous) => nextProgram(object, previous)),
    programName: c<(program: ProgramHandle) => string>('const char *bpf_program__name(void *program)'),
    programFd: c<(program: ProgramHandle) => number>('int bpf_program__fd(void *program)'),
    setAutoload: c<(program: ProgramHandle, autoload: boolean) => number>('int bpf_program__set_autoload(void *program, bool autoload)'),
    setLogBuffer: (program: ProgramHandle, log: Uint8Array) => setLog(program, log, log.byteLength),
    findMap: (object: ObjectHandle, name: string) => orUndefined<MapHandle>(findMap(object, name)),
    maps: (object: ObjectHandle) => listed<MapHandle>((previous) => nextMap(object, previous)),
    mapName: c<(map: MapHandle) => string>('const char *bpf_map__name(void *map)'),
    mapFd: c<(map: MapHandle) => number>('int bpf_map__fd(void *map)'),
    isInternalMap: c<(map: MapHandle) => boolean>('bool bpf_map__is_internal(void *map)'),
    setMaxEntries: c<(map: MapHandle, entries: number) => number>('int bpf_map__set_max_entries(void *map, uint32_t entries)'),
    reuseMapFd: c<(map: MapHandle, fd: number) => number>('int bpf_map__reuse_fd(void *map, int fd)'),
    writeInitialValue: (map: MapHandle, offset: number, bytes: Uint8Array) => {
      const size = new BigUint64Array(1)
      const value = orErrno<MappedAddress>(initialValue(map, size))
      if (typeof value === 'number') return value
      const view = koffi.view(value, Number(size[0]))
      new Uint8Array(view).set(bytes, offset)
      view.transfer(0)
      return 0
    }
  }
}

function bindMaps(c: Bind) {
  const updateBatch = c<(fd: number, keys: Uint8Array, values: Uint8Array, count: Uint32Array, options: null) => number>(
    'int bpf_map_update_batch(int fd, const void *keys, const void *values, void *count, const void *options)'
  )
  const deleteBatch = c<(fd: number, keys: Uint8Array, count: Uint32Array, options: null) => number>(
    'int bpf_map_delete_batch(int fd, const void *keys, void *count, const void *options)'
  )
  const lookupBatch = c<(...call: [number, Uint8Array | null, Uint8Array, Uint8Array, Uint8Array, Uint32Array, null]) => number>(
    'int bpf_map_lookup_batch(int fd, void *from, void *next, void *keys, void *values, void *count, const void *options)'
  )
  const nextKey = c<(fd: number, key: Uint8Array | null, next: Uint8Array) => number>(
    'int bpf_map_get_next_key(int fd, const void *key, void *next)'
  )
  return {
    mapLookup: c<Libbpf['mapLookup']>('int bpf_map_lookup_elem(int fd, const void *key, void *value)'),
    mapUpdate: c<Libbpf['mapUpdate']>('int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)'),
    mapDelete: c<Libbpf['mapDelete']>('int bpf_map_delete_elem(int fd, const void *key)'),
    mapNextKey: (fd: number, key: Uint8Array | undefined, next: Uint8Array) => nextKey(fd, key ?? null, next),
    mapUpdateBatch: (fd: number, keys: Uint8Array, values: Uint8Array, count: Uint32Array) => updateBatch(fd, keys, values, count, null),
    mapDeleteBatch: (fd: number, keys: Uint8Array, count: Uint32Array) => deleteBatch(fd, keys, count, null),
    mapLookupBatch: (
      fd: number,
      from: Uint8Array | undefined,
      next: Uint8Array,
      keys: Uint8Array,
      values: Uint8Array,
      count: Uint32Array
    ) => lookupBatch(fd, from ?? null, next, keys, values, count, null)
  }
}

/** libbpf's option structures begin with their own size; what follows is in the order of bpf/bpf.h of libbpf 1.1. */
const LINK_CREATE_OPTIONS_SIZE = 64
const TC_HOOK_SIZE = 24
const TC_PROGRAM_ID = 16
const TC_OPTIONS_SIZE = 32
const BPF_TC_F_REPLACE = 1

function sizedOptions(size: number): DataView<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(size))
  view.setBigUint64(0, BigInt(size), true)
  return view
}

function bytesOf(view: DataView<ArrayBuffer>): Uint8Array {
  return new Uint8Array(view.buffer)
}

function bindLinks(c: Bind) {
  const create = c<(program: number, target: number, type: number, options: Uint8Array) => number>(
    'int bpf_link_create(int program, int target, int type, const void *options)'
  )
  const update = c<(link: number, program: number, options: null) => number>('int bpf_link_update(int link, int program, const void *options)')
  const info = c<(fd: number, info: Uint8Array, size: Uint32Array) => number>('int bpf_obj_get_info_by_fd(int fd, void *info, void *size)')
  return {
    pin: c<Libbpf['pin']>('int bpf_obj_pin(int fd, const char *path)'),
    openPinned: c<Libbpf['openPinned']>('int bpf_obj_get(const char *path)'),
    objectInfo: (fd: number, bytes: Uint8Array) => info(fd, bytes, Uint32Array.of(bytes.byteLength)),
    linkCreate: (program: number, target: number, type: number, flags: number) => {
      const options = sizedOptions(LINK_CREATE_OPTIONS_SIZE)
      options.setUint32(8, flags, true)
      return create(program, target, type, bytesOf(options))
    },
    linkUpdate: (link: number, program: number) => update(link, program, null),
    linkDetach: c<Libbpf['linkDetach']>('int bpf_link_detach(int link)'),
    ...bindIds(c),
    ...bindTc(c)
  }
}

function bindIds(c: Bind) {
  const kinds: readonly IdKind[] = ['prog', 'map', 'link', 'btf']
  const each = <F>(definition: (kind: IdKind) => string): Map<IdKind, F> => new Map(kinds.map((kind) => [kind, c<F>(definition(kind))]))
  const next = each<(id: number, next: Uint32Array) => number>((kind) => `int bpf_${kind}_get_next_id(uint32_t id, void *next)`)
  const fd = each<(id: number) => number>((kind) => `int bpf_${kind}_get_fd_by_id(uint32_t id)`)
  return {
    nextId: (kind: IdKind, id: number) => {
      const found = new Uint32Array(1)
      const error = next.get(kind)?.(id, found) ?? -1
      return error < 0 ? error : (found[0] ?? 0)
    },
    fdById: (kind: IdKind, id: number) => fd.get(kind)?.(id) ?? -1
  }
}

function bindTc(c: Bind) {
  const createHook = c<(hook: Uint8Array) => number>('int bpf_tc_hook_create(void *hook)')
  const attach = c<(hook: Uint8Array, options: Uint8Array) => number>('int bpf_tc_attach(const void *hook, void *options)')
  const detach = c<(hook: Uint8Array, options: Uint8Array) => number>('int bpf_tc_detach(const void *hook, const void *options)')
  const query = c<(hook: Uint8Array, options: Uint8Array) => number>('int bpf_tc_query(const void *hook, void *options)')
  const hook = ({ ifindex, attachPoint }: TcFilter): Uint8Array => {
    const view = sizedOptions(TC_HOOK_SIZE)
    view.setInt32(8, ifindex, true)
    view.setUint32(12, attachPoint, true)
    return bytesOf(view)
  }
  const options = ({ handle, priority }: TcFilter, program: number, flags: number): Uint8Array => {
    const view = sizedOptions(TC_OPTIONS_SIZE)
    view.setInt32(8, program, true)
    view.setUint32(12, flags, true)
    view.setUint32(20, handle, true)
    view.setUint32(24, priority, true)
    return bytesOf(view)
  }
  return {
    tcCreateHook: (filter: TcFilter) => createHook(hook(filter)),
    tcAttach: (filter: TcFilter, program: number) => attach(hook(filter), options(filter, program, BPF_TC_F_REPLACE)),
    tcDetach: (filter: TcFilter) => detach(hook(filter), options(filter, 0, 0)),
    tcQuery: (filter: TcFilter) => {
      const answer = options(filter, 0, 0)
      const error = query(hook(filter), answer)
      return error < 0 ? error : new DataView(answer.buffer, answer.byteOffset).getUint32(TC_PROGRAM_ID, true)
    }
  }
}

const TEST_RUN_OPTIONS_SIZE = 80

function bindRuns(c: Bind) {
  const run = c<(program: number, options: Uint8Array) => number>('int bpf_prog_test_run_opts(int program, void *options)')
  const probeHelper = c<(type: number, helper: number, options: null) => number>(
    'int libbpf_probe_bpf_helper(int type, int helper, const void *options)'
  )
  const probeProgram = c<(type: number, options: null) => number>('int libbpf_probe_bpf_prog_type(int type, const void *options)')
  const probeMap = c<(type: number, options: null) => number>('int libbpf_probe_bpf_map_type(int type, const void *options)')
  return {
    version: c<() => string>('const char *libbpf_version_string()')(),
    possibleCpus: c<() => number>('int libbpf_num_possible_cpus()')(),
    testRun: (program: number, test: TestRun): TestRunResult => {
      const view = testRunOptions(test)
      const error = run(program, bytesOf(view))
      return {
        error,
        outputSize: view.getUint32(28, true),
        result: view.getUint32(56, true),
        durationNs: view.getUint32(64, true)
      }
    },
    probeHelper: (type: number, helper: number) => probeHelper(type, helper, null),
    probeProgramType: (type: number) => probeProgram(type, null),
    probeMapType: (type: number) => probeMap(type, null)
  }
}

/** struct bpf_test_run_opts. */
function testRunOptions(run: TestRun): DataView<ArrayBuffer> {
  const view = sizedOptions(TEST_RUN_OPTIONS_SIZE)
  const pointer = (offset: number, bytes: Uint8Array | undefined): void => {
    if (bytes !== undefined && bytes.byteLength > 0) view.setBigUint64(offset, koffi.address(bytes), true)
  }
  pointer(8, run.data)
  pointer(16, run.output)
  view.setUint32(24, run.data.byteLength, true)
  view.setUint32(28, run.output.byteLength, true)
  pointer(32, run.context)
  pointer(40, run.outputContext)
  view.setUint32(48, run.context?.byteLength ?? 0, true)
  view.setUint32(52, run.outputContext?.byteLength ?? 0, true)
  view.setInt32(60, run.repeat, true)
  view.setUint32(68, run.flags, true)
  return view
}

function bindSystem(sys: Bind) {
  const mmap = sys<(...call: [null, number, number, number, number, number]) => bigint>(
    'void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)'
  )
  const munmap = sys<(address: bigint, length: number) => number>('int munmap(void *address, size_t length)')
  const index = sys<(name: string) => number>('unsigned int if_nametoindex(const char *name)')
  const name = sys<(ifindex: number, name: Uint8Array) => Pointer>('void *if_indextoname(unsigned int ifindex, void *name)')
  const setns = sys<(fd: number, type: number) => number>('int setns(int fd, int type)')
  const flock = sys<(fd: number, operation: number) => number>('int flock(int fd, int operation)')
  const mount = sys<(source: string, target: string, type: string, flags: number, data: null) => number>(
    'int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data)'
  )
  const negated = (result: number): number => (result < 0 ? -koffi.errno() : result)
  return {
    pageSize: sys<(name: number) => number>('long sysconf(int name)')(SC_PAGESIZE),
    close: sys<(fd: number) => void>('int close(int fd)'),
    mmap: (fd: number, length: number, writable: boolean, offset: number) => {
      const address = mmap(null, length, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, offset)
      return BigInt.asUintN(64, address) === MAP_FAILED ? -koffi.errno() : (address as MappedAddress)
    },
    munmap: (address: MappedAddress, length: number) => negated(munmap(address, length)),
    view: (address: MappedAddress, length: number) => koffi.view(address, length),
    interfaceIndex: (interfaceName: string) => {
      const ifindex = index(interfaceName)
      return ifindex === 0 ? -koffi.errno() : ifindex
    },
    interfaceName: (ifindex: number) => {
      const bytes = new Uint8Array(INTERFACE_NAME_SIZE)
      if (orUndefined(name(ifindex, bytes)) === undefined) return undefined
      return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)))
    },
    enterNamespace: (fd: number) => negated(setns(fd, CLONE_NEWNET)),
    mount: (source: string, target: string, type: string) => negated(mount(source, target, type, 0, null)),
    lock: (fd: number) => negated(flock(fd, LOCK_EX | LOCK_NB)),
    poll: (fd: number, onReadable: () => void): PollHandle => koffi.node.poll(fd, { readable: true }, onReadable),
    address: (bytes: Uint8Array) => koffi.address(bytes)
  }
}
