// Streams that last until the user has seen enough.
import type { AgentClient, Query } from './client.ts'
import { CliError } from './errors.ts'

/**
 * Lines of an answer of the API without an end. Ctrl-C and SIGTERM end it quietly: that is how it is meant to end.
 * Throws CliError where the agent ends it.
 */
export async function* follow(agent: AgentClient, path: string, query: Query): AsyncGenerator<string> {
  const controller = new AbortController()
  const stop = () => controller.abort()
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  try {
    yield* agent.lines(path, query, controller.signal)
    if (!controller.signal.aborted) throw ended(agent)
  } finally {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
    controller.abort()
  }
}

function ended(agent: AgentClient): CliError {
  return new CliError(`the agent at ${agent.socket} ended the stream: it stopped, or this reader was too slow for it`)
}
