// What tests tell process.ts on its standard input and what it answers, one JSON line each.

/** TCP and UDP port that every flow process listens on. */
export const flowPort = 7000

export type FlowProtocol = 'TCP' | 'UDP'

/** Who sends; the other end only receives (and acknowledges, with TCP). */
export type Sender = 'client' | 'server'

/** What a client says first: with it the server knows what to do, and a UDP datagram opens the flow. */
export interface Hello {
  readonly id: number
  readonly sender: Sender
  readonly intervalMs: number
}

export interface OpenRequest extends Hello {
  readonly kind: 'open'
  readonly protocol: FlowProtocol
  readonly address: string
  /** Of the client; 0 or absent: any. */
  readonly localPort?: number
}

/** Sends one datagram from a new port, and tries one new connection, every `intervalMs`. */
export interface ProbeRequest {
  readonly kind: 'probe'
  readonly id: number
  readonly address: string
  readonly intervalMs: number
}

/** Ends a probe. */
export interface StopRequest {
  readonly kind: 'stop'
  readonly id: number
}

export interface CountRequest {
  readonly kind: 'count'
  readonly id: number
}

export type FlowRequest = OpenRequest | ProbeRequest | StopRequest | CountRequest

/** What one process has of one flow. Numbers of datagrams for UDP, of bytes for TCP. */
export interface Tally {
  sent: number
  received: number
  /** Highest sequence number of the datagrams that came, from 1; 0 for TCP. Above `received`: some were lost. */
  highest: number
  /** Local port of the client's end. */
  port?: number
  /** Why a TCP connection ended. */
  error?: string
}

export interface CountAnswer {
  readonly id: number
  readonly tallies: Readonly<Record<number, Tally>>
}
