// The worker thread: one request after the other, since the engine's answers are views of its memory that the next
// call overwrites.
import { parentPort } from 'node:worker_threads'
import { codeOf, messageOf } from '../log.ts'
import { KernelThread } from './kernel.ts'
import type { RemoteFault, Reply, Request } from './protocol.ts'

const port = parentPort
if (port === null) throw new Error('agent/worker/index.ts is the entry of a worker thread; start ./sluiced instead')

const kernel = new KernelThread()
let previous: Promise<void> = Promise.resolve()

port.on('message', (request: Request) => {
  previous = previous.then(async () => port.postMessage(await answer(request)))
})

async function answer({ id, method, argument }: Request): Promise<Reply> {
  try {
    const call = kernel[method].bind(kernel) as (argument: unknown) => unknown
    return { id, result: await call(argument) }
  } catch (error) {
    return { id, fault: toFault(error) }
  }
}

function toFault(error: unknown): RemoteFault {
  const hint = typeof error === 'object' && error !== null && 'hint' in error ? String(error.hint) : undefined
  return {
    name: error instanceof Error ? error.name : 'Error',
    message: messageOf(error),
    code: codeOf(error),
    hint,
    stack: error instanceof Error ? error.stack : undefined,
  }
}
