// Random NetworkPolicies, CiliumNetworkPolicies and ClusterNetworkPolicies over a few labels, ports and addresses, in which few things are
// named often: so that rules meet.
import type { Addresses } from '../../lab/index.ts'
import type { Random } from '../differential/random.ts'

/** What policies may name; ports as `sluice policy matrix` takes them. */
export interface PolicyWorld {
  readonly labels: readonly Readonly<Record<string, string>>[]
  readonly addresses: readonly Addresses[]
  readonly ports: readonly string[]
}

export interface PolicyDocument {
  readonly kind: 'NetworkPolicy' | 'CiliumNetworkPolicy' | 'ClusterNetworkPolicy'
  readonly metadata: { readonly name: string; readonly namespace?: string }
}

export function randomPolicies(random: Random, world: PolicyWorld): PolicyDocument[] {
  const count = 2 + random.below(8)
  return Array.from({ length: count }, (_, index) => {
    const make = random.pick([kubernetesPolicy, ciliumPolicy, clusterPolicy])
    return make(random, world, `random-${index}`)
  })
}

function kubernetesPolicy(random: Random, world: PolicyWorld, name: string): PolicyDocument {
  const ingress = random.chance(0.7)
  const rules = (peers: 'from' | 'to') => random.some(0, 2, () => ({
    ...(random.chance(0.8) && { [peers]: random.some(1, 2, () => kubernetesPeers(random, world)).flat() }),
    ...(random.chance(0.5) && { ports: random.some(1, 2, () => portOf(random.pick(world.ports), Number)) }),
  }))
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: 'default' },
    spec: {
      podSelector: selector(random, world),
      policyTypes: [ingress ? 'Ingress' : 'Egress'],
      ...(ingress ? { ingress: rules('from') } : { egress: rules('to') }),
    },
  } as PolicyDocument
}

/** Blocks of both families, since the matrix has one verdict for a pair of workloads. */
function kubernetesPeers(random: Random, world: PolicyWorld): object[] {
  if (random.chance(0.7)) return [{ podSelector: selector(random, world) }]
  const { ipv4, ipv6 } = random.pick(world.addresses)
  const only = [`${ipv4}/32`, `${ipv6}/128`]
  if (random.chance(0.5)) return only.map((cidr) => ({ ipBlock: { cidr } }))
  return ['10.77.0.0/16', 'fd77::/16'].map((cidr, index) => ({ ipBlock: { cidr, except: [only[index]] } }))
}

function ciliumPolicy(random: Random, world: PolicyWorld, name: string): PolicyDocument {
  const direction = random.pick(['ingress', 'ingress', 'egress'])
  const action = random.pick(['', '', 'Deny'])
  const rules = random.some(1, 2, () => ({
    [direction === 'ingress' ? 'fromEndpoints' : 'toEndpoints']: random.some(1, 2, () => selector(random, world)),
    ...(random.chance(0.5) && { toPorts: [{ ports: random.some(1, 2, () => portOf(random.pick(world.ports), String)) }] }),
  }))
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name, namespace: 'default' },
    spec: { endpointSelector: selector(random, world), [`${direction}${action}`]: rules },
  } as PolicyDocument
}

function clusterPolicy(random: Random, world: PolicyWorld, name: string): PolicyDocument {
  const rules = (field: 'from' | 'to') => random.some(1, 3, () => ({
    action: random.pick(['Accept', 'Deny', 'Pass']),
    [field]: random.some(1, 2, () => (field === 'to' && random.chance(0.3) ? networks(random, world) : { pods: { podSelector: selector(random, world) } })),
    ...(random.chance(0.5) && { protocols: random.some(1, 2, () => protocolOf(random.pick(world.ports))) }),
  }))
  return {
    apiVersion: 'policy.networking.k8s.io/v1alpha2',
    kind: 'ClusterNetworkPolicy',
    metadata: { name },
    spec: {
      tier: random.pick(['Admin', 'Baseline']),
      priority: random.below(1001),
      subject: { pods: { podSelector: selector(random, world) } },
      ...(random.chance(0.5) ? { ingress: rules('from') } : { egress: rules('to') }),
    },
  } as PolicyDocument
}

/** Of both families, as blocks are. */
function networks(random: Random, world: PolicyWorld): object {
  const { ipv4, ipv6 } = random.pick(world.addresses)
  return { networks: [`${ipv4}/32`, `${ipv6}/128`] }
}

function protocolOf(text: string): object {
  const [port = '', protocol = ''] = text.split('/')
  return { [protocol.toLowerCase()]: { destinationPort: { number: Number(port) } } }
}

function selector(random: Random, world: PolicyWorld): object {
  const [key = '', value = ''] = random.pick(Object.entries(random.pick(world.labels)))
  switch (random.below(6)) {
    case 0: return {}
    case 1: return { matchExpressions: [{ key, operator: 'NotIn', values: [value] }] }
    case 2: return { matchExpressions: [{ key, operator: random.pick(['Exists', 'DoesNotExist']) }] }
    default: return { matchLabels: { [key]: value } }
  }
}

function portOf<Value>(text: string, convert: (port: string) => Value): { port: Value; protocol: string } {
  const [port = '', protocol = ''] = text.split('/')
  return { port: convert(port), protocol }
}
