// The command against the agent's own server, routes, tables and flows: only what stands behind them is faked.
import test from 'ava'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { ApiBackend } from '../../agent/api/routes.ts'
import { routes } from '../../agent/api/routes.ts'
import { ApiServer } from '../../agent/api/server.ts'
import type { DocumentName, Endpoint, Flow, PolicyItem } from '../../agent/api/index.ts'
import { AgentError } from '../../agent/errors.ts'
import { Logger } from '../../agent/log.ts'
import { Table } from '../../agent/table.ts'
import { FLOW, PING, POLICY, STATUS, WAITING, WEB } from '../../cli/testing/fixtures.ts'
import { runSluice, startSluice } from '../../cli/testing/sluice.ts'
import { FlowHistory, FlowMetrics, Registry } from '../../observe/index.ts'

class FakeNode implements ApiBackend {
  readonly endpoints = new Table<Endpoint>('endpoints', ({ name }) => name)
  readonly policies = new Table<PolicyItem>('policies', ({ kind, namespace, name }) => `${kind}/${namespace}/${name}`)
  readonly tables = [this.endpoints, this.policies] as Table<unknown>[]
  readonly flows = new FlowHistory(100)
  readonly #registry = new Registry()
  readonly #metrics = new FlowMetrics(this.#registry)

  status = () => STATUS

  see(flow: Flow): void {
    this.#metrics.count(flow)
    this.flows.push(flow)
  }

  async metrics() {
    return { text: await this.#registry.metrics(), type: this.#registry.contentType }
  }

  async explain(): Promise<never> {
    throw new AgentError('NOT_FOUND', 'no workload demo/none')
  }

  async apply([{ file } = { file: '' }]: readonly { file: string }[]): Promise<never> {
    const details = [{ file, line: 3, column: 5, path: 'spec.ingres', message: 'is no field; allowed: ingress, egress' }]
    throw Object.assign(new AgentError('INVALID_MANIFEST', 'one mistake'), { details })
  }

  async deleteAll(): Promise<never> {
    throw new AgentError('UNAVAILABLE', 'not yet')
  }

  async delete(name: DocumentName) {
    this.policies.delete(`${name.kind}/${name.namespace}/${name.name}`)
    return { deleted: [name] }
  }
}

async function startNode() {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-api-'))
  const socket = join(directory, 'sluice.sock')
  const node = new FakeNode()
  const log = new Logger('error', () => {})
  const server = new ApiServer(routes(node), log)
  await server.listen(socket)
  const stop = async () => {
    await server[Symbol.asyncDispose]()
    await rm(directory, { recursive: true })
  }
  return { node, socket, run: (...args: string[]) => runSluice(args, { socket }), [Symbol.asyncDispose]: stop }
}

test('tables', async (t) => {
  await using api = await startNode()
  api.node.endpoints.replaceAll([WEB, WAITING])
  t.deepEqual(JSON.parse((await api.run('endpoint', 'list', '-o', 'json')).stdout), [WEB, WAITING])
  t.deepEqual(JSON.parse((await api.run('status', '-o', 'json')).stdout), STATUS)
})

test('flows: past, filtered, and what a filter may be', async (t) => {
  await using api = await startNode()
  for (const flow of [FLOW, PING, FLOW]) api.node.see(flow)
  const seen = async (...args: string[]) => JSON.parse((await api.run('observe', '-o', 'json', ...args)).stdout) as Flow[]
  t.deepEqual(await seen(), [FLOW, PING, FLOW])
  t.deepEqual(await seen('--last', '2'), [PING, FLOW])
  t.deepEqual(await seen('--verdict', 'dropped', '--from-label', 'app=late', '--port', '80'), [FLOW, FLOW])
  t.deepEqual(await seen('--protocol', 'icmpv6', '--to-label', 'reserved:world-ipv6'), [PING])
  const { status, stderr } = await api.run('observe', '--protocol', 'http')
  t.is(status, 2)
  t.regex(stderr, /protocol "http" is not valid: give one of ICMP, TCP/)
})

test('flows as they come, from a node where nothing happened yet', async (t) => {
  await using api = await startNode()
  const child = startSluice(['observe', '--follow', '-o', 'jsonl', '--verdict', 'dropped'], { socket: api.socket })
  const feed = setInterval(() => [FLOW, PING].forEach((flow) => api.node.see(flow)), 20)
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    if (lines.length === 2) child.kill('SIGTERM')
  }
  clearInterval(feed)
  if (child.exitCode === null) await once(child, 'exit')
  t.is(child.exitCode, 0)
  t.deepEqual([...new Set(lines)], [JSON.stringify(FLOW)])
})

test('a follower is told when the agent stops', async (t) => {
  const api = await startNode()
  const child = startSluice(['monitor', 'endpoints'], { socket: api.socket })
  child.stdout.once('data', () => void api[Symbol.asyncDispose]())
  let stderr = ''
  child.stderr.on('data', (chunk) => (stderr += String(chunk)))
  const [status] = await once(child, 'close')
  t.true(status === 1 || status === 3, `exit status ${status}`)
  t.regex(stderr, /ended/)
})

test('changes of a table', async (t) => {
  await using api = await startNode()
  api.node.endpoints.set(WEB)
  const child = startSluice(['monitor', 'endpoints'], { socket: api.socket })
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    if (line.includes('synced')) api.node.endpoints.delete('demo/web-1')
    if (line.includes('delete')) child.kill('SIGINT')
  }
  t.deepEqual(lines, [`1  update  demo/web-1  ${JSON.stringify(WEB)}`, '1  synced', '2  delete  demo/web-1'])
})

test('policies are deleted, mistakes in manifests are told by their place', async (t) => {
  await using api = await startNode()
  api.node.policies.set(POLICY)
  t.is((await api.run('policy', 'delete', 'web')).stdout, 'ACTION   DOCUMENT\ndeleted  CiliumNetworkPolicy demo/web\n')
  t.deepEqual(JSON.parse((await api.run('policy', 'get', '-o', 'json')).stdout), [])
  const applied = await runSluice(['policy', 'apply', '-f', '-'], { socket: api.socket, input: 'kind: x\n' })
  t.is(applied.status, 1)
  t.is(
    applied.stderr,
    'sluice: nothing was applied:\n  standard input:3:5: spec.ingres: is no field; allowed: ingress, egress\n',
  )
})

test('explain asks the agent where no manifests are given', async (t) => {
  await using api = await startNode()
  const { status, stderr } = await api.run('policy', 'explain', '--from', 'demo/none', '--to', 'demo/web-1', '--port', '80/TCP')
  t.deepEqual({ status, stderr }, { status: 1, stderr: 'sluice: no workload demo/none\n' })
})

test('metrics', async (t) => {
  await using api = await startNode()
  api.node.see(FLOW)
  t.regex((await api.run('metrics', 'sluice_flows')).stdout, /sluice_flows_total +verdict=dropped reason=policy-denied direction=ingress +1\n/)
})
