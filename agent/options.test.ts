import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { parseCommand, type RunOptions } from './options.ts'

function run(argv: string[], environment: NodeJS.ProcessEnv = {}): RunOptions {
  const parsed = parseCommand(argv, environment)
  if (parsed.command === 'decap') throw new Error('expected the options of run')
  return parsed.options
}

test('defaults follow the name', (t) => {
  const options = run(['--name', 'edge-1'])
  t.is(options.stateDir, '/var/lib/sluice/edge-1')
  t.is(options.socket, '/run/sluice/edge-1/sluice.sock')
  t.is(options.bpffs, '/sys/fs/bpf/sluice-edge-1')
  t.deepEqual(options.manifests, [])
})

test('flags overrule the environment, which overrules the file', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-options-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const config = join(folder, 'sluiced.yaml')
  writeFileSync(config, 'name: file\nuplink: file0\nlog-level: debug\nworkload-range: [10.1.0.0/24, "fd00::/64"]\n')
  const options = run(['--config', config, '--name', 'flag'], { SLUICE_NAME: 'env', SLUICE_UPLINK: 'env0' })
  t.is(options.name, 'flag')
  t.is(options.uplink, 'env0')
  t.is(options.logLevel, 'debug')
  t.deepEqual(options.workloadRanges, ['10.1.0.0/24', 'fd00::/64'])
})

test('lists take commas in the environment; variables of others are ignored', (t) => {
  const options = run([], { SLUICE_MANIFESTS: '/a,/b', SLUICE_UNRELATED: 'x' })
  t.deepEqual(options.manifests, ['/a', '/b'])
})

test('host policies are a dry run at first, and leave SSH open', (t) => {
  t.like(run([]), { hostPolicy: 'audit', hostAllow: [{ protocol: 6, first: 22, last: 22 }] })
  t.deepEqual(run(['--host-allow', '2222', '--host-allow', '4242/udp']).hostAllow.map(({ protocol }) => protocol), [6, 17])
})

test('the name of the cluster is what Cilium takes as one', (t) => {
  t.deepEqual([[], ['--cluster-name', 'eu-1']].map((argv) => run(argv).clusterName), ['default', 'eu-1'])
})

test('what is on by default can be switched off, wherever an option can come from', (t) => {
  t.like(run([]), { allowHost: true, reportFlows: true })
  t.like(run(['--allow-host=false', '--no-report-flows']), { allowHost: false, reportFlows: false })
  t.like(run([], { SLUICE_ALLOW_HOST: 'false', SLUICE_REPORT_FLOWS: 'false' }), { allowHost: false, reportFlows: false })
})

test('sizes of maps by name', (t) => {
  t.deepEqual(run(['--map-size', 'conntrack4=1024', '--map-size', 'slots=8']).mapSizes, { conntrack4: 1024, slots: 8, slot_histories: 8 })
})

for (const [argv, message] of [
  [['--uplnk', 'eth0'], /uplnk/],
  [['--name', 'a.b'], /letters, digits/],
  [['--cluster-name', 'EU_1'], /--cluster-name EU_1 .* at most 32/],
  [['--xdp-mode', 'fast'], /native/],
  [['--flow-history', '0'], /whole number/],
  [['--deny-answer', 'maybe'], /reject/],
  [['--host-policy', 'open'], /enforce/],
  [['--host-allow', 'ssh'], /PORT\/PROTOCOL/],
  [['--map-size', 'conntrak4=1'], /conntrack4/],
  [['--map-size', 'conntrack4=many'], /whole number/],
  [['--map-size', 'endpoints=8192'], /endpoints_beyond/],
  [['--config', '/nonexistent.yaml'], /options file/],
  [['decap', '--interface', 'eth0'], /--vip/],
  [['decap', '--interface', 'eth0', '--vip', '10.77.9.1'], /--source/],
] as const) {
  test(`refuses ${argv.join(' ')}`, (t) => {
    t.throws(() => parseCommand(argv, {}), { code: 'BAD_OPTION', message })
  })
}

test('a wrong option ends the daemon with status 2, as it does the command', (t) => {
  const entry = fileURLToPath(new URL('index.ts', import.meta.url))
  for (const args of [['--nosuch'], ['--name', 'a.b'], ['decap', '--interface', 'lo']]) {
    const { status, stderr } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', entry, ...args], { encoding: 'utf8' })
    t.is(status, 2, stderr)
    t.regex(stderr, /^sluiced: .*\n$/)
  }
})
