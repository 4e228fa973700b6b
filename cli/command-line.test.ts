// What holds for every command: where options may stand, and the exit status of a command line that is wrong.
import test from 'ava'
import { fileURLToPath } from 'node:url'
import { refusal, startFakeAgent } from './testing/fake-agent.ts'
import { listing, POLICY, STATUS, WEB } from './testing/fixtures.ts'
import { runSluice } from './testing/sluice.ts'

const DEMO = fileURLToPath(new URL('../examples/demo', import.meta.url))
const BAD_REQUEST = refusal(400, { code: 'BAD_REQUEST', message: 'it is none' })
const ANSWERS = {
  'GET /v1/status': STATUS,
  'GET /v1/endpoints': listing(WEB),
  'GET /v1/policies': listing(POLICY),
  'GET /v1/flows': BAD_REQUEST,
  'GET /v1/explain': BAD_REQUEST,
}

const badValues = [
  'policy matrix -f DEMO --port http',
  'policy matrix -f DEMO --port 80/TCP 80/HTTP',
  'policy verdict -f DEMO --from demo/api --to demo/db --port 0',
  'policy verdict -f DEMO --from demo/api --to 10.77.8.1 --port 80',
  'policy explain -f DEMO --from demo/api --to demo/db --port 70000/TCP',
  'policy explain --from demo/api --to demo/db --port 80/',
  'policy explain --from demo/api --to 10.77.8.1 --port 80',
  'policy matrix -f DEMO --port 80 -o xml',
  'observe --port http',
  'observe --protocol http',
  'observe --from-label =',
  'observe --verdict denied',
  'observe --last many',
  'monitor --port 0',
  'status --wait long',
  'identity get web',
  'endpoint list -o jsonl',
  '-o xml endpoint list',
  '-o json completion bash',
  'metrics -o jsonl',
  'completion tcsh',
  '--nosuch status',
]

for (const line of badValues) {
  test(`sluice ${line}: status 2, and nothing on standard output`, async (t) => {
    await using agent = await startFakeAgent(ANSWERS)
    const { status, stdout, stderr } = await runSluice(line.replace('DEMO', DEMO).split(' '), { socket: agent.socket })
    t.deepEqual({ status, stdout }, { status: 2, stdout: '' }, stderr)
    t.not(stderr, '')
  })
}

test('a value that is possible and names nothing is status 1, with and without an agent', async (t) => {
  await using agent = await startFakeAgent({ ...ANSWERS, 'GET /v1/explain': refusal(404, { code: 'NOT_FOUND', message: 'no workload' }) })
  const ends = '--from demo/none --to demo/db --port 80'
  for (const line of [`policy explain ${ends}`, `policy explain -f ${DEMO} ${ends}`, `policy verdict -f ${DEMO} ${ends}`, 'endpoint get demo/none']) {
    t.is((await runSluice(line.split(' '), { socket: agent.socket })).status, 1, line)
  }
})

test('-o may stand before the command', async (t) => {
  await using agent = await startFakeAgent(ANSWERS)
  const run = async (...args: string[]) => (await runSluice(args, { socket: agent.socket })).stdout
  const wanted = await run('endpoint', 'list', '-o', 'json')
  t.deepEqual(JSON.parse(wanted), [WEB])
  for (const args of [['-o', 'json', 'endpoint', 'list'], ['--output=json', 'endpoint', 'list'], ['endpoint', '-o', 'json', 'list']]) {
    t.is(await run(...args), wanted, args.join(' '))
  }
})

for (const option of ['--version', '-V']) {
  test(`sluice ${option} prints the version alone, without an agent`, async (t) => {
    t.deepEqual(await runSluice([option], { socket: '/nowhere/sluice.sock' }), { status: 0, stdout: '0.1.0\n', stderr: '' })
  })
}
