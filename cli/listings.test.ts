import test from 'ava'
import { parse } from 'yaml'
import { ADDRESS, BALANCER, CLUSTER_SERVICE, IDENTITY, listing, MAP, POLICY, PROGRAM, WAITING, WEB, WORLD } from './testing/fixtures.ts'
import { startFakeAgent } from './testing/fake-agent.ts'
import { runSluice } from './testing/sluice.ts'

const ANSWERS = {
  'GET /v1/endpoints': listing(WEB, WAITING),
  'GET /v1/identities': listing(IDENTITY, WORLD),
  'GET /v1/addresses': listing(ADDRESS),
  'GET /v1/services': listing(BALANCER, CLUSTER_SERVICE),
  'GET /v1/programs': listing(PROGRAM),
  'GET /v1/maps': listing(MAP),
  'GET /v1/policies': listing(POLICY),
}

const listings: readonly (readonly [command: string, value: unknown, table: readonly RegExp[]])[] = [
  ['endpoint list', [WEB, WAITING], [/^ID +NAME/, /1 +demo\/web-1 +sluice-demo-web-1 +sl-web-1 +10\.77\.1\.11 +300 +ready +app=web\n +fd77:1::11/]],
  ['endpoint get demo/web-1', WEB, [/Identity: +300/, /Labels: +k8s:app=web\n +k8s:io\.kubernetes/]],
  ['endpoint get fd77:1::11', WEB, [/Name: +demo\/web-1/]],
  ['endpoint get 2', WAITING, [/Reason: +interface sl-late does not exist yet/]],
  ['identity list', [IDENTITY, WORLD], [/300 +2 +app=web\n/, /2 +0 +reserved:world\n/]],
  ['identity get 300', { ...IDENTITY, carriers: [ADDRESS] }, [/Addresses: +10\.77\.1\.11\/32 +demo\/web-1/]],
  ['service list', [BALANCER, CLUSTER_SERVICE], [/\[fd77:9::1\]:80\/TCP +demo\/shop +LoadBalancer +ipip +maglev +2 +programmed/, /10\.78\.0\.10:80\/TCP .* 0 +no-backend/]],
  ['lb list', [BALANCER], [/b1 +\[fd77::21\]:80 +2 +active +43691 +66\.7% +programmed\n.*b2 .* draining .* 33\.3%\n/]],
  ['bpf programs', [PROGRAM], [/91 +from_endpoint +tcx\/ingress +sl-web-1 +2100 +- +\/sys\/fs\/bpf/]],
  ['bpf maps', [MAP], [/17 +addresses +hash +16 B +16 B +131072/]],
  ['policy get', [POLICY], [/CiliumNetworkPolicy +demo +web +1 +\/etc\/sluice\/manifests\/web\.yaml +enforced/]],
  ['policy get demo/web', POLICY, [/7 +allow +CiliumNetworkPolicy demo\/web ingress\[0\] +clients/]],
  ['policy get CiliumNetworkPolicy/demo/web', POLICY, []],
]

for (const [command, value, tables] of listings) {
  test(`${command} as JSON, YAML and a table`, async (t) => {
    await using agent = await startFakeAgent(ANSWERS)
    const run = (...more: string[]) => runSluice([...command.split(' '), ...more], { socket: agent.socket })
    const [json, yaml, table] = await Promise.all([run('-o', 'json'), run('-o', 'yaml'), run()])
    for (const { status, stderr } of [json, yaml, table]) t.deepEqual({ status, stderr }, { status: 0, stderr: '' })
    t.deepEqual(JSON.parse(json.stdout), value)
    t.deepEqual(parse(yaml.stdout), value)
    t.regex(yaml.stdout, /[^\n]\n$/)
    for (const pattern of tables) t.regex(table.stdout, pattern)
  })
}

const mistakes: readonly (readonly [args: readonly string[], status: number, message: RegExp])[] = [
  [['endpoint', 'get', 'demo/none'], 1, /no endpoint "demo\/none".*demo\/web-1, demo\/late/],
  [['identity', 'get', '9999'], 1, /no identity 9999.*sluice identity list/],
  [['identity', 'get', 'web'], 2, /Give a number/],
  [['policy', 'get', 'demo/none'], 1, /no policy "demo\/none".*sluice policy get/],
  [['endpoint', 'list', '-o', 'xml'], 2, /Allowed choices are json, yaml, table/],
  [['endpoint', 'lst'], 2, /unknown command 'lst'\n\(Did you mean list\?\)/],
  [['endpoint'], 2, /Usage: sluice endpoint/],
  [['endpoint', 'list', '--wide'], 2, /unknown option '--wide'/],
  [['endpoint', 'list', 'extra'], 2, /too many arguments/],
]

for (const [args, status, message] of mistakes) {
  test(`sluice ${args.join(' ')}: exit status ${status}, nothing on standard output`, async (t) => {
    await using agent = await startFakeAgent(ANSWERS)
    const outcome = await runSluice(args, { socket: agent.socket })
    t.is(outcome.status, status)
    t.regex(outcome.stderr, message)
    t.is(outcome.stdout, '')
  })
}

test('a name of several policies asks which', async (t) => {
  const other = { ...POLICY, kind: 'NetworkPolicy' }
  await using agent = await startFakeAgent({ 'GET /v1/policies': listing(POLICY, other) })
  const ambiguous = await runSluice(['policy', 'get', 'demo/web'], { socket: agent.socket })
  t.is(ambiguous.status, 1)
  t.regex(ambiguous.stderr, /CiliumNetworkPolicy\/demo\/web\n +NetworkPolicy\/demo\/web/)
  const exact = await runSluice(['policy', 'get', 'NetworkPolicy/demo/web', '-o', 'json'], { socket: agent.socket })
  t.deepEqual(JSON.parse(exact.stdout), other)
})

test('policy get says in the listing why something is not enforced', async (t) => {
  const lacking = { ...POLICY, name: 'api', state: 'degraded', warnings: ['api.yaml:7:5: spec: needs the HTTP proxy, which is not there: denied; ...', 'b'] } as const
  await using agent = await startFakeAgent({ 'GET /v1/policies': listing(POLICY, lacking) })
  const { stdout } = await runSluice(['policy', 'get'], { socket: agent.socket })
  t.regex(stdout, /STATE +BECAUSE\n.* demo +web .* enforced *\n.* demo +api .* degraded +api\.yaml:7:5: .*needs the HTTP proxy.* \(and 1 more\)\n/)
})

test('policy get NAME shows what is not enforced as written', async (t) => {
  const degraded = { ...POLICY, state: 'degraded', warnings: ['a: one', 'b: two'] } as const
  await using agent = await startFakeAgent({ 'GET /v1/policies': listing(degraded) })
  const { stdout } = await runSluice(['policy', 'get', 'demo/web'], { socket: agent.socket })
  t.regex(stdout, /State: +degraded\nWarnings: +a: one\n +b: two\n/)
})
