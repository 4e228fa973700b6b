// The reference that figures of different machines and moments are scaled by: a fixed program, see wrapper.bpf.c.

import { BpfObject } from '../../loader/index.ts'

const ENTRIES = 65_536
const REPEAT = 20_000
const ROUNDS = 5

let loaded: BpfObject | undefined

/** Nanoseconds of the reference program now. */
export function calibrate(): number {
  loaded ??= load()
  const program = loaded.program('calibrate')
  const runs = Array.from({ length: ROUNDS }, () => program.testRun({ data: new Uint8Array(64), repeat: REPEAT }).durationNs)
  return Math.min(...runs)
}

function load(): BpfObject {
  const object = BpfObject.open('build/bench/wrapper.bpf.o', { programs: ['calibrate'] }).load()
  const keys = new Uint8Array(BigUint64Array.from({ length: ENTRIES }, (_, index) => BigInt(index)).buffer)
  object.map('calibration').updateBatch(keys, keys, ENTRIES)
  return object
}
