// A workload's client: reads one JSON request a line, sends each at once, and prints one JSON line for each event of
// it (see protocol.ts). One process sends any number of requests, since starting Node takes longer than they do.
import { createSocket } from 'node:dgram'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import type { ClientEvent, ClientRequest, Outcome } from './protocol.ts'

const outcomes: Record<string, Outcome> = {
  ABORT_ERR: 'timeout',
  ETIMEDOUT: 'timeout',
  ECONNREFUSED: 'refused',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  ENETUNREACH: 'unreachable',
  EHOSTUNREACH: 'unreachable',
  EACCES: 'unreachable', // What ICMPv6 "administratively prohibited" is to a socket.
}

/** Of server.ts. */
interface Answer {
  readonly name: string
  readonly client: string
  readonly padding: string
}

const streams = new Map<number, () => void>()

function print(event: ClientEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`)
}

function outcomeOf(error: Error): Outcome {
  return outcomes[(error as NodeJS.ErrnoException).code ?? ''] ?? 'error'
}

/** A new connection for each request, so that every one of them is a flow of its own. */
function sendHttp({ id, address, port, timeoutMs, bytes: wanted = 0 }: ClientRequest): void {
  const started = performance.now()
  const end = (result: Partial<ClientEvent> & { outcome: Outcome }) =>
    print({ id, ms: performance.now() - started, ...result })
  const signal = AbortSignal.timeout(timeoutMs)
  const request = httpRequest({ host: address, port, path: `/${wanted}`, agent: false, signal }, async (response) => {
    try {
      const { name, client, padding } = JSON.parse(Buffer.concat(await response.toArray()).toString()) as Answer
      end({ outcome: 'answered', by: name, seenAs: client, bytes: padding.length })
    } catch (error) {
      end({ outcome: outcomeOf(error as Error), error: String(error) })
    }
  })
  request.on('error', (error) => end({ outcome: outcomeOf(error), error: error.message }))
  request.end()
}

function sendUdp({ id, address, port, timeoutMs }: ClientRequest): void {
  const started = performance.now()
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  const end = (result: Partial<ClientEvent> & { outcome: Outcome }) => {
    clearTimeout(timer)
    socket.close()
    print({ id, ms: performance.now() - started, ...result })
  }
  const timer = setTimeout(() => end({ outcome: 'timeout' }), timeoutMs)
  // Connected, so that ICMP errors arrive as errors of the socket.
  socket.on('connect', () => socket.send('?'))
  socket.on('message', (message) => end({ outcome: 'answered', by: message.toString() }))
  socket.on('error', (error) => end({ outcome: outcomeOf(error), error: error.message }))
  socket.connect(port, address)
}

/** Holds one connection and sends a byte every `intervalMs`; prints an event for all that comes. */
function openStream({ id, address, port, timeoutMs, intervalMs = 50 }: ClientRequest): void {
  const socket = connect({ host: address, port, noDelay: true })
  let ticker: NodeJS.Timeout | undefined
  const opening = setTimeout(() => socket.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })), timeoutMs)
  socket.on('connect', () => {
    clearTimeout(opening)
    print({ id, stream: 'open' })
    if (intervalMs > 0) ticker = setInterval(() => socket.write('.'), intervalMs)
  })
  socket.on('data', (bytes) => print({ id, stream: 'data', bytes: bytes.length }))
  socket.on('error', (error) => print({ id, outcome: outcomeOf(error), error: error.message }))
  socket.on('close', () => {
    clearTimeout(opening)
    clearInterval(ticker)
    streams.delete(id)
    print({ id, stream: 'closed' })
  })
  streams.set(id, () => socket.destroy())
}

const senders = { http: sendHttp, udp: sendUdp, stream: openStream } as const

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line) as ClientRequest
  if (request.kind === 'close') streams.get(request.id)?.()
  else senders[request.kind](request)
}
process.exit() // The lab is gone: so are the connections.
