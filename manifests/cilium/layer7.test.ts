// What stands above TCP and UDP is checked by its shape, kept by the number of its rule, and opens nothing.
import test from 'ava'
import { compile, parseDocuments } from '../index.ts'
import { isRe2 } from '../document/re2.ts'
import { declareFaults, head, type Fault } from '../testing/faults.ts'

const HEAD = `${head('cilium.io/v2', 'CiliumNetworkPolicy', '{name: p, namespace: demo}')}spec:\n  endpointSelector: {}\n  egress:\n`
const withPorts = (layer7: string, port = '{port: "80", protocol: TCP}'): string => `${HEAD}  - toPorts: [{ports: [${port}], ${layer7}}]\n`

const SECRET = '{namespace: certificates, name: shop}'
/** YAML, who has to judge it, and what is kept: the same value. */
const FORMS: readonly (readonly [yaml: string, proxy: string, kept: object])[] = [
  ['rules: {http: []}', 'the HTTP proxy', { rules: { http: [] } }],
  [
    'rules: {http: [{method: "(?i)get|head", path: "/v[0-9]+/.*", host: ".*\\\\.example\\\\.com", headers: ["X-Team: a"]}]}',
    'the HTTP proxy',
    { rules: { http: [{ method: '(?i)get|head', path: '/v[0-9]+/.*', host: '.*\\.example\\.com', headers: ['X-Team: a'] }] } },
  ],
  [
    `rules: {http: [{headerMatches: [{name: X-Token, secret: ${SECRET}, mismatch: REPLACE}, {name: X-Team, value: a}]}]}`,
    'the HTTP proxy',
    { rules: { http: [{ headerMatches: [{ name: 'X-Token', secret: { namespace: 'certificates', name: 'shop' }, mismatch: 'REPLACE' }, { name: 'X-Team', value: 'a' }] }] } },
  ],
  ['rules: {kafka: [{role: produce, topic: orders, clientID: shop}]}', 'the Kafka proxy', { rules: { kafka: [{ role: 'produce', topic: 'orders', clientID: 'shop' }] } }],
  ['rules: {kafka: [{apiKey: Fetch, apiVersion: "3"}]}', 'the Kafka proxy', { rules: { kafka: [{ apiKey: 'Fetch', apiVersion: '3' }] } }],
  [
    'rules: {dns: [{matchName: a.example}, {matchPattern: "**.b.example"}]}',
    'the DNS proxy',
    { rules: { dns: [{ matchName: 'a.example' }, { matchPattern: '**.b.example' }] } },
  ],
  ['rules: {l7proto: cassandra, l7: [{query_action: select}]}', 'the proxy for cassandra', { rules: { l7proto: 'cassandra', l7: [{ query_action: 'select' }] } }],
  ['serverNames: [a.example, "*.b.example"]', 'the TLS proxy', { serverNames: ['a.example', '*.b.example'] }],
  [
    `terminatingTLS: {secret: ${SECRET}, certificate: tls.crt, privateKey: tls.key}, originatingTLS: {secret: {name: ca}, trustedCA: ca.crt}`,
    'the TLS proxy',
    {
      terminatingTLS: { secret: { namespace: 'certificates', name: 'shop' }, certificate: 'tls.crt', privateKey: 'tls.key' },
      originatingTLS: { secret: { name: 'ca' }, trustedCA: 'ca.crt' },
    },
  ],
  [
    'listener: {name: forward, priority: 3, envoyConfig: {kind: CiliumClusterwideEnvoyConfig, name: proxy}}',
    'the listener forward',
    { listener: { name: 'forward', priority: 3, envoyConfig: { kind: 'CiliumClusterwideEnvoyConfig', name: 'proxy' } } },
  ],
]

function compiled(text: string) {
  const { documents, errors } = parseDocuments(text, 'p.yaml')
  if (errors[0]) throw errors[0]
  const policy = compile(documents).policies.get('CiliumNetworkPolicy/demo/p')
  if (policy === undefined) throw new Error('no policy')
  return policy
}

