import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

import test from 'ava'

test('the whole tree has the types that it says', async (t) => {
  const { stdout } = await promisify(execFile)(process.execPath, ['node_modules/.bin/tsc', '--noEmit']).catch((error: { stdout: string }) => error)
  t.is(stdout, '')
})
