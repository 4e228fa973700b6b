import test from 'ava'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import type { ApplyResult } from '../agent/api/types.ts'
import { refusal, startFakeAgent } from './testing/fake-agent.ts'
import type { Answer } from './testing/fake-agent.ts'
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
const DELETED: Answer = (response, { path }) => {
  const [kind = '', namespace = '', name = ''] = path.split('/').slice(3)
  response.end(JSON.stringify({ deleted: { kind, namespace: namespace === '_' ? '' : namespace, name } }))
}

async function folder(files: Readonly<Record<string, string>>) {
  const path = await mkdtemp(join(tmpdir(), 'sluice-cli-'))
  for (const [file, text] of Object.entries(files)) {
    await mkdir(join(path, file, '..'), { recursive: true })
    await writeFile(join(path, file), text)
  }
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

test('one file goes to the agent as it stands', async (t) => {
  await using agent = await startFakeAgent({ 'PUT /v1/manifests': APPLIED })
  await using files = await folder({ 'web.yaml': WEB })
  const table = await runSluice(['policy', 'apply', '-f', join(files.path, 'web.yaml')], { socket: agent.socket })
  t.deepEqual(table, { status: 0, stderr: '', stdout: 'ACTION   DOCUMENT\ncreated  CiliumNetworkPolicy demo/web\n' })
  const json = await runSluice(['policy', 'apply', '-f', '-', '-o', 'json'], { socket: agent.socket, input: WEB })
  t.deepEqual(JSON.parse(json.stdout), APPLIED.applied)
  t.deepEqual(
    agent.asked.map(({ body, query }) => [body, query]),
    [
      [WEB, { file: join(files.path, 'web.yaml') }],
      [WEB, { file: 'standard input' }],
    ],
  )
})

test('a folder goes in one body, whatever its files begin and end with', async (t) => {
  await using agent = await startFakeAgent({ 'PUT /v1/manifests': APPLIED })
  await using files = await folder({ 'a.yaml': WEB, 'deep/b.yml': CLUSTER, 'c.json': '{"kind": "Pod"}', 'README.md': 'no: manifest' })
  t.is((await runSluice(['policy', 'apply', '-f', files.path], { socket: agent.socket })).status, 0)
  const documents = parseAllDocuments(agent.asked[0]?.body ?? '')
  t.deepEqual(
    documents.map((document) => [document.errors.length, (document.toJS() as { kind: string }).kind]),
    [
      [0, 'CiliumNetworkPolicy'],
      [0, 'Pod'],
      [0, 'CiliumClusterwideNetworkPolicy'],
    ],
  )
})

test('mistakes are told by the file and line that they are in', async (t) => {
  const kindLine = (body: string) => body.split('\n').findIndex((line) => line.includes('Clusterwide')) + 1
  await using agent = await startFakeAgent({
    'PUT /v1/manifests': (response, { body, query: { file = '' } }) => {
      const details = [
        { file, line: kindLine(body), path: 'spec', message: 'is missing' },
        { file, line: 4, message: 'is too short' },
        { file, message: 'is bad as a whole' },
        { file: '/etc/sluice/web.yaml', line: 7, path: 'metadata.name', message: 'is taken' },
      ]
      const error = { code: 'INVALID_MANIFEST', message: '4 mistakes', details }
      response.writeHead(400).end(JSON.stringify({ error }))
    },
  })
  await using files = await folder({ 'a.yaml': WEB, 'b.yaml': CLUSTER })
  const { status, stdout, stderr } = await runSluice(['policy', 'apply', '-f', 'a.yaml', 'b.yaml'], { socket: agent.socket, cwd: files.path })
  t.deepEqual({ status, stdout }, { status: 1, stdout: '' })
  t.is(
    stderr,
    `sluice: nothing was applied:
  b.yaml:4: spec: is missing
  a.yaml:4: is too short
  2 files: is bad as a whole
  /etc/sluice/web.yaml:7: metadata.name: is taken
`,
  )
})

test('a refusal without places is told as the agent says it', async (t) => {
  await using agent = await startFakeAgent({ 'PUT /v1/manifests': refusal(507, { code: 'CAPACITY', message: 'policy_rows is full' }) })
  const { status, stderr } = await runSluice(['policy', 'apply', '-f', '-'], { socket: agent.socket, input: WEB })
  t.deepEqual({ status, stderr }, { status: 1, stderr: 'sluice: nothing was applied: policy_rows is full\n' })
})

test('a policy is deleted by name or by the file that applied it', async (t) => {
  await using agent = await startFakeAgent({
    'GET /v1/policies': listing(POLICY),
    'DELETE /v1/policies/CiliumNetworkPolicy/demo/web': DELETED,
    'DELETE /v1/policies/CiliumClusterwideNetworkPolicy/_/all': DELETED,
  })
  await using files = await folder({ 'a.yaml': `${WEB}---\n`, 'b.yaml': CLUSTER })
  const byName = await runSluice(['policy', 'delete', 'demo/web'], { socket: agent.socket })
  t.is(byName.stdout, 'deleted  CiliumNetworkPolicy demo/web\n')
  const byFile = await runSluice(['policy', 'delete', '-f', files.path, '-o', 'json'], { socket: agent.socket })
  t.deepEqual(JSON.parse(byFile.stdout), [
    { kind: 'CiliumNetworkPolicy', namespace: 'demo', name: 'web' },
    { kind: 'CiliumClusterwideNetworkPolicy', namespace: '', name: 'all' },
  ])
})

test('what comes from a folder is not deleted through the API, and the agent says so', async (t) => {
  const message = 'CiliumNetworkPolicy demo/web comes from /etc/sluice/web.yaml: delete it there'
  await using agent = await startFakeAgent({
    'GET /v1/policies': listing(POLICY),
    'DELETE /v1/policies/CiliumNetworkPolicy/demo/web': refusal(409, { code: 'CONFLICT', message }),
  })
  const { status, stderr } = await runSluice(['policy', 'delete', 'demo/web'], { socket: agent.socket })
  t.deepEqual({ status, stderr }, { status: 1, stderr: `sluice: ${message}\n` })
})

const mistakes: readonly (readonly [args: string, status: number, message: RegExp])[] = [
  ['policy apply', 2, /required option '-f, --filename <path...>' not specified/],
  ['policy apply -f none.yaml', 1, /cannot read none\.yaml: ENOENT/],
  ['policy apply -f empty', 1, /empty holds no manifest: none of its files ends in \.yaml/],
  ['policy delete', 2, /what to delete\? Give either the name of one policy or -f/],
  ['policy delete demo/web -f web.yaml', 2, /Give either/],
  ['policy delete -f nameless.yaml', 1, /nothing was deleted:\n {2}nameless\.yaml:1:\d+: apiVersion: required field is missing/],
  ['policy delete -f broken.yaml', 1, /broken\.yaml:1:\d+: /],
]

for (const [args, expected, message] of mistakes) {
  test(`sluice ${args}: exit status ${expected}, and the agent is not asked`, async (t) => {
    await using agent = await startFakeAgent({})
    await using files = await folder({ 'empty/README': '', 'nameless.yaml': 'kind: Pod', 'broken.yaml': '{a: [', 'web.yaml': WEB })
    const { status, stdout, stderr } = await runSluice(args.split(' '), { socket: agent.socket, cwd: files.path })
    t.deepEqual({ status, stdout }, { status: expected, stdout: '' })
    t.regex(stderr, message)
    t.deepEqual(agent.asked, [])
  })
}
