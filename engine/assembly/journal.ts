// The journal: runs of changes of one map each, in the order in which they must be applied, as packed keys and
// values in the map's own layout. The host takes all of it; the next transaction then starts it afresh. How long it gets
// is bounded by what the tables hold, and mostly a small part of that: a run has an area of its own.

import { areasTaken, fail, Failure, freeAreas, reserve, Subject, takeArea } from './memory'
import {
  ENDPOINT_SIZE, IP_ADDRESS_SIZE, PEER_SIZE, POLICY_KEY_SIZE, POLICY_ROW_SIZE, POLICY_SPAN_SIZE, PREFIX_KEY_SIZE,
} from './records.generated'

export namespace BpfMap {
  export const ADDRESSES: u32 = 0
  export const PREFIXES: u32 = 1
  export const CLASS_GENERATIONS: u32 = 2
  export const ENDPOINTS: u32 = 3
  export const POLICY: u32 = 4
  export const POLICY_ROWS: u32 = 5
  export const LAST_SUBJECT: u32 = 6
}
export namespace Operation {
  export const UPDATE: u32 = 0
  export const DELETE: u32 = 1
}

const MAX_RUNS: u32 = 65536
const RUN_BYTES: usize = 20 // map, operation, count, address of keys, address of values

let runs: usize = 0
let runCount: u32 = 0
let runCountBefore: u32 = 0
let top: usize = 0 // of the areas of its runs; 0 for none
let topBefore: usize = 0
let taken: bool = false

/** Keys and values of the run last opened, to be filled by whoever opened it. */
export let runKeys: usize = 0
export let runValues: usize = 0

export function initializeJournal(): void { runs = reserve(<usize>MAX_RUNS * RUN_BYTES) }

function keyBytes(map: u32): usize {
  if (map == BpfMap.ADDRESSES) return IP_ADDRESS_SIZE
  if (map == BpfMap.PREFIXES) return PREFIX_KEY_SIZE
  return map == BpfMap.POLICY ? POLICY_KEY_SIZE : sizeof<u32>()
}

function valueBytes(map: u32): usize {
  if (map == BpfMap.ADDRESSES || map == BpfMap.PREFIXES) return PEER_SIZE
  if (map == BpfMap.ENDPOINTS) return ENDPOINT_SIZE
  if (map == BpfMap.POLICY_ROWS) return POLICY_ROW_SIZE
  return map == BpfMap.POLICY ? POLICY_SPAN_SIZE : sizeof<u32>()
}

export function beginJournal(): void {
  if (taken) {
    runCount = 0
    top = 0
    taken = false
  }
  freeAreas(top)
  runCountBefore = runCount
  topBefore = top
}

export function rollbackJournal(): void {
  runCount = runCountBefore
  top = topBefore
}

/** Opens a run of `count` changes; false, and nothing to fill, for an empty run or when there is no room. */
export function openRun(map: u32, operation: u32, count: u32): bool {
  if (count == 0) return false
  const bytesOfKeys = (<usize>count * keyBytes(map) + 7) & ~7
  const bytesOfValues: usize = operation == Operation.DELETE ? 0 : <usize>count * valueBytes(map)
  const keys = runCount == MAX_RUNS ? <usize>0 : takeArea(bytesOfKeys + bytesOfValues)
  if (keys == 0) {
    fail(Failure.CAPACITY, Subject.JOURNAL)
    return false
  }
  const run = runs + <usize>(runCount++) * RUN_BYTES
  store<u32>(run, map)
  store<u32>(run + 4, operation)
  store<u32>(run + 8, count)
  store<u32>(run + 12, <u32>keys)
  store<u32>(run + 16, <u32>(keys + bytesOfKeys))
  runKeys = keys
  runValues = keys + bytesOfKeys
  top = areasTaken()
  return true
}

/** The address of the run records and their number; what they point to holds until the next transaction. */
export function takeJournal(): u32 {
  const count = taken ? 0 : runCount
  taken = true
  return count
}
export function journalRuns(): usize { return runs }
