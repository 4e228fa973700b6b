// Numbers of the datagrams that came to PORT and the ports after it.
//
//   record.ts PORT    records until its standard input ends, then prints the numbers as JSON
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { ports } from './numbered.ts'

const [port = ''] = process.argv.slice(2)
const numbers: number[] = []
await Promise.all(Array.from({ length: ports }, async (_, index) => {
  const socket = createSocket('udp6', (datagram) => numbers.push(Number(datagram.toString())))
  socket.bind(Number(port) + index, '::')
  await once(socket, 'listening')
}))
console.log('ready')
await text(process.stdin)
process.stdout.write(`${JSON.stringify(numbers)}\n`, () => process.exit())
