// Workloads that are the same to a person who writes policy, replicas for the most part, and the selector for each.
import { NAMESPACE_KEY, type Workload } from '../../manifests/index.ts'

/** A label selector as documents have it. */
export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: 'DoesNotExist' }[]
}

export interface Group {
  readonly namespace: string
  readonly labels: ReadonlyMap<string, string>
  readonly workloads: readonly Workload[]
  /** Selects these in their namespace, and nobody else that is known. */
  readonly selector: LabelSelector
}

/** Set by controllers for a revision or a replica: the next roll-out would have others. */
const PASSING = new Set([
  'pod-template-hash', 'controller-revision-hash', 'pod-template-generation', 'statefulset.kubernetes.io/pod-name',
  'apps.kubernetes.io/pod-index', 'controller-uid', 'job-name', 'batch.kubernetes.io/controller-uid', 'batch.kubernetes.io/job-name',
  'batch.kubernetes.io/job-completion-index',
])

/** What people name an application by, the most telling first. */
const TELLING = [
  'app.kubernetes.io/name', 'k8s-app', 'app', 'name', 'app.kubernetes.io/component', 'component', 'app.kubernetes.io/instance',
  'role', 'tier',
]

/** By workload; those whose labels are not known yet are in none. */
export function groupsOf(workloads: readonly Workload[]): ReadonlyMap<Workload, Group> {
  const known = workloads.filter(({ init }) => !init)
  const alike = [...Map.groupBy(known, (workload) => JSON.stringify([workload.namespace, ...lastingLabels(workload)])).values()]
  const plain = alike.flatMap((members) => {
    const [first] = members
    return first === undefined ? [] : [{ namespace: first.namespace, labels: lastingLabels(first), workloads: members }]
  })
  const groups = plain.map((group): Group => {
    const others = plain.filter((other) => other !== group && other.namespace === group.namespace)
    return { ...group, selector: selectorFor(group.labels, others.map(({ labels }) => labels)) }
  })
  return new Map(groups.flatMap((group) => group.workloads.map((workload) => [workload, group])))
}

type Labels = ReadonlyMap<string, string>

/** The workload's own labels, sorted: neither its namespace's nor its service account's. */
function lastingLabels({ labels }: Workload): Labels {
  const given = [`${NAMESPACE_KEY}=`, 'k8s:io.cilium.k8s.']
  const own = labels.filter((label) => label.startsWith('k8s:') && !given.some((prefix) => label.startsWith(prefix)))
  const pairs = own.map((label) => label.slice('k8s:'.length).split(/=(.*)/s)).map(([key = '', value = '']) => [key, value] as const)
  return new Map(pairs.filter(([key]) => !PASSING.has(key)).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/**
 * The most telling label, then as many as it takes to leave all others out, each time the one that leaves most out. Who
 * has all of a group's labels and more is left out by a key that the group does not have.
 */
function selectorFor(labels: Labels, others: readonly Labels[]): LabelSelector {
  const candidates = [...labels].sort(([a], [b]) => rankOf(a) - rankOf(b) || (a < b ? -1 : 1))
  const chosen = candidates.filter(([key]) => TELLING.includes(key)).slice(0, 1)
  const has = (other: Labels, [key, value]: readonly [string, string]) => other.get(key) === value
  let left = others.filter((other) => chosen.every((label) => has(other, label)))
  for (let best = mostExcluding(candidates, left, has); best !== undefined; best = mostExcluding(candidates, left, has)) {
    chosen.push(best)
    left = left.filter((other) => has(other, best as readonly [string, string]))
  }
  const keys = excludingKeys(labels, left)
  return {
    ...(chosen.length > 0 && { matchLabels: Object.fromEntries(chosen) }),
    ...(keys.length > 0 && { matchExpressions: keys.map((key) => ({ key, operator: 'DoesNotExist' as const })) }),
  }
}

function rankOf(key: string): number {
  const rank = TELLING.indexOf(key)
  return rank < 0 ? TELLING.length : rank
}

/** Undefined where none leaves anybody out. */
function mostExcluding<T>(candidates: readonly T[], left: readonly Labels[], has: (other: Labels, of: T) => boolean): T | undefined {
  const counted = candidates.map((candidate) => ({ candidate, count: left.filter((other) => !has(other, candidate)).length }))
  const [best] = counted.sort((a, b) => b.count - a.count)
  return best !== undefined && best.count > 0 ? best.candidate : undefined
}

function excludingKeys(labels: Labels, supersets: readonly Labels[]): readonly string[] {
  const keys: string[] = []
  let left = supersets
  while (left.length > 0) {
    const candidates = [...new Set(left.flatMap((other) => [...other.keys()]))].filter((key) => !labels.has(key)).sort()
    const best = mostExcluding(candidates, left, (other, key) => !other.has(key))
    if (best === undefined) break
    keys.push(best)
    left = left.filter((other) => !other.has(best))
  }
  return keys
}
