/** Documents that several tests on real packets apply. */
import type { Addresses } from '../../lab/index.ts'
import { flowPort } from './flows/index.ts'

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

/** A service of the flow processes (flows/) of workloads whose label `app` is this. */
export function flowService(app: string, addresses: Addresses): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: app, namespace: 'default' },
    spec: {
      selector: { app },
      clusterIPs: Object.values(addresses),
      ports: ['TCP', 'UDP'].map((protocol) => ({ name: protocol.toLowerCase(), port: flowPort, protocol })),
    },
  }
}
