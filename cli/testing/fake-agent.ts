// An agent of one process and no kernel: canned answers over a real unix socket, and a record of what was asked.
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly body: string
}

/** An answer: its JSON, or a function that writes it. */
export type Answer = object | ((response: ServerResponse, asked: Asked) => void)

export interface FakeAgent extends AsyncDisposable {
  readonly socket: string
  readonly asked: readonly Asked[]
}

/** `answers` by "METHOD /path"; anything else is 404, as the agent's errors look. */
export async function startFakeAgent(answers: Readonly<Record<string, Answer>>): Promise<FakeAgent> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-cli-'))
  const socket = join(directory, 'sluice.sock')
  const asked: Asked[] = []
  const server = createServer((request, response) => void respond(request, response))
  server.listen(socket)
  await once(server, 'listening')
  return { socket, asked, [Symbol.asyncDispose]: stop }

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://agent')
    const query = Object.fromEntries(searchParams) as Record<string, string>
    const next = { method: request.method ?? '', path: pathname, query, body: await text(request) }
    asked.push(next)
    const answer = answers[`${next.method} ${next.path}`] ?? notFound(next)
    if (typeof answer === 'function') answer(response, next)
    else response.end(JSON.stringify(answer))
  }

  async function stop(): Promise<void> {
    server.closeAllConnections()
    server.close()
    await rm(directory, { recursive: true })
  }
}

export function refusal(status: number, error: object): Answer {
  return (response) => void response.writeHead(status).end(JSON.stringify({ error }))
}

export function jsonLines(items: readonly object[]): Answer {
  return (response) => void response.end(items.map((item) => `${JSON.stringify(item)}\n`).join(''))
}

function notFound({ method, path }: Asked): Answer {
  return refusal(404, { code: 'NOT_FOUND', message: `the fake agent has no ${method} ${path}` })
}
