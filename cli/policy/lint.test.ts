import test from 'ava'
import { runSluice } from '../testing/sluice.ts'

const WORKLOAD = `apiVersion: sluice.io/v1
kind: Workload
metadata: {name: web, namespace: demo, labels: {app: web}}
spec: {addresses: [10.0.0.1]}
`

const policy = (annotation = ''): string => `apiVersion: v1
kind: List
items:
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata:
    name: web
    namespace: demo
    annotations: {team: shop${annotation}}
  spec:
    podSelector: {matchLabels: {app: web}}
    ingress:
    - ports: [{port: 80}]
    - from:
      - podSelector: {matchLabels: {app: gone}}
`

const lint = (text: string, ...options: readonly string[]) => runSluice(['policy', 'lint', '-f', '-', ...options], { input: text })

test('a finding has its place, its weight, why, and what to do; the status is 1', async (t) => {
  const { status, stdout } = await lint(`${WORKLOAD}---\n${policy()}`, '-o', 'json')
  t.is(status, 1)
  t.deepEqual(JSON.parse(stdout), {
    findings: [{
      file: 'standard input',
      line: 19,
      column: 7,
      path: 'items[0].spec.ingress[1]',
      severity: 'warning',
      code: 'selector-matches-nothing',
      policy: 'NetworkPolicy demo/web',
      problem: 'no workload or node matches namespace=demo, app=gone: as a peer it is nobody',
      advice: 'correct the labels; if the workloads are to come, silence this',
    }],
    silenced: 0,
  })
})

test('the table says the same, and what it adds up to', async (t) => {
  const { stdout } = await lint(`${WORKLOAD}---\n${policy()}`)
  t.is(stdout, `standard input:19:7: items[0].spec.ingress[1]: warning selector-matches-nothing
  NetworkPolicy demo/web: no workload or node matches namespace=demo, app=gone: as a peer it is nobody
  correct the labels; if the workloads are to come, silence this

errors: 0, warnings: 1, infos: 0
`)
})

for (const codes of ['selector-matches-nothing', 'redundant-rule, selector-matches-nothing', 'all']) {
  test(`an annotation with '${codes}' silences it`, async (t) => {
    const { status, stdout } = await lint(`${WORKLOAD}---\n${policy(`, sluice.io/lint-ignore: '${codes}'`)}`)
    t.is(status, 0)
    t.is(stdout, 'no findings, 1 silenced\n')
  })
}

test('an annotation that names no finding is one', async (t) => {
  const { status, stdout } = await lint(`${WORKLOAD}---\n${policy(", sluice.io/lint-ignore: 'all, selectors'")}`)
  t.is(status, 1)
  t.regex(stdout, /items\[0\]\.metadata\.annotations\["sluice\.io\/lint-ignore"\]: warning malformed-annotation\n.*there is no finding "selectors"\n.*one of shadowed-policy, /)
})

test('what is only worth knowing is no failure', async (t) => {
  const twice = policy().replace(/- from:[^]*/, '- ports: [{port: 80}]\n')
  const { status, stdout } = await lint(`${WORKLOAD}---\n${twice}`)
  t.is(status, 0)
  t.regex(stdout, /info redundant-rule[^]*errors: 0, warnings: 0, infos: 1\n$/)
})

test('without workloads nothing can be said', async (t) => {
  const { status, stdout, stderr } = await lint(policy())
  t.deepEqual([status, stdout], [1, ''])
  t.regex(stderr, /there are no workloads in these manifests: give theirs with -f too/)
})

test('a reference that is not found is a finding at its own place, told once, and can be silenced', async (t) => {
  const refers = (annotation: string) => `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: out, namespace: demo, annotations: {note: x${annotation}}}
spec:
  endpointSelector: {}
  egress:
  - toServices:
    - k8sService: {serviceName: gone, namespace: demo}
  - toPorts: [{ports: [{port: "53"}]}]
`
  const { status, stdout, stderr } = await lint(`${WORKLOAD}---\n${refers('')}`)
  t.is(status, 1)
  t.is(stderr, '')
  t.regex(stdout, /^standard input:13:7: spec\.egress\[0\]\.toServices\[0\]: warning unresolved-reference\n  CiliumNetworkPolicy demo\/out: there is no Service demo\/gone: the peer selects nobody\n/)
  const silenced = await lint(`${WORKLOAD}---\n${refers(', sluice.io/lint-ignore: unresolved-reference')}`)
  t.deepEqual([silenced.status, silenced.stdout, silenced.stderr], [0, 'no findings, 1 silenced\n', ''])
})

test('help says that what is audited is judged as if it were enforced', async (t) => {
  const { stdout } = await runSluice(['policy', 'lint', '--help'])
  t.regex(stdout.replace(/\s+/g, ' '), /What is only audited, and policies of nodes, are judged as if they were enforced\./)
})
