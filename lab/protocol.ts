/** What a lab tells client.ts on its standard input, one JSON line each. */
export interface ClientRequest {
  /** Chosen by the lab, unique in one client. */
  readonly id: number
  /** `close` ends the stream of this id. */
  readonly kind: 'http' | 'udp' | 'stream' | 'close'
  readonly address: string
  readonly port: number
  /** Until the answer, for a stream until the connection stands. */
  readonly timeoutMs: number
  /** Pause between the bytes that a stream sends; 0: it sends none. */
  readonly intervalMs?: number
  /** Padding that an HTTP answer is to have: large ones are sent in segments that only the link cuts (TSO, GRO). */
  readonly bytes?: number
}

/** `timeout` is what a dropped packet looks like. */
export type Outcome = 'answered' | 'timeout' | 'refused' | 'reset' | 'unreachable' | 'error'

/** What client.ts prints, one JSON line each. */
export interface ClientEvent {
  readonly id: number
  readonly outcome?: Outcome
  readonly ms?: number
  /** Name of the server that answered. */
  readonly by?: string
  /** The client's address as the server saw it. */
  readonly seenAs?: string
  readonly error?: string
  readonly stream?: 'open' | 'data' | 'closed'
  readonly bytes?: number
}
