// HTTP around the routes: matching, bodies, errors, streams. Nothing here knows what the agent does.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { AgentError, type AgentErrorCode } from '../errors.ts'
import { codeOf, messageOf } from '../log.ts'
import type { ApiError, ApiErrorDetail } from './types.ts'

export interface Call {
  readonly query: URLSearchParams
  /** Of `{name}` in the route's path, decoded. */
  readonly parameters: Readonly<Record<string, string>>
  /** Content type of the body, without its parameters. */
  readonly type: string
  readonly body: () => Promise<string>
  /** Aborts when the client goes away or the agent stops. */
  readonly signal: AbortSignal
}

export interface Json {
  readonly json: unknown
}

export interface Text {
  readonly text: string
  readonly type: string
}

/** Writes until its promise settles; `write` resolves when the client can take more. */
export interface Stream {
  readonly type: string
  readonly run: (write: (chunk: string) => boolean, signal: AbortSignal) => Promise<void>
}

export type Answer = Json | Text | Stream

const MAX_BODY_BYTES = 16 * 1024 * 1024

const STATUS_OF: Readonly<Partial<Record<AgentErrorCode, number>>> = {
  BAD_REQUEST: 400,
  INVALID_MANIFEST: 422,
  NOT_FOUND: 404,
  CONFLICT: 409,
  CAPACITY: 507,
  UNAVAILABLE: 503,
}

export function readBody(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > MAX_BODY_BYTES) reject(new AgentError('BAD_REQUEST', `the body is larger than ${MAX_BODY_BYTES} bytes`))
      else chunks.push(chunk)
    })
    request.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
    request.on('error', reject)
  })
}

export async function sendAnswer(response: ServerResponse, answer: Answer, signal: AbortSignal): Promise<void> {
  if ('json' in answer) return send(response, 200, 'application/json', `${JSON.stringify(answer.json)}\n`)
  if ('text' in answer) return send(response, 200, answer.type, answer.text)
  response.writeHead(200, { 'content-type': answer.type, 'cache-control': 'no-store' })
  response.flushHeaders()
  await answer.run((chunk) => response.write(chunk), signal)
  response.end()
}

export function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent) return void response.destroy()
  const code = codeOf(error) ?? 'INTERNAL'
  const body: ApiError = { error: { code, message: messageOf(error), ...detailsOf(error) } }
  send(response, STATUS_OF[code as AgentErrorCode] ?? 500, 'application/json', `${JSON.stringify(body)}\n`)
}

function send(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

function detailsOf(error: unknown): { details?: readonly ApiErrorDetail[] } {
  if (typeof error !== 'object' || error === null || !('details' in error)) return {}
  return Array.isArray(error.details) ? { details: error.details } : {}
}
