// Numbered datagrams, in turns from each of several source addresses of one namespace, in the order of their numbers:
// all from one thread and, by taskset, one CPU, on which the kernel takes them to their destination one by one.
//
//   alternate.ts PORT SOURCE,DESTINATION ...    sends until its standard input ends, then prints how many
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { ports, socketsEach, tickMs } from './numbered.ts'

/** Connected, so that sending needs no look-up, which would let one datagram overtake another. */
async function open(source: string, destination: string, port: number): Promise<Socket> {
  const socket = createSocket(source.includes(':') ? 'udp6' : 'udp4')
  socket.bind(0, source)
  await once(socket, 'listening')
  socket.connect(port, destination)
  await once(socket, 'connect')
  return socket
}

const [port = '', ...pairs] = process.argv.slice(2)
const ways = await Promise.all(pairs.map((pair) => {
  const [source = '', destination = ''] = pair.split(',')
  return Promise.all(Array.from({ length: socketsEach }, (_, index) => open(source, destination, Number(port) + (index % ports))))
}))

let sent = 0
console.log('ready')
const ticker = setInterval(() => {
  for (const _ of ways) {
    const sockets = ways[sent % ways.length] ?? []
    sockets[Math.floor(sent / ways.length) % sockets.length]?.send(String(sent))
    sent++
  }
}, tickMs)

process.stdin.resume()
await once(process.stdin, 'end')
clearInterval(ticker)
process.stdout.write(`${sent}\n`, () => process.exit())
