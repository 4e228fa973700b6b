// Whatever the history of inputs: the engine, the maps that its journal fills, and the naive model give the same
// verdicts; no state between two runs of a transaction shows anything but the old or the new verdict; a flow that
// checks subject and generation alone is never wrong; and nothing is left when everything has been removed.

import test from 'ava'
import fc from 'fast-check'
import { history, type Step } from './testing/arbitrary.ts'
import { Node, smallEngine } from './testing/checks.ts'

const RUNS = Number(process.env['SLUICE_PROPERTY_RUNS'] ?? 300)

async function follow(transactions: readonly (readonly Step[])[]): Promise<void> {
  const node = new Node(await smallEngine())
  for (const steps of transactions) node.transact(steps)
  node.checkNothingLeaks()
}

test('engine, maps and model agree, transactions are atomic, established flows are right', async (t) => {
  t.timeout(900_000)
  await fc.assert(fc.asyncProperty(history, follow), { numRuns: RUNS, includeErrorInReport: true })
  t.pass()
})
