import { once } from 'node:events'
import { mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type Flow, FlowHistory } from '../../observe/index.ts'
import { AgentError } from '../errors.ts'
import { Logger } from '../log.ts'
import { InvalidManifestError } from '../sources/applied.ts'
import { Tables } from '../tables.ts'
import { accessHint } from './group.ts'
import { openApiDocument } from './openapi.ts'
import { type ApiBackend, routes } from './routes.ts'
import { ApiServer } from './server.ts'
import { type ApiError, type DocumentName, MANIFEST_FILES, type ManifestText, type Status } from './types.ts'

class FakeAgent implements ApiBackend {
  readonly #tables = new Tables()
  readonly flows = new FlowHistory(8)
  readonly applied: string[] = []
  status = (): Status => ({ ok: true, pid: 1 }) as Status
  metrics = async () => ({ text: 'sluice_agent_ok 1\n', type: 'text/plain' })
  explain = async (from: string): Promise<never> => {
    throw new AgentError('NOT_FOUND', `no workload ${from}`)
  }
  readonly deleted: unknown[] = []
  apply = async ([{ text, file } = { text: '', file: '' }]: readonly ManifestText[]) => {
    if (text === 'bad') throw new InvalidManifestError([{ file, line: 3, path: 'spec', message: 'unknown field' }])
    if (text === 'full') throw Object.assign(new Error('no room'), { code: 'CAPACITY' })
    this.applied.push(text)
    return { applied: [] }
  }
  deleteAll = async (files: readonly ManifestText[]) => {
    this.deleted.push(files)
    return { deleted: [] }
  }
  delete = async (name: DocumentName) => ({ deleted: [name] })

  get tables() {
    return this.#tables.all
  }

  get maps() {
    return this.#tables.maps
  }
}

interface Reply {
  readonly status: number
  readonly type: string
  readonly text: string
}

async function serve(t: ExecutionContext) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-api-'))
  const socketPath = join(folder, 'run', 'sluice.sock')
  const agent = new FakeAgent()
  const server = new ApiServer(routes(agent), new Logger('error', () => undefined))
  await server.listen(socketPath)
  t.teardown(async () => {
    await server[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })
  /** `enough`: closes the connection once the text so far has it. */
  const call = (method: string, path: string, body?: string, enough?: (text: string) => boolean, type = 'application/yaml'): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const sent = request({ socketPath, method, path, headers: { 'content-type': type, 'content-length': Buffer.byteLength(body ?? '') } }, (response) => {
        let text = ''
        const end = (): void => resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', text })
        response.setEncoding('utf8').on('end', end)
        response.on('data', (chunk: string) => {
          text += chunk
          if (enough?.(text) !== true) return
          end()
          sent.destroy()
        })
      })
      sent.on('error', reject)
      sent.end(body)
    })
  return { agent, call, socketPath }
}

function flow(port: number, verdict: Flow['verdict'] = 'forwarded'): Flow {
  const end = { address: '10.0.0.1', port, identity: 300, labels: ['k8s:app=web'] }
  return { time: '', verdict, reason: verdict, direction: 'ingress', protocol: 'TCP', source: end, destination: end, rule: 0, interface: 'x', length: 1 }
}

test('a socket on which somebody answers is left alone', async (t) => {
  const { call, socketPath } = await serve(t)
  await using second = new ApiServer(routes(new FakeAgent()), new Logger('error', () => undefined))
  await t.throwsAsync(second.listen(socketPath), { code: 'LOCKED', message: /another process answers on .*sluice\.sock/ })
  t.is((await call('GET', '/v1/status')).status, 200)
})

test('a socket that a killed agent left is taken over', async (t) => {
  const { socketPath } = await serve(t)
  const path = `${socketPath}.left`
  const killed = createServer().listen(`${path}.made`)
  await once(killed, 'listening')
  renameSync(`${path}.made`, path)
  killed.close()
  await once(killed, 'close')
  await using server = new ApiServer(routes(new FakeAgent()), new Logger('error', () => undefined))
  await t.notThrowsAsync(server.listen(path))
})

test('a server removes only its own socket', async (t) => {
  const { socketPath } = await serve(t)
  const first = new ApiServer(routes(new FakeAgent()), new Logger('error', () => undefined))
  const path = `${socketPath}.taken`
  await first.listen(path)
  rmSync(path)
  writeFileSync(path, 'of another')
  await first[Symbol.asyncDispose]()
  t.is(readFileSync(path, 'utf8'), 'of another')
})

test('answers JSON', async (t) => {
  const { call } = await serve(t)
  const { status, text } = await call('GET', '/v1/status')
  t.is(status, 200)
  t.like(JSON.parse(text), { ok: true })
})

for (const [title, groups, mode, hint] of [
  ['only root can connect where there is no group', 'root:x:0:\nsluicers:x:7:\n', 0o600, /^only root reaches it.*no group `sluice` here/],
  ['a group of that name can connect too', `root:x:0:\nsluice:x:${process.getgid?.()}:me\n`, 0o660, /^only root and members of the group `sluice`/],
] as const) {
  test(`${title}, and the hint says so`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-api-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    const [groupsFile, socket] = [join(folder, 'group'), join(folder, 'sluice.sock')]
    writeFileSync(groupsFile, groups)
    await using server = new ApiServer([], new Logger('error', () => undefined), groupsFile)
    await server.listen(socket)
    t.is(statSync(socket).mode & 0o777, mode)
    t.regex(accessHint(groupsFile), hint)
  })
}

