import test from 'ava'
import { once } from 'node:events'
import { link, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AgentClient } from './client.ts'
import { CliError, EXIT } from './errors.ts'
import { findSocket } from './socket.ts'
import { refusal, startFakeAgent } from './testing/fake-agent.ts'
import { STATUS } from './testing/fixtures.ts'
import { runSluice } from './testing/sluice.ts'

async function temporaryDirectory() {
  const path = await mkdtemp(join(tmpdir(), 'sluice-cli-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

test('the only socket of the machine is found', async (t) => {
  await using directory = await temporaryDirectory()
  await mkdir(join(directory.path, 'demo'))
  const socket = join(directory.path, 'demo', 'sluice.sock')
  await writeFile(socket, '')
  t.is(findSocket(undefined, directory.path), socket)
  t.is(findSocket('/elsewhere.sock', directory.path), '/elsewhere.sock')
})

test('no socket: says where it looked and how to start an agent', async (t) => {
  await using directory = await temporaryDirectory()
  const error = t.throws(() => findSocket(undefined, directory.path), { instanceOf: CliError })
  t.is(error.exitStatus, EXIT.noAgent)
  t.true(error.message.includes(`${directory.path}/*/sluice.sock`))
  t.regex(error.message, /npm start.*sluiced.*--socket/)
})

test('several sockets: lists them', async (t) => {
  await using directory = await temporaryDirectory()
  for (const name of ['a', 'b']) {
    await mkdir(join(directory.path, name))
    await writeFile(join(directory.path, name, 'sluice.sock'), '')
  }
  const error = t.throws(() => findSocket(undefined, directory.path), { instanceOf: CliError })
  t.is(error.exitStatus, EXIT.usage)
  t.regex(error.message, /2 agents[^]*--socket .*\/a\/sluice\.sock[^]*--socket .*\/b\/sluice\.sock/)
})

test('a socket that is not there', async (t) => {
  await using directory = await temporaryDirectory()
  const { status, stdout, stderr } = await runSluice(['status', '--socket', join(directory.path, 'none.sock')])
  t.deepEqual({ status, stdout }, { status: 3, stdout: '' })
  t.regex(stderr, /none\.sock: there is no such socket\n.*npm start/)
})

test('a socket that an agent left behind', async (t) => {
  await using directory = await temporaryDirectory()
  const socket = join(directory.path, 'left.sock')
  const server = createServer().listen(socket)
  await once(server, 'listening')
  // A second name outlives the server, which removes its own.
  await link(socket, join(directory.path, 'stale.sock'))
  server.close()
  const { status, stderr } = await runSluice(['endpoint', 'list', '--socket', join(directory.path, 'stale.sock')])
  t.is(status, 3)
  t.regex(stderr, /nobody listens.*ended/)
})

test('an agent that refuses is quoted', async (t) => {
  await using agent = await startFakeAgent({
    'GET /v1/maps': refusal(503, { code: 'UNAVAILABLE', message: 'maps are not loaded yet: wait for `sluice status`' }),
  })
  const { status, stdout, stderr } = await runSluice(['bpf', 'maps'], { socket: agent.socket })
  t.deepEqual({ status, stdout, stderr }, { status: 1, stdout: '', stderr: 'sluice: maps are not loaded yet: wait for `sluice status`\n' })
})

test("another program's answer is told apart", async (t) => {
  await using agent = await startFakeAgent({
    'GET /v1/status': (response) => void response.end('<html>hello</html>'),
    'GET /v1/endpoints': { endpoints: [] },
    'GET /v1/maps': (response) => void response.writeHead(502).end('bad gateway'),
  })
  for (const [args, message] of [
    [['status'], /answer to \/v1\/status .* none of a Sluice agent's/],
    [['endpoint', 'list'], /answer to \/v1\/endpoints .* none of a Sluice agent's/],
    [['bpf', 'maps'], /the agent answered 502: bad gateway/],
  ] as const) {
    const { status, stderr } = await runSluice(args, { socket: agent.socket })
    t.is(status, 1)
    t.regex(stderr, message)
  }
})

test('an agent that is silent does not hold the command for ever', async (t) => {
  await using agent = await startFakeAgent({ 'GET /v1/status': () => {} })
  const client = new AgentClient({ socket: agent.socket, timeoutMs: 50 })
  const error = await t.throwsAsync(client.get('/v1/status'), { instanceOf: CliError, message: /silent for 0\.05 s/ })
  t.is(error?.exitStatus, EXIT.noAgent)
})

test('an agent that dies in the middle of an answer', async (t) => {
  await using agent = await startFakeAgent({
    'GET /v1/status': (response) => {
      response.writeHead(200, { 'content-length': 1000 }).write('{"ok":')
      setTimeout(() => response.destroy(), 50)
    },
  })
  const { status, stderr } = await runSluice(['status'], { socket: agent.socket })
  t.is(status, 3)
  t.regex(stderr, /it ended while answering/)
})

test('--socket wins over SLUICE_SOCKET', async (t) => {
  await using agent = await startFakeAgent({ 'GET /v1/status': STATUS })
  const { status } = await runSluice(['status', '--socket', agent.socket], { socket: '/nowhere/sluice.sock' })
  t.is(status, 0)
})
