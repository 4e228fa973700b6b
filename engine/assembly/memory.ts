// Linear memory: arenas reserved once from the capacities, columns of 32-bit words in them, and the undo log that
// makes a transaction all or nothing.
//
// Internal tables are stored as columns (one array a field), addressed by index; index 0 is "none" everywhere, so
// that a zeroed arena is a valid empty table and code that ran out of room may go on writing to record 0 until the
// transaction is rolled back. Records that leave the engine have the layout of bpf/types.h instead.

export namespace Failure {
  export const NONE: u32 = 0
  export const INVALID: u32 = 1
  export const CAPACITY: u32 = 2
}

/** What ran out or was invalid; the host turns it into a message. */
export namespace Subject {
  export const IDENTITIES: u32 = 1
  export const LABELS: u32 = 2
  export const SELECTORS: u32 = 3
  export const RULES: u32 = 4
  export const ADDRESSES: u32 = 5
  export const ENDPOINTS: u32 = 6
  export const CLASSES: u32 = 7
  export const POLICY_ENTRIES: u32 = 8
  export const POLICY_ROWS: u32 = 9
  export const JOURNAL: u32 = 10
  export const TEXT: u32 = 11
}

const PAGE: usize = 65536 // of WebAssembly
const PAGE_SHIFT: u32 = 12 // of the kernel; where its pages are larger, some are claimed again

// Areas stand behind the arenas, where memory grows: what one transaction needs is seldom much.
let areas: usize = 0
let areaTop: usize = 0
let areaEnd: usize = 0

// The undo log saves whole blocks, each once a transaction. A block that was all zero is noted by its address alone: a
// transaction that fills empty tables costs the log next to nothing. The log's first chunk is always there, others are
// areas; a chunk begins with the address of the one before and where its own entries end.
const BLOCK_SHIFT: u32 = 6
const BLOCK_BYTES: usize = 1 << BLOCK_SHIFT
const WAS_ZERO: u32 = 1 // in the address of a block in the log
const CHUNK_BYTES: usize = 1 << 20
const CHUNK_END: usize = 4
const CHUNK_ENTRIES: usize = 8

let top: usize = 0
let claimed: usize = 0 // a byte for every page: 1 once something is stored there
let saved: usize = 0 // a bit for every block: 1 while the log has it
let firstChunk: usize = 0
let chunk: usize = 0 // the one that is being filled
let undoTop: usize = 0
let undoEnd: usize = 0
let failureCode: u32 = 0
let failureSubject: u32 = 0

/** The first failure of a transaction is the one that is reported. */
export function fail(code: u32, subject: u32): void {
  if (failureCode != Failure.NONE) return
  failureCode = code
  failureSubject = subject
}

@inline export function failed(): bool { return failureCode != Failure.NONE }
export function failure(): u32 { return failureSubject << 8 | failureCode }

/** Zeroed memory that is never given back. Only used before `sealArenas`. */
export function reserve(bytes: usize): usize {
  if (top == 0) top = __heap_base
  const address = blockAlign(top) // no block holds both what is undone and what is not
  top = address + bytes
  growTo(top)
  return address
}

/** A column of `count` words and the unused word 0. */
export function column(count: u32): usize { return reserve((<usize>count + 1) << 2) }

@inline function blockAlign(address: usize): usize { return (address + BLOCK_BYTES - 1) & ~(BLOCK_BYTES - 1) }

/** All arenas stand; what follows them are the marks of the undo log, its first chunk, and the areas. */
export function sealArenas(): void {
  claimed = reserve((top >>> PAGE_SHIFT) + 1)
  const blocks = top >>> BLOCK_SHIFT
  saved = reserve((blocks >>> 3) + 1)
  memory.fill(saved, 0, (blocks >>> 3) + 1) // Every transaction needs its pages.
  firstChunk = reserve(CHUNK_BYTES)
  openChunk(firstChunk, 0)
  areas = areaTop = blockAlign(top)
  areaEnd = <usize>memory.size() * PAGE
}

function growTo(end: usize): void {
  if (!tryGrow(end)) unreachable()
}

function tryGrow(end: usize): bool {
  const pages = <i32>((end + PAGE - 1) / PAGE) - memory.size()
  return pages <= 0 || memory.grow(pages) >= 0
}

// ---- areas ------------------------------------------------------------------------------------------------------

/** Memory that holds until `freeAreas`; 0 if there is no more. */
export function takeArea(bytes: usize): usize {
  const area = areaTop
  const end = blockAlign(area + bytes)
  if (end > areaEnd) {
    if (!tryGrow(end)) return 0
    areaEnd = <usize>memory.size() * PAGE
  }
  areaTop = end
  return area
}

