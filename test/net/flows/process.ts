// Both ends of long-lived flows of one host: process.ts answers at flowPort over both families and opens flows to
// others, as its standard input says (protocol.ts). It ends with its standard input, thus with the test.
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { type CountAnswer, flowPort, type FlowRequest, type Hello, type OpenRequest, type ProbeRequest, type Tally } from './protocol.ts'

const connectMs = 2000
const probeConnectMs = 900 // A SYN is sent again after a second: a connection that needs longer has lost one.

const tallies: Record<number, Tally> = {}

function tallyOf(id: number): Tally {
  return (tallies[id] ??= { sent: 0, received: 0, highest: 0 })
}

// ---- TCP: the client's first line is its hello, every byte after it counts ----

function sendBytes(socket: Socket, { id, intervalMs }: Hello): void {
  const ticker = setInterval(() => {
    tallyOf(id).sent++
    socket.write('.')
  }, intervalMs)
  socket.on('close', () => clearInterval(ticker))
}

function countBytes(socket: Socket, id: number): void {
  socket.on('data', (bytes) => (tallyOf(id).received += bytes.length))
  socket.on('end', () => (tallyOf(id).error ??= 'the other end closed'))
}

async function openTcp(hello: OpenRequest): Promise<void> {
  const { id, address, localPort = 0 } = hello
  const socket = connect({ host: address, port: flowPort, localPort, noDelay: true })
  socket.on('error', (error) => (tallyOf(id).error = error.message))
  socket.setTimeout(connectMs, () => socket.connecting && socket.destroy(new Error('no answer')))
  await once(socket, 'connect')
  tallyOf(id).port = socket.localPort ?? 0
  socket.write(`${JSON.stringify(hello)}\n`)
  countBytes(socket, id)
  if (hello.sender === 'client') sendBytes(socket, hello)
}

function acceptTcp(socket: Socket): void {
  let hello: Hello | undefined
  socket.on('error', (error) => hello && (tallyOf(hello.id).error = error.message))
  socket.once('data', (bytes) => {
    const line = bytes.toString().split('\n', 1)[0] ?? ''
    hello = JSON.parse(line) as Hello
    tallyOf(hello.id).received += bytes.length - line.length - 1
    countBytes(socket, hello.id)
    if (hello.sender === 'server') sendBytes(socket, hello)
  })
}

// ---- UDP: a datagram is a hello, or the flow's number and a sequence number from 1 ----

type Send = (datagram: string) => void

function sendDatagrams(send: Send, { id, intervalMs }: Hello): NodeJS.Timeout {
  return setInterval(() => send(`${id} ${++tallyOf(id).sent}`), intervalMs)
}

function countDatagram(datagram: string): void {
  const [id = 0, sequence = 0] = datagram.split(' ').map(Number)
  const tally = tallyOf(id)
  tally.received++
  tally.highest = Math.max(tally.highest, sequence)
}

async function udpSocket(type: 'udp4' | 'udp6', port: number): Promise<UdpSocket> {
  const socket = createSocket(type)
  socket.bind(port, type === 'udp6' ? '::' : '0.0.0.0')
  await once(socket, 'listening')
  return socket
}

async function openUdp(hello: OpenRequest): Promise<void> {
  const { id, address, localPort = 0, sender } = hello
  const socket = await udpSocket(address.includes(':') ? 'udp6' : 'udp4', localPort)
  socket.on('error', (error) => (tallyOf(id).error = error.message))
  socket.on('message', (datagram) => countDatagram(datagram.toString()))
  tallyOf(id).port = socket.address().port
  const send: Send = (datagram) => socket.send(datagram, flowPort, address)
  send(JSON.stringify(hello))
  if (sender === 'client') sendDatagrams(send, hello)
}

/** Flows whose datagrams the server sends, so that a hello that comes twice starts nothing twice. */
const serving = new Set<number>()

function acceptDatagram(socket: UdpSocket, datagram: string, from: RemoteInfo): void {
  if (!datagram.startsWith('{')) return countDatagram(datagram)
  const hello = JSON.parse(datagram) as Hello
  if (hello.sender === 'client' || serving.has(hello.id)) return
  serving.add(hello.id)
  sendDatagrams((text) => socket.send(text, from.port, from.address), hello)
}

// ---- probes: every one is a new flow ----

const probes = new Map<number, NodeJS.Timeout>()

function probe({ id, address, intervalMs }: ProbeRequest): void {
  const ticker = setInterval(() => {
    probeUdp(id, address)
    probeTcp(id, address)
  }, intervalMs)
  probes.set(id, ticker)
}

function probeUdp(id: number, address: string): void {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  socket.on('error', (error) => (tallyOf(id).error = error.message))
  socket.send(`${id} ${++tallyOf(id).sent}`, flowPort, address, () => socket.close())
}

/** A connection that stands counts as received, at this end. */
function probeTcp(id: number, address: string): void {
  const socket = connect({ host: address, port: flowPort })
  socket.on('connect', () => {
    tallyOf(id).received++
    socket.destroy()
  })
  socket.on('error', () => {}) // A probe is to fail.
  setTimeout(() => socket.destroy(), probeConnectMs)
}

// ---- the standard input ----

function answer(request: FlowRequest): void {
  if (request.kind === 'probe') return probe(request)
  if (request.kind === 'stop') return clearInterval(probes.get(request.id))
  if (request.kind === 'count') return print({ id: request.id, tallies })
  const open = request.protocol === 'TCP' ? openTcp : openUdp
  open(request).catch((error: Error) => (tallyOf(request.id).error = error.message))
}

function print(value: CountAnswer): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

const listener = await udpSocket('udp6', flowPort)
listener.on('message', (datagram, from) => acceptDatagram(listener, datagram.toString(), from))
listener.on('error', () => {}) // An ICMP error of a client that went.
await once(createServer({ noDelay: true }, acceptTcp).listen(flowPort, '::'), 'listening')
console.log('ready')
for await (const line of createInterface({ input: process.stdin })) answer(JSON.parse(line) as FlowRequest)
process.exit() // The test is over: so are its flows.
