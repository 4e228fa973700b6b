// The page asks the engine itself what a policy would do: it must run unchanged in a browser.

import { readFile } from 'node:fs/promises'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { addressOf } from './index.ts'

test('the engine decides without any module or global of Node', async (t) => {
  const wasm = await readFile(new URL('../build/engine.wasm', import.meta.url))
  const workerData = { wasm, query: { to: addressOf('10.0.0.1'), protocol: 6, port: 80 } }
  const worker = new Worker(new URL('./testing/browser-worker.ts', import.meta.url), { workerData })
  const [message] = (await once(worker, 'message')) as [{ decision: string; changes: number }]
  t.is(message.decision, 'denied')
  t.true(message.changes > 0)
  await worker.terminate()
})
