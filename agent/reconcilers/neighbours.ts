// Next hops of encapsulated backends: XDP asks the FIB, and an unresolved neighbour answers with "not found". A
// datagram to each backend now and then makes the kernel resolve it and keep it resolved.
import { createSocket, type Socket } from 'node:dgram'
import type { Logger } from '../log.ts'

/** The discard service (RFC 863): whoever answers, answers with an ICMP error, which harms nobody. */
const DISCARD_PORT = 9
/** A neighbour is taken for reachable for 15 to 45 s; a lost datagram must not matter. */
const EVERY_MS = 5_000

export class NeighbourWarmer implements Disposable {
  readonly #sockets: Readonly<Record<4 | 6, Socket>>
  readonly #timer: NodeJS.Timeout
  #addresses: readonly string[] = []

  constructor(log: Logger) {
    const open = (type: 'udp4' | 'udp6'): Socket => {
      const socket = createSocket(type)
      socket.on('error', (error) => log.debug('neighbour warm-up', { reason: error.message }))
      socket.unref()
      return socket
    }
    this.#sockets = { 4: open('udp4'), 6: open('udp6') }
    this.#timer = setInterval(() => this.#warm(this.#addresses), EVERY_MS)
    this.#timer.unref()
  }

  /** New ones are resolved at once. */
  setAddresses(addresses: readonly string[]): void {
    const added = addresses.filter((address) => !this.#addresses.includes(address))
    this.#addresses = addresses
    this.#warm(added)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    for (const socket of Object.values(this.#sockets)) socket.close()
  }

  #warm(addresses: readonly string[]): void {
    // Unreachable hosts show in the balancer's counters; here they are no fault.
    for (const address of addresses) this.#sockets[address.includes(':') ? 6 : 4].send('', DISCARD_PORT, address, () => undefined)
  }
}
