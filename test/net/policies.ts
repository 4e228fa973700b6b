/** Policy documents that tests on real packets apply. */

/** For workloads of namespace default whose label `app` is this. */
export function ciliumPolicy(name: string, app: string, rules: object): object {
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name, namespace: 'default' },
    spec: { endpointSelector: { matchLabels: { app } }, ...rules },
  }
}

/** Peers of namespace default whose label `app` is one of these. */
export function apps(...names: readonly string[]): object[] {
  return [{ matchExpressions: [{ key: 'app', operator: 'In', values: names }] }]
}
