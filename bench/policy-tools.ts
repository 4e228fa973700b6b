// What a security team waits for: `sluice policy diff` and `lint` over a cluster of a size, without the start of the
// command and the parsing of YAML. JSON lines. node bench/policy-tools.ts [WORKLOADS POLICIES]
import { performance } from 'node:perf_hooks'
import { stringify } from 'yaml'
import { compile, parseDocuments, type Cluster } from '../manifests/index.ts'
import { compare, lint, membersOf, Simulation } from '../whatif/index.ts'

const [WORKLOADS = 1000, POLICIES = 100] = process.argv.slice(2).map(Number)

/** `apps`: how many groups of workloads have labels of their own. */
function workloads(apps: number): readonly object[] {
  return Array.from({ length: WORKLOADS }, (_, index) => ({
    apiVersion: 'sluice.io/v1',
    kind: 'Workload',
    metadata: { name: `w-${index}`, namespace: `ns-${index % 10}`, labels: { app: `app-${index % apps}`, tier: `t-${index % 7}` } },
    spec: { addresses: [`10.1.${index >> 8}.${index & 255}`] },
  }))
}

/** Each selects an app, and allows four others on ports of its own; every tenth denies some. */
function policies(apps: number, changed: number): readonly object[] {
  const app = (index: number) => ({ matchLabels: { app: `app-${index % apps}` } })
  return Array.from({ length: POLICIES }, (_, index) => ({
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumClusterwideNetworkPolicy',
    metadata: { name: `p-${index}` },
    spec: {
      endpointSelector: app(index),
      ingress: [1, 2, 3, 4].map((peer) => ({
        fromEndpoints: [app(index * 7 + peer)],
        toPorts: [{ ports: [{ port: `${8000 + index + (index < changed ? 1 : 0)}`, protocol: 'TCP' }] }],
      })),
      ...(index % 10 === 0 && { ingressDeny: [{ fromEndpoints: [{ matchLabels: { tier: `t-${index % 7}` } }] }] }),
    },
  }))
}

function clusterOf(documents: readonly object[]): Cluster {
  return compile(parseDocuments(documents.map((document) => stringify(document)).join('---\n'), 'bench.yaml').documents)
}

async function measure(name: string, work: () => Promise<Record<string, number>>): Promise<void> {
  const start = performance.now()
  const rest = await work()
  const value = Math.round(performance.now() - start)
  console.log(JSON.stringify({ bench: 'policy-tools', case: name, metric: 'ms', value, ...rest, rss_bytes: process.memoryUsage().rss }))
}

// As in most clusters, where workloads are replicas; and the worst case, no two workloads alike.
for (const apps of [Math.ceil(WORKLOADS / 10), WORKLOADS]) {
  const size = `${WORKLOADS}/${POLICIES}/${apps}`
  const [before, after] = [0, 5].map((changed) => clusterOf([...workloads(apps), ...policies(apps, changed)])) as [Cluster, Cluster]
  await measure(`diff/${size}`, async () => {
    const simulations = [await Simulation.of(before), await Simulation.of(after)] as const
    const { changes, pairs } = compare(...simulations, membersOf(after, []))
    return { changes: changes.length, pairs: pairs.compared }
  })
  await measure(`lint/${size}`, async () => ({ findings: (await lint(after)).length }))
}
