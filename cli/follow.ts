// Streams that last until they end or the user has seen enough.
import type { AgentClient, Query } from './client.ts'

/** Lines of an answer of the API. Ctrl-C and SIGTERM end it quietly: that is how a stream is meant to end. */
export async function* linesUntilInterrupted(agent: AgentClient, path: string, query: Query): AsyncGenerator<string> {
  const controller = new AbortController()
  const stop = () => controller.abort()
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  try {
    yield* agent.lines(path, query, controller.signal)
  } finally {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
    controller.abort()
  }
}
