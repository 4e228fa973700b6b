// The API's routes as data: the server serves them and openapi.ts describes them.
import { compileFilter, FilterError, type FlowFilter, type FlowHistory } from '../../observe/index.ts'
import { AgentError } from '../errors.ts'
import type { Table } from '../table.ts'
import type { Answer, Call, Stream } from './http.ts'
import { manifestTexts } from './manifest-texts.ts'
import type { ApplyResult, DeleteResult, DocumentName, Explanation, ManifestText, Status } from './types.ts'

export interface Route {
  readonly method: 'GET' | 'PUT' | 'DELETE'
  readonly path: string
  readonly summary: string
  /** Query parameters: name to meaning. */
  readonly query?: Readonly<Record<string, string>>
  /** Name in types.ts of what it answers; `T[]` for JSON lines, `Listing<T>` for tables. */
  readonly answers: string
  readonly handle: (call: Call) => Answer | Promise<Answer>
}

/** What routes ask of the agent. */
export interface ApiBackend {
  readonly tables: readonly Table<unknown>[]
  readonly flows: FlowHistory
  status(): Status
  metrics(): Promise<{ text: string; type: string }>
  explain(from: string, to: string, port: string): Promise<Explanation>
  apply(files: readonly ManifestText[]): Promise<ApplyResult>
  /** What stands in the files. */
  deleteAll(files: readonly ManifestText[]): Promise<DeleteResult>
  delete(name: DocumentName): Promise<DeleteResult>
}

const ITEM_OF: Readonly<Record<string, string>> = {
  endpoints: 'Endpoint',
  identities: 'Identity',
  addresses: 'Address',
  policies: 'PolicyItem',
  services: 'Service',
  prefilter: 'PrefilterItem',
  backends: 'Backend',
  programs: 'Program',
  maps: 'MapItem',
  interfaces: 'Interface',
}

const BODY_NAME = { file: 'name of the body in error messages' }
const DEFAULT_FLOWS = 100
/** A watcher that has so much unread is disconnected: the agent does not keep a copy for it. */
const MAX_UNREAD_CHUNKS = 10_000

export function routes(backend: ApiBackend): Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/status',
      summary: 'What works, what is degraded and why, and what to do',
      answers: 'Status',
      handle: () => ({ json: backend.status() }),
    },
    ...backend.tables.map(tableRoute),
    flowsRoute(backend.flows),
    {
      method: 'GET',
      path: '/v1/explain',
      summary: 'Whether a connection is allowed, and the rules that decide',
      query: { from: 'namespace/name of a workload, or an address', to: 'as from', port: 'e.g. 80/TCP' },
      answers: 'Explanation',
      handle: async ({ query }) => ({ json: await backend.explain(required(query, 'from'), required(query, 'to'), required(query, 'port')) }),
    },
    {
      method: 'GET',
      path: '/v1/metrics',
      summary: 'Metrics in the text format of Prometheus',
      answers: 'text',
      handle: () => backend.metrics(),
    },
    {
      method: 'PUT',
      path: '/v1/manifests',
      summary: 'Applies manifests, all or nothing; answered when the datapath holds them',
      query: BODY_NAME,
      answers: 'ApplyResult',
      handle: async (call) => ({ json: await backend.apply(await manifestTexts(call)) }),
    },
    {
      method: 'DELETE',
      path: '/v1/manifests',
      summary: 'Removes what the body names and was applied through the API, all or nothing',
      query: BODY_NAME,
      answers: 'DeleteResult',
      handle: async (call) => ({ json: await backend.deleteAll(await manifestTexts(call)) }),
    },
    ...(['policies', 'manifests'] as const).map((what) => deleteRoute(backend, what)),
  ]
}

function tableRoute(table: Table<unknown>): Route {
  return {
    method: 'GET',
    path: `/v1/${table.name}`,
    summary: `The table of ${table.name}`,
    query: { watch: '1: server-sent events of TableEvent instead of a listing' },
    answers: `Listing<${ITEM_OF[table.name] ?? 'unknown'}>`,
    handle: ({ query }) => (isSet(query, 'watch') ? watchStream(table) : { json: table.list() }),
  }
}

