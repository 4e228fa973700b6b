// The API's server on a unix socket; group.ts says who reaches it.
import { chmodSync, chownSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { AgentError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { GROUPS_FILE, socketGroup } from './group.ts'
import { readBody, sendAnswer, sendError } from './http.ts'
import type { Route } from './routes.ts'
import { listenAt } from './socket.ts'

interface Match {
  readonly route: Route
  readonly parameters: Record<string, string>
}

export class ApiServer implements AsyncDisposable {
  readonly #routes: readonly Route[]
  readonly #log: Logger
  readonly #server: Server
  readonly #stop = new AbortController()
  readonly #groupsFile: string
  #socket: Disposable | undefined

  constructor(routes: readonly Route[], log: Logger, groupsFile = GROUPS_FILE) {
    this.#routes = routes
    this.#log = log
    this.#groupsFile = groupsFile
    this.#server = createServer((request, response) => void this.#serve(request, response))
  }

  /** Throws `LOCKED` where another agent answers. */
  async listen(socket: string): Promise<void> {
    this.#socket = await listenAt(socket, this.#server, (path) => this.#restrict(path))
  }

  /** Connecting needs the permission to write. */
  #restrict(socket: string): void {
    const group = socketGroup(this.#groupsFile)
    if (group !== undefined) chownSync(socket, process.getuid?.() ?? 0, group)
    chmodSync(socket, group === undefined ? 0o600 : 0o660)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    this.#socket?.[Symbol.dispose]()
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    const signal = AbortSignal.any([gone.signal, this.#stop.signal])
    try {
      const url = parseUrl(request.url ?? '/')
      const { route, parameters } = this.#match(request.method ?? 'GET', url.pathname)
      const [type = ''] = (request.headers['content-type'] ?? '').split(';')
      const answer = await route.handle({ query: url.searchParams, parameters, type, body: () => readBody(request), signal })
      await sendAnswer(response, answer, signal)
    } catch (error) {
      if (signal.aborted) return
      this.#log.debug('request failed', { method: request.method, url: request.url, error })
      sendError(response, error)
    }
  }

  #match(method: string, path: string): Match {
    const matches = this.#routes.flatMap((route): Match[] => {
      const parameters = matchPath(route.path, path)
      return parameters === undefined ? [] : [{ route, parameters }]
    })
    const match = matches.find(({ route }) => route.method === method)
    if (match !== undefined) return match
    const allowed = matches.map(({ route }) => route.method).join(', ')
    if (allowed !== '') throw new AgentError('BAD_REQUEST', `${method} ${path} is not allowed: ${allowed}`)
    throw new AgentError('NOT_FOUND', `there is no ${path}; GET /v1/openapi.json lists what there is`)
  }
}

function parseUrl(target: string): URL {
  try {
    return new URL(target, 'http://sluice')
  } catch (cause) {
    throw new AgentError('BAD_REQUEST', `${target} is no path`, { cause })
  }
}

function decodeSegment(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw new AgentError('BAD_REQUEST', `${text} is not percent-encoded UTF-8`, { cause })
  }
}

/** `{name}` takes one segment. */
function matchPath(template: string, path: string): Record<string, string> | undefined {
  const wanted = template.split('/')
  const given = path.split('/')
  if (wanted.length !== given.length) return undefined
  const parameters: Record<string, string> = {}
  for (const [index, segment] of wanted.entries()) {
    const value = given[index] ?? ''
    if (segment.startsWith('{')) parameters[segment.slice(1, -1)] = decodeSegment(value)
    else if (segment !== value) return undefined
  }
  return parameters
}
