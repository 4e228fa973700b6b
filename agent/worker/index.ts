// The worker thread: carries out what the main thread asks for, and publishes what became of it.
import { parentPort } from 'node:worker_threads'
import { AgentError } from '../errors.ts'
import { codeOf, messageOf } from '../log.ts'
import { Controller } from './controller.ts'
import type { ControlPlane, FromWorker, RemoteFault, Reply, Request, ToWorker } from './protocol.ts'

const port = parentPort
if (port === null) throw new Error('agent/worker/index.ts is the entry of a worker thread; start ./sluiced instead')

const send = (message: FromWorker): void => port.postMessage(message)
let controller: Controller | undefined

function started(): Controller {
  if (controller === undefined) throw new AgentError('UNAVAILABLE', 'the agent is starting')
  return controller
}

const methods: ControlPlane = {
  start: async (options) => {
    controller = new Controller(options, (publication) => send({ publication }))
    await controller.start()
  },
  apply: async (files) => started().apply(files),
  deleteAll: async (files) => started().deleteAll(files),
  delete: async (name) => started().delete(name),
  explain: async ({ from, to, port: wanted }) => started().explain(from, to, wanted),
  stop: async () => controller?.stop(),
}

port.on('message', (message: ToWorker) => {
  if ('acknowledged' in message) controller?.acknowledged()
  else void answer(message).then(send)
})

async function answer({ id, method, argument }: Request): Promise<Reply> {
  try {
    const call = methods[method] as (argument: unknown) => Promise<unknown>
    return { id, result: await call(argument) }
  } catch (error) {
    return { id, fault: toFault(error) }
  }
}

function toFault(error: unknown): RemoteFault {
  const { hint, details, cause, stack } = Object(error) as { hint?: unknown; details?: unknown; cause?: unknown; stack?: string }
  return {
    message: messageOf(error),
    code: codeOf(error),
    hint: typeof hint === 'string' ? hint : undefined,
    details,
    cause: cause === undefined ? undefined : messageOf(cause),
    stack,
  }
}
