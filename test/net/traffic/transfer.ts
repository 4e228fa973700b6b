// A bulk transfer in both directions, each compared by its digest.
//
//   transfer.ts serve PORT              answers every connection, over both families; prints `ready`
//   transfer.ts ADDRESS PORT BYTES      sends BYTES random bytes, gets as many; prints what it found as JSON
//
// The client says how many bytes, sends them and closes its half; the server answers with the digest of what it got,
// as many random bytes, and their digest.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'

const digestBytes = 32

export interface TransferResult {
  /** The server got exactly what the client sent. */
  readonly sent: boolean
  /** The client got exactly what the server sent, and all of it. */
  readonly received: boolean
}

function digest(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}

async function serve(port: number): Promise<void> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    answer(socket).catch((error: Error) => console.error(`transfer: ${error.message}`))
  })
  await once(server.listen(port, '::'), 'listening')
  console.log('ready')
}

async function answer(socket: Socket): Promise<void> {
  // Reading to the end would destroy the socket, and the other half is still to be written.
  const got = await buffer(socket.iterator({ destroyOnReturn: false }))
  const bytes = randomBytes(got.length)
  socket.end(Buffer.concat([digest(got), bytes, digest(bytes)]))
}

async function transfer(host: string, port: number, count: number): Promise<TransferResult> {
  const socket = connect({ host, port, allowHalfOpen: true })
  await once(socket, 'connect')
  const bytes = randomBytes(count)
  socket.end(bytes)
  const got = await buffer(socket)
  const received = got.subarray(digestBytes, -digestBytes)
  return {
    sent: digest(bytes).equals(got.subarray(0, digestBytes)),
    received: received.length === count && digest(received).equals(got.subarray(-digestBytes)),
  }
}

const [what = '', port = '', count = ''] = process.argv.slice(2)
if (what === 'serve') await serve(Number(port))
else console.log(JSON.stringify(await transfer(what, Number(port), Number(count))))
