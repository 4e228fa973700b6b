import test from 'ava'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ApplyResult, DeleteResult, ManifestFiles } from '../agent/api/index.ts'
import { refusal, startFakeAgent } from './testing/fake-agent.ts'
import type { FakeAgent } from './testing/fake-agent.ts'
import { listing, POLICY } from './testing/fixtures.ts'
import { runSluice } from './testing/sluice.ts'

const WEB = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: demo}
spec: {endpointSelector: {}, ingress: [{}]}
`
const CLUSTER = `%YAML 1.2
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: all}
spec: {endpointSelector: {}, ingress: [{}]}`

const APPLIED: ApplyResult = { applied: [{ kind: 'CiliumNetworkPolicy', namespace: 'demo', name: 'web', action: 'created' }] }
const DELETED: DeleteResult = { deleted: [{ kind: 'CiliumNetworkPolicy', namespace: 'demo', name: 'web' }] }

async function folder(files: Readonly<Record<string, string>>) {
  const path = await mkdtemp(join(tmpdir(), 'sluice-cli-'))
  for (const [file, text] of Object.entries(files)) {
    await mkdir(join(path, file, '..'), { recursive: true })
    await writeFile(join(path, file), text)
  }
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

/** What the agent was asked: method, path, and the texts by their files. */
function requests({ asked }: FakeAgent): unknown[] {
  return asked.map(({ method, path, body }) => [method, path, (JSON.parse(body) as ManifestFiles).files])
}

test('what the datapath lacks after all is said', async (t) => {
  const missing = [{ what: 'program from_endpoint is not attached to sl-web', why: 'no memory', hint: 'it is tried again' }]
  await using agent = await startFakeAgent({ 'PUT /v1/manifests': { ...APPLIED, missing } satisfies ApplyResult })
  const { status, stderr } = await runSluice(['policy', 'apply', '-f', '-'], { socket: agent.socket, input: WEB })
  t.is(status, 0)
  t.is(stderr, 'sluice: applied, but program from_endpoint is not attached to sl-web: no memory\n')
})

test('one file goes to the agent as it stands', async (t) => {
  await using agent = await startFakeAgent({ 'PUT /v1/manifests': APPLIED })
  await using files = await folder({ 'web.yaml': WEB })
  const file = join(files.path, 'web.yaml')
  const table = await runSluice(['policy', 'apply', '-f', file], { socket: agent.socket })
  t.deepEqual(table, { status: 0, stderr: '', stdout: 'ACTION   DOCUMENT\ncreated  CiliumNetworkPolicy demo/web\n' })
  const json = await runSluice(['policy', 'apply', '-f', '-', '-o', 'json'], { socket: agent.socket, input: WEB })
  t.deepEqual(JSON.parse(json.stdout), APPLIED.applied)
  t.deepEqual(requests(agent), [
    ['PUT', '/v1/manifests', [{ file, text: WEB }]],
    ['PUT', '/v1/manifests', [{ file: 'standard input', text: WEB }]],
  ])
})

for (const [command, method, answer] of [['apply', 'PUT', APPLIED], ['delete', 'DELETE', DELETED]] as const) {
  test(`policy ${command} -f: a folder is one request`, async (t) => {
    await using agent = await startFakeAgent({ [`${method} /v1/manifests`]: answer })
    await using files = await folder({ 'a.yaml': WEB, 'deep/b.yml': CLUSTER, 'c.json': '{"kind": "Pod"}', 'README.md': 'no: manifest' })
    const { status, stdout } = await runSluice(['policy', command, '-f', files.path], { socket: agent.socket })
    t.deepEqual({ status, stdout: stdout.split('\n')[1] }, { status: 0, stdout: `${command === 'apply' ? 'created' : 'deleted'}  CiliumNetworkPolicy demo/web` })
    const texts = [['a.yaml', WEB], ['c.json', '{"kind": "Pod"}'], ['deep/b.yml', CLUSTER]] as const
    t.deepEqual(requests(agent), [[method, '/v1/manifests', texts.map(([file, text]) => ({ file: join(files.path, file), text }))]])
  })

  test(`policy ${command} -f: faults are told by file, line, column and path`, async (t) => {
    const details = [
      { file: 'b.yaml', line: 4, column: 7, path: 'spec', message: 'is missing' },
      { file: 'a.yaml', message: 'is bad as a whole' },
      { file: 'b.yaml', line: 2, column: 1, path: 'metadata.name', message: 'is taken', other: { file: '/etc/sluice/web.yaml', line: 7 } },
    ]
    await using agent = await startFakeAgent({ [`${method} /v1/manifests`]: refusal(422, { code: 'INVALID_MANIFEST', message: '3 mistakes', details }) })
    await using files = await folder({ 'a.yaml': WEB, 'b.yaml': CLUSTER })
    const { status, stdout, stderr } = await runSluice(['policy', command, '-f', 'a.yaml', 'b.yaml'], { socket: agent.socket, cwd: files.path })
    t.deepEqual({ status, stdout }, { status: 1, stdout: '' })
    t.is(
      stderr,
      `sluice: nothing was ${command === 'apply' ? 'applied' : 'deleted'}:
  b.yaml:4:7: spec: is missing
  a.yaml: is bad as a whole
  b.yaml:2:1: metadata.name: is taken; the other: /etc/sluice/web.yaml:7
