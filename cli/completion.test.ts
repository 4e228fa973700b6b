import test from 'ava'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { startFakeAgent } from './testing/fake-agent.ts'
import { ADDRESS, IDENTITY, listing, POLICY, STATUS, WAITING, WEB, WORLD } from './testing/fixtures.ts'
import { runSluice } from './testing/sluice.ts'

const DEMO = fileURLToPath(new URL('../examples/demo', import.meta.url))
const ANSWERS = {
  'GET /v1/endpoints': listing(WEB, WAITING),
  'GET /v1/identities': listing(IDENTITY, WORLD),
  'GET /v1/addresses': listing(ADDRESS, { ...ADDRESS, prefix: 'fd77:1::11/128' }, { ...ADDRESS, workload: 'demo/far' }),
  'GET /v1/policies': listing(POLICY),
  'GET /v1/status': STATUS,
}

const lines: readonly (readonly [words: readonly string[], candidates: readonly string[]])[] = [
  [['st'], ['status']],
  [['endpoint', ''], ['list', 'get', 'help']],
  [['endpoint', 'get', ''], ['demo/web-1', 'demo/late']],
  [['endpoint', 'get', 'demo/w'], ['demo/web-1']],
  [['identity', 'get', '3'], ['300']],
  [['policy', 'delete', ''], ['demo/web']],
  [['observe', '--verdict', 'dr'], ['dropped']],
  [['observe', '-o', 'js'], ['jsonl', 'json']],
  [['observe', '--verdict', 'dropped', '--fol'], ['--follow']],
  [['observe', '--port', ''], []],
  [['policy', 'explain', '--from', ''], ['demo/web-1', 'demo/far']],
  [['policy', 'explain', '--from', 'demo/web-1', '--to', 'demo/f'], ['demo/far']],
  [['policy', 'explain', '-f', DEMO, '--from', 'demo/web-2', '--to', 'demo/web'], ['demo/web-1', 'demo/web-2']],
  [['policy', 'verdict', '--filename', '/nowhere', DEMO, '--to', 'ops/'], ['ops/scraper']],
  [['status', '--so'], ['--socket']],
  [['--socket', '/x', 'endpoint', 'li'], ['list']],
  [['completion', ''], ['bash', 'zsh', 'fish']],
  [['comp'], ['completion']],
]

for (const [words, candidates] of lines) {
  test(`sluice ${words.join(' ')}<TAB>`, async (t) => {
    await using agent = await startFakeAgent(ANSWERS)
    const { status, stdout } = await runSluice(['complete', '--', ...words], { socket: agent.socket })
    t.is(status, 0)
    t.deepEqual(stdout.split('\n').slice(0, -1), candidates)
  })
}

test('without an agent there are no names, and no noise', async (t) => {
  for (const words of [['endpoint', 'get', ''], ['policy', 'explain', '--to', '']]) {
    const outcome = await runSluice(['complete', '--', ...words], { socket: '/nowhere/sluice.sock' })
    t.deepEqual(outcome, { status: 0, stdout: '', stderr: '' })
  }
})

test('bash completes a line with the printed script', (t) => {
  const script = 'source <(sluice completion bash); COMP_WORDS=(sluice observe --verdict dr); COMP_CWORD=3; _sluice; echo "${COMPREPLY[@]}"'
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8', env: withSluiceInPath() })
  t.deepEqual({ stdout, stderr }, { stdout: 'dropped\n', stderr: '' })
})

for (const shell of ['zsh', 'fish']) {
  const missing = spawnSync(shell, ['-c', 'true']).error !== undefined
  const declare = missing ? test.skip : test
  declare(`${shell} accepts the printed script${missing ? ` (skipped: no ${shell} here)` : ''}`, async (t) => {
    const { stdout } = await runSluice(['completion', shell])
    const { status, stderr } = spawnSync(shell, ['-n'], { input: stdout, encoding: 'utf8' })
    t.deepEqual({ status, stderr }, { status: 0, stderr: '' })
  })
}

test('a shell that is none of them', async (t) => {
  const { status, stderr } = await runSluice(['completion', 'tcsh'])
  t.is(status, 2)
  t.regex(stderr, /Allowed choices are bash, zsh, fish/)
})

test('version tells the command and, where one answers, the agent', async (t) => {
  await using agent = await startFakeAgent(ANSWERS)
  const online = await runSluice(['version', '-o', 'yaml'], { socket: agent.socket })
  t.deepEqual(parse(online.stdout), { client: '0.1.0', agent: '0.1.0', kernel: '6.18.5' })
  const offline = await runSluice(['version'], { socket: '/nowhere/sluice.sock' })
  t.deepEqual(offline, { status: 0, stderr: '', stdout: 'Command:  0.1.0\nAgent:    none answers\n' })
})

function withSluiceInPath(): NodeJS.ProcessEnv {
  const root = fileURLToPath(new URL('..', import.meta.url))
  return { ...process.env, PATH: `${root}:${process.env.PATH ?? ''}` }
}
