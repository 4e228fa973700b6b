// A workload's server, one process for both families: server.ts NAME [tcp:PORT|udp:PORT|echo:PORT ...].
// HTTP on tcp ports answers {"name", "client"} as JSON, udp ports answer every datagram with the name, echo ports give
// back what a TCP connection sends. Prints `ready` when all ports are open.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createTcpServer } from 'node:net'

type Opener = (name: string, port: number) => Promise<unknown>

const openers: Record<string, Opener> = {
  async tcp(name, port) {
    const server = createHttpServer((request, response) => {
      response.setHeader('content-type', 'application/json')
      response.setHeader('connection', 'close')
      response.end(JSON.stringify({ name, client: request.socket.remoteAddress?.replace(/^::ffff:/, '') }))
    })
    await once(server.listen(port, '::'), 'listening')
  },
  async udp(name, port) {
    const socket = createSocket('udp6')
    socket.on('message', (_, from) => socket.send(name, from.port, from.address))
    socket.on('error', (error) => console.error(`udp:${port}: ${error.message}`))
    socket.bind(port, '::')
    await once(socket, 'listening')
  },
  async echo(_, port) {
    const server = createTcpServer((socket) => socket.on('error', () => {}).pipe(socket))
    await once(server.listen(port, '::'), 'listening')
  },
}

async function open(name: string, argument: string): Promise<void> {
  const [kind = '', port] = argument.split(':')
  const opener = openers[kind]
  if (opener === undefined) throw new Error(`${argument} is no port to open: ${Object.keys(openers).join(', ')}:PORT`)
  await opener(name, Number(port))
}

const [name = 'server', ...ports] = process.argv.slice(2)
await Promise.all(ports.map((argument) => open(name, argument)))
console.log('ready')