`,
    )
  })
}

test('a refusal without places is told as the agent says it', async (t) => {
  await using agent = await startFakeAgent({ 'PUT /v1/manifests': refusal(507, { code: 'CAPACITY', message: 'policy_rows is full' }) })
  const { status, stderr } = await runSluice(['policy', 'apply', '-f', '-'], { socket: agent.socket, input: WEB })
  t.deepEqual({ status, stderr }, { status: 1, stderr: 'sluice: nothing was applied: policy_rows is full\n' })
})

test('a policy is deleted by name', async (t) => {
  await using agent = await startFakeAgent({ 'GET /v1/policies': listing(POLICY), 'DELETE /v1/policies/CiliumNetworkPolicy/demo/web': DELETED })
  const { stdout } = await runSluice(['policy', 'delete', 'demo/web', '-o', 'json'], { socket: agent.socket })
  t.deepEqual(JSON.parse(stdout), DELETED.deleted)
})

test('what comes from a folder is not deleted through the API, and the agent says so', async (t) => {
  const message = 'CiliumNetworkPolicy demo/web comes from /etc/sluice/web.yaml: delete it there'
  await using agent = await startFakeAgent({
    'GET /v1/policies': listing(POLICY),
    'DELETE /v1/policies/CiliumNetworkPolicy/demo/web': refusal(409, { code: 'CONFLICT', message }),
  })
  const { status, stderr } = await runSluice(['policy', 'delete', 'demo/web'], { socket: agent.socket })
  t.deepEqual({ status, stderr }, { status: 1, stderr: `sluice: nothing was deleted: ${message}\n` })
})

const mistakes: readonly (readonly [args: string, status: number, message: RegExp])[] = [
  ['policy apply', 2, /required option '-f, --filename <path...>' not specified/],
  ['policy apply -f none.yaml', 1, /^sluice: none\.yaml: cannot be read: ENOENT: no such file or directory; allowed: a file or folder/],
  ['policy apply -f empty', 1, /empty: cannot be read: none of its files ends in \.yaml/],
  ['policy delete', 2, /what to delete\? Give either the name of one policy or -f/],
  ['policy delete demo/web -f web.yaml', 2, /Give either/],
  ['policy delete -f none.yaml', 1, /none\.yaml: cannot be read/],
]

for (const [args, expected, message] of mistakes) {
  test(`sluice ${args}: exit status ${expected}, and the agent is not asked`, async (t) => {
    await using agent = await startFakeAgent({})
    await using files = await folder({ 'empty/README': '', 'web.yaml': WEB })
    const { status, stdout, stderr } = await runSluice(args.split(' '), { socket: agent.socket, cwd: files.path })
    t.deepEqual({ status, stdout }, { status: expected, stdout: '' })
    t.regex(stderr, message)
    t.deepEqual(agent.asked, [])
  })
}
