// The balancer's program against its model, on random and broken frames.

import { FaultyBuild, type SourceFault } from '../differential/faults.ts'
import { kernelTest } from '../helpers/index.ts'
import { compare } from './run.ts'
import { EdgeWorld } from './world.ts'

/** `SLUICE_FUZZ_FRAMES` and `SLUICE_FUZZ_SEED` make the run longer or another one. */
const frames = Number(process.env['SLUICE_FUZZ_FRAMES'] ?? 100_000)
const seed = Number(process.env['SLUICE_FUZZ_SEED'] ?? 1)

/** Each must be met often, or the run says little. */
const OUTCOMES = [
  'pass', 'redirect', 'transmit', 'transmit too-big', 'drop malformed', 'drop no-backend', 'drop no-route', 'drop too-big', 'drop fragment-without-first', 'drop overlapping-fragment',
  'drop of a flood',
]

kernelTest(`program and model agree about ${frames} frames`, async (t) => {
  t.timeout(6 * 60 * 60_000)
  using world = new EdgeWorld()
  const { outcomes, difference } = await compare(world, { seed, frames })
  t.is(difference, undefined)
  t.log(JSON.stringify(Object.fromEntries(outcomes)))
  for (const outcome of OUTCOMES) t.true((outcomes.get(outcome) ?? 0) >= frames / 1000, `the run met too little of: ${outcome}`)
})

/** Frames that a planted fault may go unnoticed. */
const FRAMES_WITH_FAULT = 50_000

const fault = (name: string, file: string, find: string, replace: string): SourceFault => ({ name, file: `bpf/${file}`, find, replace })
const FAULTS: readonly SourceFault[] = [
  fault('the outer header has no traffic class', 'lib/encapsulate.h', 'ip->tos = inner->traffic_class;', 'ip->tos = 0;'),
  fault('an end before what has come is none', 'lib/overlap.h', '(is_last || part->past > other->first)', '((is_last && 0) || part->past > other->first)'),
  fault('a byte too much is not too big', 'lib/send.h', 'inner->length + overhead > hop->mtu', 'inner->length + overhead > hop->mtu + 1'),
  fault('a quotation of another address is followed', 'xdp_lb.bpf.c', 'if (reason || !address_same(', 'if (reason || 0 & address_same('),
  fault('a first fragment may lack TCP options', 'lib/parse.h', 'bytes = (header[12] >> 4) * 4;', 'bytes = 20;'),
  fault('of two tags one comes back', 'lib/vlan.h', '\tif (inner_be)\n\t\ttag[1] = inner_be;\n', ''),
]

for (const each of FAULTS)
  kernelTest(`a run notices: ${each.name}`, async (t) => {
    t.timeout(5 * 60_000)
    using build = await FaultyBuild.plant(each)
    using world = new EdgeWorld(`${build.root}/build/bpf`)
    t.not((await compare(world, { seed, frames: FRAMES_WITH_FAULT })).difference, undefined)
  })