/** Where the next area will be, for `freeAreas`. */
export function areasTaken(): usize { return areaTop }

/** Gives back the areas from `from` on, or all for 0. The undo log must be empty. */
export function freeAreas(from: usize): void { areaTop = from != 0 ? from : areas }

// ---- words ------------------------------------------------------------------------------------------------------

@inline export function get(columnBase: usize, index: u32): u32 { return load<u32>(columnBase + (<usize>index << 2)) }
@inline export function set(columnBase: usize, index: u32, value: u32): void { put(columnBase + (<usize>index << 2), value) }

/** A store that no rollback undoes: scratch of one transaction, and memory that nothing refers to yet. */
@inline export function poke(base: usize, index: u32, value: u32): void { store<u32>(base + (<usize>index << 2), value) }

/** A store that `rollback` undoes. State that outlives a transaction is only ever written so. Inlined: a fifth of all time less. */
@inline export function put(address: usize, value: u32): void {
  if (isSaved(address)) store<u32>(address, value)
  else putFirst(address, value)
}

@inline function savedByte(address: usize): usize { return saved + (address >>> (BLOCK_SHIFT + 3)) }
@inline function savedBit(address: usize): u32 { return 1 << (<u32>(address >>> BLOCK_SHIFT) & 7) }
@inline function isSaved(address: usize): bool { return (load<u8>(savedByte(address)) & savedBit(address)) != 0 }

/** The first store to a block in this transaction. */
function putFirst(address: usize, value: u32): void {
  if (undoEnd != 0) { // else the arenas are being made
    claimPage(address)
    if (load<u32>(address) == value) return
    saveBlock(address & ~(BLOCK_BYTES - 1))
  }
  store<u32>(address, value)
}

/**
 * Memory that is read before it is ever written costs two page faults, and the second one interrupts all processors that
 * run threads of this process: the first only maps the kernel's page of zeros. A locked write that changes nothing gets
 * the page itself.
 */
@inline function claimPage(address: usize): void {
  const page = claimed + (address >>> PAGE_SHIFT)
  if (load<u8>(page) != 0) return
  store<u8>(page, 1)
  atomic.cmpxchg<u32>(address, 0, 0)
}

function saveBlock(block: usize): void {
  if (undoTop + 4 + BLOCK_BYTES > undoEnd) addChunk()
  store<u8>(savedByte(block), <u8>(load<u8>(savedByte(block)) | savedBit(block)))
  const zero = copyBlock(undoTop + 4, block)
  store<u32>(undoTop, zero ? <u32>block | WAS_ZERO : <u32>block)
  undoTop += zero ? 4 : 4 + BLOCK_BYTES
}

/** True if the block is all zero. Calls of memory.copy would cost more than the copying. */
@inline function copyBlock(to: usize, from: usize): bool {
  let any: u64 = 0
  for (let at: usize = 0; at < BLOCK_BYTES; at += 8) {
    const bits = load<u64>(from + at)
    any |= bits
    store<u64>(to + at, bits)
  }
  return any == 0
}

function addChunk(): void {
  store<u32>(chunk, <u32>undoTop, CHUNK_END)
  const added = takeArea(CHUNK_BYTES)
  if (added == 0) unreachable() // The host rolls back: nothing was changed that the log does not have.
  openChunk(added, chunk)
}

function openChunk(address: usize, before: usize): void {
  store<u32>(address, <u32>before)
  chunk = address
  undoTop = address + CHUNK_ENTRIES
  undoEnd = address + CHUNK_BYTES
}

export function beginUndo(): void {
  emptyLog(false)
  failureCode = Failure.NONE
  failureSubject = 0
}

/** Puts back every block that changed since `beginUndo`. */
export function rollbackUndo(): void { emptyLog(true) }

function emptyLog(restore: bool): void {
  store<u32>(chunk, <u32>undoTop, CHUNK_END)
  for (let at = chunk; at != 0; at = <usize>load<u32>(at)) emptyChunk(at, restore)
  openChunk(firstChunk, 0)
}

function emptyChunk(address: usize, restore: bool): void {
  const end = <usize>load<u32>(address, CHUNK_END)
  for (let at = address + CHUNK_ENTRIES; at < end;) {
    const entry = load<u32>(at)
    const block = <usize>(entry & ~WAS_ZERO)
    const zero = (entry & WAS_ZERO) != 0
    store<u8>(savedByte(block), 0) // All blocks of the byte are in the log, or not saved.
    if (restore && zero) memory.fill(block, 0, BLOCK_BYTES)
    else if (restore) copyBlock(block, at + 4)
    at += zero ? 4 : 4 + BLOCK_BYTES
  }
}