function deleteRoute(backend: ApiBackend, what: 'policies' | 'manifests'): Route {
  return {
    method: 'DELETE',
    path: `/v1/${what}/{kind}/{namespace}/{name}`,
    summary: `Removes what was applied through the API; the namespace is _ for kinds without one`,
    answers: 'DeleteResult',
    handle: async ({ parameters: { kind = '', namespace = '', name = '' } }) => ({
      json: await backend.delete({ kind, namespace: namespace === '_' ? '' : namespace, name }),
    }),
  }
}

function flowsRoute(history: FlowHistory): Route {
  return {
    method: 'GET',
    path: '/v1/flows',
    summary: 'The last flows, oldest first, as JSON lines',
    query: {
      last: `how many of the newest; ${DEFAULT_FLOWS} where absent`,
      verdict: 'forwarded, dropped, audited, revoked; several with commas',
      fromLabel: 'labels of the source, all of them; several with commas',
      toLabel: 'labels of the destination',
      port: 'of either end',
      protocol: 'name or number',
      follow: '1: stay and send flows as they come',
    },
    answers: 'Flow[]',
    handle: ({ query }) => flowStream(history, query),
  }
}

function watchStream(table: Table<unknown>): Stream {
  return {
    type: 'text/event-stream',
    run: (write, signal) =>
      untilAborted(signal, (end) => {
        const guarded = guard(write, end)
        return table.watch((event) => guarded(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`))
      }),
  }
}

function flowStream(history: FlowHistory, query: URLSearchParams): Stream {
  const matches = compile(query)
  const last = query.has('last') ? count(query.get('last') ?? '') : DEFAULT_FLOWS
  return {
    type: 'application/jsonl',
    run: async (write, signal) => {
      // Past flows and new ones in one turn of the event loop: none is missed, none comes twice.
      const lines = history.last(last, matches).map((flow) => `${JSON.stringify(flow)}\n`)
      if (!isSet(query, 'follow')) return void write(lines.join(''))
      await untilAborted(signal, (end) => {
        const guarded = guard(write, end)
        if (lines.length > 0) guarded(lines.join(''))
        const subscription = history.subscribe((flow) => guarded(`${JSON.stringify(flow)}\n`), matches)
        return () => subscription[Symbol.dispose]()
      })
    },
  }
}

/** Runs until the client goes away, the agent stops, or `end` is called. `begin` returns how to clean up. */
async function untilAborted(signal: AbortSignal, begin: (end: () => void) => () => void): Promise<void> {
  if (signal.aborted) return
  const { promise, resolve } = Promise.withResolvers<void>()
  signal.addEventListener('abort', () => resolve(), { once: true })
  const cleanUp = begin(resolve)
  await promise
  cleanUp()
}

/** Ends the stream of a client that does not read. */
function guard(write: (chunk: string) => boolean, end: () => void): (chunk: string) => void {
  let unread = 0
  return (chunk) => {
    unread = write(chunk) ? 0 : unread + 1
    if (unread > MAX_UNREAD_CHUNKS) end()
  }
}

function compile(query: URLSearchParams): ReturnType<typeof compileFilter> {
  const names = ['verdict', 'fromLabel', 'toLabel', 'port', 'protocol'] as const
  const filter: FlowFilter = Object.fromEntries(names.flatMap((name) => (query.has(name) ? [[name, query.get(name)]] : [])))
  try {
    return compileFilter(filter)
  } catch (error) {
    if (error instanceof FilterError) throw new AgentError('BAD_REQUEST', error.message, { cause: error })
    throw error
  }
}

function count(text: string): number {
  const value = Number(text)
  if (text !== '' && Number.isSafeInteger(value) && value >= 0) return value
  throw new AgentError('BAD_REQUEST', `last "${text}" is not valid: give a whole number from 0`)
}

function isSet(query: URLSearchParams, name: string): boolean {
  return ['1', 'true', ''].includes(query.get(name) ?? 'no')
}

function required(query: URLSearchParams, name: string): string {
  const value = query.get(name)
  if (value === null || value === '') throw new AgentError('BAD_REQUEST', `the query needs "${name}"`)
  return value
}
