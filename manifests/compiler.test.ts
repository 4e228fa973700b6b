// Changes one after the other come to the same cluster as all documents at once, and tell what changed.
import test from 'ava'
import fc from 'fast-check'
import { compile, counter } from './compile.ts'
import { type ClusterChange, Compiler } from './compiler.ts'
import type { Changes } from './derivation.ts'
import type { Cluster } from './model.ts'
import { parseDocuments } from './parse.ts'
import type { Document } from './resources.ts'

const LABELS = ['{app: web}', '{app: db}', '{}']
const cilium = (name: string, spec: string): string => `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: ${name}, namespace: demo}, spec: ${spec}}`

/** Variants of each document; of one name only one is there at a time. */
const VARIANTS: readonly (readonly string[])[] = [
  LABELS.map((labels) => `{apiVersion: v1, kind: Namespace, metadata: {name: demo, labels: ${labels}, annotations: {sluice.io/audit: "${labels === '{}'}"}}}`),
  ...[1, 2, 3].map((number) =>
    LABELS.map((labels) => {
      const [metadata, init] = labels === '{}' ? ['', ', init: true'] : [`, labels: ${labels}`, '']
      return `{apiVersion: sluice.io/v1, kind: Workload, metadata: {name: w${number}, namespace: demo${metadata}}, spec: {addresses: [10.0.0.${number}]${init}}}`
    }),
  ),
  LABELS.map((labels, index) => `{apiVersion: v1, kind: Service, metadata: {name: web, namespace: demo, labels: ${labels}}, spec: {clusterIP: 10.1.0.1, selector: ${LABELS[(index + 1) % 3]}, ports: [{port: 80}]}}`),
  ['192.0.2.0/24', '198.51.100.0/24'].map((prefix) => `{apiVersion: cilium.io/v2, kind: CiliumCIDRGroup, metadata: {name: group, labels: {kind: out}}, spec: {externalCIDRs: [${prefix}]}}`),
  ['10.0.1.1', '10.0.1.2'].map((address) => `{apiVersion: v1, kind: Node, metadata: {name: node, labels: {a: "${address}"}}, status: {addresses: [{type: InternalIP, address: ${address}}]}}`),
  ['10.2.0.1', '10.2.0.2'].map((address) => `{apiVersion: sluice.io/v1, kind: LoadBalancer, metadata: {name: edge}, spec: {addresses: [10.3.0.1], ports: [{port: 80}], backends: [{addresses: [${address}]}]}}`),
  [cilium('services', '{endpointSelector: {}, egress: [{toServices: [{k8sService: {serviceName: web, namespace: demo}}]}]}')],
  [cilium('groups', '{endpointSelector: {}, egress: [{toCIDRSet: [{cidrGroupRef: group}]}]}'), cilium('groups', '{endpointSelector: {}, egress: [{toCIDRSet: [{cidrGroupSelector: {matchLabels: {kind: out}}}]}]}')],
  ['{}', '{matchLabels: {a: b}}'].map((selector) => `{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: nodes}, spec: {nodeSelector: ${selector}, ingressDeny: [{}]}}`),
]

const PARSED = VARIANTS.map((texts) =>
  texts.map((text) => {
    const { documents: [document], errors } = parseDocuments(text, 'f.yaml')
    if (document === undefined) throw errors[0] ?? new Error(`nothing in ${text}`)
    return document
  }),
)

const SSH = [{ protocol: 6, first: 22, last: 22 }] as const

/** For each document its variant, or that it is away. */
const state = fc.tuple(...PARSED.map((variants) => fc.integer({ min: -1, max: variants.length - 1 })))
const documentsOf = (chosen: readonly number[]): Document[] => chosen.flatMap((variant, index) => PARSED[index]?.[variant] ?? [])

const text = (item: unknown): string => JSON.stringify(item, (_key, value: unknown) => (value instanceof Map ? [...value] : value))
const sorted = (items: readonly unknown[]): string[] => items.map(text).sort()
const kinds = ({ nodes, workloads, services, loadBalancers, policies }: Cluster) => ({
  nodes: sorted(nodes),
  workloads: sorted(workloads),
  services: sorted([...services, ...loadBalancers]),
  policies: sorted([...policies.values()]),
})

/** A copy of the cluster that knows it from changes alone. */
class Follower {
  readonly #items = { nodes: [] as string[], workloads: [] as string[], services: [] as string[], policies: [] as string[] }

  follow(change: ClusterChange): void {
    for (const kind of ['nodes', 'workloads', 'services', 'policies'] as const) {
      const { removed, added }: Changes<unknown> = change[kind]
      for (const item of removed) this.#items[kind].splice(this.#items[kind].indexOf(text(item)), 1)
      this.#items[kind].push(...added.map(text))
    }
  }

  get items() {
    return Object.fromEntries(Object.entries(this.#items).map(([kind, items]) => [kind, items.toSorted()]))
  }
}

test('any way to a set of documents gives the cluster of the set', (t) => {
  fc.assert(
    fc.property(fc.array(state, { minLength: 2, maxLength: 6 }), (states) => {
      const numberOf = counter()
      const compiler = new Compiler(numberOf, SSH)
      const follower = new Follower()
      let before: Document[] = []
      for (const chosen of states) {
        const after = documentsOf(chosen)
        follower.follow(compiler.change({ removed: before.filter((each) => !after.includes(each)), added: after.filter((each) => !before.includes(each)) }))
        before = after
        const wanted = kinds(compile(after, numberOf, SSH))
        t.deepEqual(kinds(compiler.cluster), wanted)
        t.deepEqual(follower.items, wanted)
      }
    }),
    { numRuns: 200 },
  )
})

test('a workload touches no policy, and no service that does not select it', (t) => {
  const compiler = new Compiler(counter(), SSH)
  compiler.change({ removed: [], added: PARSED.flatMap(([first]) => first ?? []).filter(({ resource }) => resource.name !== 'w1') })
  const { nodes, workloads, services, policies } = compiler.change({ removed: [], added: [PARSED[1]?.[0] as Document] })
  t.deepEqual([nodes, services, policies].map(({ removed, added }) => removed.length + added.length), [0, 0, 0])
  t.deepEqual(workloads.added.map(({ name }) => name), ['w1'])
})