for (const [method, path, body, status, code] of [
  ['GET', '/v1/nothing', undefined, 404, 'NOT_FOUND'],
  ['PUT', '/v1/status', '', 400, 'BAD_REQUEST'],
  ['GET', '/v1/explain?from=a&to=b', undefined, 400, 'BAD_REQUEST'],
  ['GET', '/v1/explain?from=a&to=b&port=80/TCP', undefined, 404, 'NOT_FOUND'],
  ['GET', '/v1/flows?verdict=perhaps', undefined, 400, 'BAD_REQUEST'],
  ['GET', '/v1/flows?last=-1', undefined, 400, 'BAD_REQUEST'],
  ['GET', '//', undefined, 400, 'BAD_REQUEST'],
  ['DELETE', '/v1/policies/NetworkPolicy/demo/%zz', undefined, 400, 'BAD_REQUEST'],
  ['PUT', '/v1/manifests?file=web.yaml', 'bad', 422, 'INVALID_MANIFEST'],
  ['PUT', '/v1/manifests', 'full', 507, 'CAPACITY'],
] as const) {
  test(`${method} ${path} ${body ?? ''} is answered with ${status} ${code}`, async (t) => {
    const { call } = await serve(t)
    const reply = await call(method, path, body)
    const { error } = JSON.parse(reply.text) as ApiError
    t.is(reply.status, status)
    t.is(error.code, code)
    t.not(error.message, '')
  })
}

test('an invalid manifest names file, line and path', async (t) => {
  const { call } = await serve(t)
  const { text } = await call('PUT', '/v1/manifests?file=web.yaml', 'bad')
  const { error } = JSON.parse(text) as ApiError
  t.deepEqual(error.details, [{ file: 'web.yaml', line: 3, path: 'spec', message: 'unknown field' }])
})

test('bodies arrive whole, and names in paths are decoded', async (t) => {
  const { agent, call } = await serve(t)
  const body = 'x'.repeat(1_000_000)
  await call('PUT', '/v1/manifests', body)
  t.is(agent.applied[0], body)
  const { text } = await call('DELETE', '/v1/policies/CiliumClusterwideNetworkPolicy/_/a%20b')
  t.deepEqual(JSON.parse(text), { deleted: [{ kind: 'CiliumClusterwideNetworkPolicy', namespace: '', name: 'a b' }] })
})

test('manifests come by their files, or as one text', async (t) => {
  const { agent, call } = await serve(t)
  const files = [{ file: 'a.yaml', text: 'a' }, { file: 'b.yaml', text: 'b' }]
  await call('DELETE', '/v1/manifests', JSON.stringify({ files }), undefined, `${MANIFEST_FILES}; charset=utf-8`)
  await call('DELETE', '/v1/manifests?file=c.yaml', 'c')
  t.deepEqual(agent.deleted, [files, [{ file: 'c.yaml', text: 'c' }]])
  for (const body of ['files', '{"files": [{"file": "a.yaml"}]}', 'null']) {
    t.is((await call('PUT', '/v1/manifests', body, undefined, MANIFEST_FILES)).status, 400, body)
  }
})

test('a watch gives what there is, synced, then changes', async (t) => {
  const { agent, call } = await serve(t)
  const map = { id: 1, name: 'policy', type: 'hash', keySize: 8, valueSize: 8, maxEntries: 1, pin: '/p' }
  agent.maps.set(map)
  const watching = call('GET', '/v1/maps?watch=1', undefined, (text) => {
    if (text.includes('event: synced') && agent.maps.size === 1) agent.maps.delete('policy')
    return text.includes('event: delete')
  })
  const { type, text } = await watching
  t.is(type, 'text/event-stream')
  t.deepEqual([...text.matchAll(/^event: (\w+)/gm)].map(([, event]) => event), ['update', 'synced', 'delete'])
})

test('flows: the last ones that match, oldest first, then new ones as they come', async (t) => {
  const { agent, call } = await serve(t)
  for (const port of [1, 2, 3]) agent.flows.push(flow(port, port === 2 ? 'dropped' : 'forwarded'))
  const ports = (text: string): number[] => text.trim().split('\n').map((line) => (JSON.parse(line) as Flow).source.port)
  t.deepEqual(ports((await call('GET', '/v1/flows?last=2')).text), [2, 3])
  t.deepEqual(ports((await call('GET', '/v1/flows?verdict=dropped')).text), [2])
  t.is((await call('GET', '/v1/flows?last=0')).text, '')
  let pushed = false
  const followed = await call('GET', '/v1/flows?last=1&follow=1', undefined, (text) => {
    if (!pushed) agent.flows.push(flow(4))
    pushed = true
    return ports(text).includes(4)
  })
  t.deepEqual(ports(followed.text), [3, 4])
})

test('the OpenAPI document describes every route and every shape that they answer', async (t) => {
  const served = routes(new FakeAgent())
  const document = openApiDocument(served) as { paths: Record<string, Record<string, unknown>>; components: { schemas: object } }
  for (const { method, path } of served) t.truthy(document.paths[path]?.[method.toLowerCase()], `${method} ${path}`)
  const references = [...JSON.stringify(document).matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) => name ?? '')
  t.true(references.length > 20)
  for (const name of references) t.true(name in document.components.schemas, name)
})