for (const [yaml, proxy, layer7] of FORMS) {
  test(`${yaml} is kept, and opens nothing`, (t) => {
    const { proxied, policies, warnings } = compiled(withPorts(yaml))
    const [rule] = policies[0]?.rules ?? []
    t.deepEqual(rule?.ports, [])
    t.deepEqual([...proxied], [[rule?.number, [{ ports: [{ protocol: 6, first: 80, last: 80 }], layer7, proxy }]]])
    t.true(warnings.every(({ code, problem }) => code === 'NO_PROXY' && problem === `needs ${proxy}, which is not there: denied`))
    t.deepEqual(warnings.map(({ path }) => path.slice('spec.egress[0].toPorts[0].'.length)).sort(), Object.keys(layer7).sort())
  })
}

test('ports without anything above them stay open beside those that have', (t) => {
  const { policies, proxied } = compiled(`${HEAD}  - toPorts:
    - {ports: [{port: "80", protocol: TCP}], rules: {http: [{}]}}
    - {ports: [{port: "443", protocol: TCP}]}
    - {ports: [{port: dns}], rules: {dns: [{matchPattern: "*"}]}}\n`)
  const [rule] = policies[0]?.rules ?? []
  t.deepEqual(rule?.ports, [{ protocol: 6, first: 443, last: 443 }])
  t.deepEqual([...proxied.values()].flat().map(({ ports }) => ports), [[{ protocol: 6, first: 80, last: 80 }], [{ protocol: 'any', name: 'dns' }]])
})

test("regular expressions are those of RE2's syntax", (t) => {
  const right = ['GET', '(?i)get|head', '/v\\d+/(?P<id>\\w+)', '(?<id>a)', '(?:a|b)?', '(?s-i:a.b)', '[[:alpha:]]+', '[(?=]', '[]a]', '\\(\\?=', '\\pN']
  t.deepEqual(right.filter((pattern) => !isRe2(pattern)), [])
  const wrong = ['(', '[a', 'a**', '(?', '(?=a)', '(?!a)', '(?<=a)b', '(?<!a)b', '(a)\\1', '\\']
  t.deepEqual(wrong.filter(isRe2), [])
})

const fault = (title: string, layer7: string, path: string, allowed: string, port?: string): Fault =>
  ({ title, text: withPorts(layer7, port), code: 'INVALID', line: 7, path: `spec.egress[0].toPorts[0].${path}`, allowed })

declareFaults(test, [
  fault('a role beside a request of Kafka', 'rules: {kafka: [{role: consume, apiKey: fetch}]}', 'rules.kafka[0].apiKey', 'one of the two'),
  fault('a request that Kafka has not', 'rules: {kafka: [{apiKey: fetsch}]}', 'rules.kafka[0].apiKey', 'fetch'),
  fault('a version that is no number', 'rules: {kafka: [{apiVersion: v2}]}', 'rules.kafka[0].apiVersion', '32767'),
  fault('a topic with a space', 'rules: {kafka: [{topic: "a b"}]}', 'rules.kafka[0].topic', 'a topic'),
  fault('a header without name', 'rules: {http: [{headerMatches: [{name: ""}]}]}', 'rules.http[0].headerMatches[0].name', 'not empty'),
  fault('an assertion in a path', 'rules: {http: [{path: "/(?!admin)"}]}', 'rules.http[0].path', 'RE2'),
  fault('an empty name of a protocol', 'rules: {l7proto: "", l7: []}', 'rules.l7proto', 'not empty'),
  fault('a range of ports for DNS', 'rules: {dns: [{matchPattern: "*"}]}', 'ports[0].endPort', 'single ports', '{port: "53", endPort: 54, protocol: UDP}'),
  fault('a listener without name', 'listener: {name: "", envoyConfig: {name: proxy}}', 'listener.name', 'not empty'),
  fault('a priority of a listener above 100', 'listener: {name: l, priority: 101, envoyConfig: {name: proxy}}', 'listener.priority', '0 to 100'),
  fault('no server name at all', 'serverNames: []', 'serverNames', '1 to'),
])

declareFaults(test, [
  { ...fault('TLS without a secret', 'terminatingTLS: {certificate: a}', 'terminatingTLS.secret', 'name'), code: 'MISSING_FIELD' },
  { ...fault('a secret without name', 'originatingTLS: {secret: {namespace: a}}', 'originatingTLS.secret.name', 'DNS name'), code: 'MISSING_FIELD' },
])
