/** What alternate.ts sends and record.ts takes. */

/** Sockets of one source: so many flows are new to the datapath after every change. */
export const socketsEach = 16

/** The server listens on so many ports, each with a buffer of its own: it may be slow, but must not lose any. */
export const ports = 8

/** Between rounds; in each every source sends one. */
export const tickMs = 1
