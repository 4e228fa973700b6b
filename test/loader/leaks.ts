import type { ExecutionContext, TestFn } from 'ava'

import { openResources } from '../../loader/index.ts'

/** Fails each test of the file that leaves a map, link, program or mapping open, with the stack that created it. */
export function checkLeaks(test: TestFn): void {
  test.afterEach.always('nothing is left open', (t: ExecutionContext) => {
    const left = openResources()
    t.deepEqual(left.map((each) => each.description), [], left.map((each) => each.stack).join('\n'))
  })
}
