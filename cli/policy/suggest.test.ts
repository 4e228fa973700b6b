import test, { type ExecutionContext } from 'ava'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { end, flow, host, jsonl, outside } from '../../whatif/testing/flows.ts'
import { runSluice } from '../testing/sluice.ts'

const WORKLOADS = 'examples/demo/workloads.yaml'
const guest = (port: number) => end('demo/guest', '10.77.1.15', port, { app: 'guest', trust: 'low' })
const web = (port: number) => end('demo/web-1', '10.77.1.11', port, { app: 'web' })
const ping = { protocol: 'ICMP', icmp: { type: 8, code: 0 } } as const
const RECORD = jsonl(flow(guest(4000), web(80)), flow(guest(4001), web(80)), flow(outside('203.0.113.9', 5), web(80)), flow(host('10.77.1.1', 0), web(0), ping))

async function folder(t: ExecutionContext): Promise<(name: string) => string> {
  const path = await mkdtemp(join(tmpdir(), 'sluice-suggest-'))
  t.teardown(() => rm(path, { recursive: true }))
  return (name) => join(path, name)
}

for (const [kind, cases] of [['NetworkPolicy', 2], ['CiliumNetworkPolicy', 3]] as const) {
  test(`what is suggested as ${kind} is confirmed by policy test, and left alone by lint`, async (t) => {
    const at = await folder(t)
    const options = ['--flows', '-', '-f', WORKLOADS, '--kind', kind, '--cases', at('cases.yaml')]
    const { status, stdout, stderr } = await runSluice(['policy', 'suggest', ...options], { input: RECORD })
    t.is(status, 0)
    await writeFile(at('suggested.yaml'), stdout)
    t.deepEqual(parseAllDocuments(stdout).map((document) => document.get('kind')), [kind, kind])
    t.regex(stdout, /^# Flows seen of demo\/guest: 2\n/)
    t.regex(stderr, /no policy for workloads that no flow is about: demo\/api, demo\/db, ops\/scraper\n/)
    t.is(stderr.includes('left out, since a NetworkPolicy has no words for it: 10.77.1.1 to demo/web-1 8/ICMP'), kind === 'NetworkPolicy')
    const confirmed = await runSluice(['policy', 'test', at('cases.yaml'), '-f', WORKLOADS, at('suggested.yaml')])
    t.regex(confirmed.stdout, new RegExp(`\\n${cases} passed, 0 failed\\n$`))
    const linted = await runSluice(['policy', 'lint', '-f', WORKLOADS, at('suggested.yaml'), '-o', 'json'])
    const { findings } = JSON.parse(linted.stdout) as { findings: readonly { code: string }[] }
    t.deepEqual(findings.filter(({ code }) => code !== 'missing-dns-egress'), [])
  })
}

test('manifests are not needed: the flows have labels', async (t) => {
  const at = await folder(t)
  await writeFile(at('flows.jsonl'), RECORD)
  const { stdout } = await runSluice(['policy', 'suggest', '--flows', at('flows.jsonl'), '--kind', 'CiliumNetworkPolicy', '--world', 'entity', '--cases', at('cases.yaml')])
  t.regex(stdout, /fromEntities:\n +- world\n/)
  t.regex(await readFile(at('cases.yaml'), 'utf8'), /^cases:\n {2}- from: demo\/guest\n {4}to: demo\/web-1\n {4}port: 80\/TCP\n {4}expect: allowed\n/)
})

test('peers that several rules share are written out in each', async (t) => {
  const ends = [end('demo/api', '10.77.1.13', 8, { app: 'api' }), end('demo/db', '10.77.1.14', 5432, { app: 'db' })] as const
  const ping = { protocol: 'ICMP', icmp: { type: 8, code: 0 } } as const
  const input = jsonl(flow(...ends), flow(...ends, ping))
  const { stdout } = await runSluice(['policy', 'suggest', '--flows', '-', '--kind', 'CiliumNetworkPolicy'], { input })
  t.is(stdout.match(/fromEndpoints:\n/g)?.length, 2)
})

test('a form that the kind does not have is wrong usage; nothing seen is nothing suggested', async (t) => {
  const wrong = await runSluice(['policy', 'suggest', '--flows', '-', '--world', 'entity'], { input: RECORD })
  t.like(wrong, { status: 2, stdout: '' })
  t.regex(wrong.stderr, /a NetworkPolicy has no entities/)
  const nothing = await runSluice(['policy', 'suggest', '--flows', '-'], { input: '\n' })
  t.like(nothing, { status: 0, stdout: '' })
  t.regex(nothing.stderr, /holds no flow\nno flow of a workload passed: there is nothing to suggest\n/)
})
