import test from 'ava'
import { Counter, Gauge, Registry } from '../observe/index.ts'
import { CliError } from './errors.ts'
import { parseMetrics } from './metrics.ts'
import { startFakeAgent } from './testing/fake-agent.ts'
import { runSluice } from './testing/sluice.ts'

async function exampleText(): Promise<string> {
  const registry = new Registry()
  const registers = [registry]
  const packets = new Counter({ name: 'sluice_packets_total', help: 'Packets.', labelNames: ['reason', 'note'], registers })
  packets.inc({ reason: 'no-route', note: '' }, 0)
  packets.inc({ reason: 'policy-denied', note: 'a "quoted", {odd}\nback\\slash' }, 3)
  new Gauge({ name: 'sluice_endpoints', help: 'Endpoints.', registers }).set(2.5)
  return registry.metrics()
}

const SAMPLES = [
  { name: 'sluice_packets_total', labels: { reason: 'no-route', note: '' }, value: 0 },
  { name: 'sluice_packets_total', labels: { reason: 'policy-denied', note: 'a "quoted", {odd}\nback\\slash' }, value: 3 },
  { name: 'sluice_endpoints', labels: {}, value: 2.5 },
]

test('samples are what the registry was given', async (t) => {
  t.deepEqual(parseMetrics(await exampleText()), SAMPLES)
  t.deepEqual(parseMetrics('a_bucket{le="+Inf"} +Inf 1700000000000\n'), [{ name: 'a_bucket', labels: { le: '+Inf' }, value: Infinity }])
})

test('a line that is no sample is an error that quotes it', (t) => {
  t.throws(() => parseMetrics('<html>\n'), { instanceOf: CliError, message: /no sample: <html>/ })
})

test('the command shows all, some, or what Prometheus scrapes', async (t) => {
  const text = await exampleText()
  await using agent = await startFakeAgent({ 'GET /v1/metrics': (response) => void response.end(text) })
  const run = (...args: string[]) => runSluice(['metrics', ...args], { socket: agent.socket })
  const [json, some, scraped, table] = await Promise.all([
    run('-o', 'json'),
    run('endpoints', '-o', 'json'),
    run('endpoints', '-o', 'prometheus'),
    run('endpoints'),
  ])
  t.deepEqual(JSON.parse(json.stdout), SAMPLES)
  t.deepEqual(JSON.parse(some.stdout), SAMPLES.slice(2))
  t.is(scraped.stdout, '# HELP sluice_endpoints Endpoints.\n# TYPE sluice_endpoints gauge\nsluice_endpoints 2.5\n')
  const [few, all] = await Promise.all([run('packets'), run('packets', '--all')])
  t.false(few.stdout.includes('no-route'))
  t.regex(all.stdout, /sluice_packets_total +reason=no-route note= +0\n/)
  const none = await run('nosuch')
  t.deepEqual({ ...none, stderr: none.stderr.slice(0, 39) }, { status: 1, stdout: '', stderr: 'sluice: no metric has "nosuch" in its n' })
  t.is((await run('nosuch', '-o', 'prometheus')).status, 1)
  t.is(table.stdout, 'METRIC            LABELS  VALUE\nsluice_endpoints          2.5\n')
})
