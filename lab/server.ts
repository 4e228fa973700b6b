// A workload's server, one process for both families: server.ts NAME [KIND:PORT[@ADDRESS] ...]. HTTP on `tcp` ports answers
// {"name", "client", "padding"} as JSON, with as many bytes of padding as the path /N asks for; `udp` ports answer every datagram with the name. Of TCP connections, `echo` ports give back
// what they get, `source` ports send a byte every 50 ms and `sink` ports print `received` for what they get. Answers to
// datagrams that came to a virtual address come from it where the port is of that address alone.
// Prints `ready` when all ports are open.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createTcpServer, type Socket } from 'node:net'

type Opener = (name: string, port: number, address?: string) => Promise<unknown>

const openers: Record<string, Opener> = {
  async tcp(name, port) {
    const server = createHttpServer((request, response) => {
      response.setHeader('content-type', 'application/json')
      response.setHeader('connection', 'close')
      const client = request.socket.remoteAddress?.replace(/^::ffff:/, '')
      const padding = 'x'.repeat(Number(request.url?.slice(1)))
      response.end(JSON.stringify({ name, client, padding }))
    })
    await once(server.listen(port, '::'), 'listening')
  },
  async udp(name, port, address = '::') {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    socket.on('message', (_, from) => socket.send(name, from.port, from.address))
    socket.on('error', (error) => console.error(`udp:${port}: ${error.message}`))
    socket.bind(port, address)
    await once(socket, 'listening')
  },
  echo: (_, port) => openTcp(port, (socket) => void socket.pipe(socket)),
  source: (_, port) => openTcp(port, (socket) => {
    const ticker = setInterval(() => socket.write('.'), 50)
    socket.on('close', () => clearInterval(ticker))
  }),
  sink: (_, port) => openTcp(port, (socket) => void socket.on('data', () => console.log('received'))),
}

async function openTcp(port: number, handle: (socket: Socket) => void): Promise<void> {
  const server = createTcpServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {}) // A reset is what revocation may look like; `close` follows.
    handle(socket)
  })
  await once(server.listen(port, '::'), 'listening')
}

async function open(name: string, argument: string): Promise<void> {
  const [, kind = '', port, address] = /^(\w*):(\d+)(?:@(.+))?$/.exec(argument) ?? []
  const opener = openers[kind]
  if (opener === undefined) throw new Error(`${argument} is no port to open: ${Object.keys(openers).join(', ')}:PORT`)
  await opener(name, Number(port), address)
}

const [name = 'server', ...ports] = process.argv.slice(2)
await Promise.all(ports.map((argument) => open(name, argument)))
console.log('ready')
