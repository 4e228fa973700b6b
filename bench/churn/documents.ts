// Workloads of other nodes, each with an identity of its own, and policies that select some of them.

const NAMESPACE = 'bench'
const APPS = 50
const TIERS = 7
const PORT = 8080

/** One JSON text for many documents. */
export function list(documents: readonly object[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items: documents })
}

export function workload(index: number): object {
  return {
    apiVersion: 'sluice.io/v1',
    kind: 'Workload',
    metadata: { name: `workload-${index}`, namespace: NAMESPACE, labels: { app: `app-${index % APPS}`, tier: `tier-${index % TIERS}`, instance: `instance-${index}` } },
    spec: { addresses: [`10.${128 + ((index >> 16) & 63)}.${(index >> 8) & 255}.${index & 255}`] },
  }
}

/** `generation` stands in its port, so that each is another policy. */
export function policy(index: number, generation: number): object {
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name: `policy-${index}`, namespace: NAMESPACE },
    spec: {
      endpointSelector: { matchLabels: { app: `app-${index % APPS}` } },
      ingress: [
        {
          fromEndpoints: [{ matchLabels: { app: `app-${(index * 7 + 1) % APPS}`, tier: `tier-${index % TIERS}` } }],
          toPorts: [{ ports: [{ port: String(PORT + ((index + generation) % 1000)), protocol: 'TCP' }] }],
        },
      ],
    },
  }
}
