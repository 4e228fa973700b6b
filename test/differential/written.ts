// Random policies as their users write them, of every kind, through the compiler: what they say is decided by the
// engine, the model and the datapath as any other policy, and counted by the constructs that it was written with.

import type { Policy, PortMatch } from '../../engine/index.ts'
import { compile, parseDocuments, type RuleReference } from '../../manifests/index.ts'
import {
  ADMIN_PORTS, CILIUM_ALLOW_PEERS, CILIUM_DENY_PEERS, CILIUM_EGRESS_PEERS, CILIUM_PORTS, isNamed, NAMESPACES, NARROWED, NETWORK_POLICY_PEERS, NETWORK_POLICY_PORTS,
  NOBODY, pickPiece, type Piece, PROTOCOLS_OF_RULES, PROXIED_PORTS, REFERENTS, selector, TIER_EGRESS_PEERS, TIER_INGRESS_PEERS,
} from './pieces.ts'
import type { Random } from './random.ts'
import { TCP } from './world.ts'

export interface Written {
  readonly policies: readonly Policy[]
  /** By the number of a rule, or of a default deny. */
  readonly constructs: ReadonlyMap<number, readonly string[]>
  /** What it has that selects nobody. */
  readonly withoutEffect: readonly string[]
}

/** Of the node, whatever policies say. */
const HOST_PORTS: readonly PortMatch[] = [{ protocol: TCP, first: 443, last: 443 }]
const referents = parseDocuments(REFERENTS.map((document) => JSON.stringify(document)).join('\n---\n'), 'referents').documents

/** `numbers` hands out rule numbers. Throws where the document is refused. */
export function randomWritten(random: Random, numbers: () => number): Written {
  const draft = random.pick(KINDS)(random)
  const { documents, errors } = parseDocuments(JSON.stringify(draft.document), 'written')
  if (errors[0]) throw errors[0]
  const known = new Map<string, number>()
  const numberOf = (text: string): number => known.getOrInsertComputed(text, numbers)
  const compiled = [...compile([...referents, ...documents], numberOf, HOST_PORTS).policies.values()]
  return {
    policies: compiled.flatMap(({ policies }) => policies),
    constructs: new Map(compiled.flatMap(({ rules }) => [...rules].map(([number, reference]) => [number, constructsOf(draft, reference)] as const))),
    withoutEffect: draft.withoutEffect ?? [],
  }
}

/** A document, and the constructs of its rules by their place: `ingress[0]`. */
interface Draft {
  readonly document: object
  readonly kind: string
  readonly general: readonly string[]
  readonly rules: ReadonlyMap<string, readonly string[]>
  readonly withoutEffect?: readonly string[]
}

function constructsOf({ kind, general, rules }: Draft, { kind: from, direction, action, list = direction, index, field, spec }: RuleReference): readonly string[] {
  if (from === 'Default') return ['always-allowed port of the node']
  if (action === 'default-deny') return [`${kind}: default deny of ${direction}`, ...general]
  const own = rules.get(`${list}[${index}]`) ?? []
  const several = spec === undefined ? [] : [`${kind}: specs`]
  if (field === undefined) return [`${kind}: ${list}`, `${kind}: ${action}`, ...own, ...general, ...several]
  // Of all that stands in the rule this alone decided.
  return [`${kind}: ${field}`]
}

/** One rule: each piece is drawn, and remembered as one of its constructs. */
class Rules {
  readonly #random: Random
  readonly #kind: string
  readonly constructs = new Map<string, readonly string[]>()

  constructor(random: Random, kind: string) {
    this.#random = random
    this.#kind = kind
  }

  list<T extends object>(name: string, most: number, draw: (rule: (from: readonly Piece[]) => object) => T): T[] {
    return Array.from({ length: this.#random.below(most + 1) }, (_, index) => {
      const used: string[] = []
      const rule = draw((from) => {
        const { construct, draw: fields } = pickPiece(this.#random, from)
        used.push(`${this.#kind}: ${construct}`)
        return fields(this.#random)
      })
      this.constructs.set(`${name}[${index}]`, used)
      return rule
    })
  }
}

/* ---- kinds ---- */

/** Often everybody, so that policies meet. */
const subjectSelector = (random: Random): object => (random.chance(0.4) ? {} : selector(random))

const AUDITED = { annotations: { 'sluice.io/audit': 'true' } }

function metadataOf(random: Random, namespace: string | undefined, name = 'written'): { metadata: object; general: readonly string[] } {
  const audited = random.chance(0.05)
  return { metadata: { name, ...(namespace !== undefined && { namespace }), ...(audited && AUDITED) }, general: audited ? ['audit by annotation'] : [] }
}

function networkPolicy(random: Random): Draft {
  const kind = 'NetworkPolicy'
  const rules = new Rules(random, kind)
  const { metadata, general } = metadataOf(random, random.pick(NAMESPACES))
  const items = (direction: 'ingress' | 'egress', field: string) =>
    rules.list(direction, 4, (piece) => ({
      ...(random.chance(0.8) && { [field]: [piece(NETWORK_POLICY_PEERS)] }),
      ...(random.chance(0.45) && { ports: [piece(NETWORK_POLICY_PORTS)] }),
    }))
  const spec = {
    podSelector: subjectSelector(random),
    ...(random.chance(0.4) && { policyTypes: random.pick([['Ingress'], ['Egress'], ['Ingress', 'Egress']]) }),
    ingress: items('ingress', 'from'),
    egress: items('egress', 'to'),
  }
  return { document: { apiVersion: 'networking.k8s.io/v1', kind, metadata, spec }, kind, general, rules: rules.constructs }
}

const subject = (random: Random): object => random.pick([{ namespaces: {} }, { pods: { podSelector: selector(random) } }])

/** The kinds of policy.networking.k8s.io. A named port stands beside pods alone. */
function tier(kind: string, ports: readonly Piece[], field: string, actions: readonly string[], version: string, head: (random: Random) => object) {
  return (random: Random): Draft => {
    const rules = new Rules(random, kind)
    const { metadata, general } = metadataOf(random, undefined, kind.startsWith('BaselineAdmin') ? 'default' : 'written')
    const items = (direction: 'ingress' | 'egress', peers: readonly Piece[], side: string) =>
      rules.list(direction, 3, (piece) => {
        const peer = piece(peers)
        const numbers = ports.filter((each) => !isNamed(each))
        const open = random.chance(0.5) ? { [field]: [piece('networks' in peer || 'nodes' in peer ? numbers : ports)] } : {}
        return { action: random.pick(actions), [side]: [peer], ...open }
      })
    const spec = { ...head(random), subject: subject(random), ingress: items('ingress', TIER_INGRESS_PEERS, 'from'), egress: items('egress', TIER_EGRESS_PEERS, 'to') }
    return { document: { apiVersion: `policy.networking.k8s.io/${version}`, kind: kind.split(' ')[0], metadata, spec }, kind, general, rules: rules.constructs }
  }
}

const priority = (random: Random): { priority: number } => ({ priority: random.below(4) })
const clusterPolicy = (name: 'Admin' | 'Baseline') =>
  tier(`ClusterNetworkPolicy ${name}`, PROTOCOLS_OF_RULES, 'protocols', ['Accept', 'Deny', 'Deny', 'Pass'], 'v1alpha2', (random) => ({ tier: name, ...priority(random) }))

/** Where a direction is closed, ports for a proxy decide nothing. */
const ALLOWED_PORTS = [...CILIUM_PORTS, ...PROXIED_PORTS, ...PROXIED_PORTS]
const LISTS = ['ingress', 'ingressDeny', 'egress', 'egressDeny'] as const

function cilium(kind: string, head: (random: Random) => { namespace?: string; selects: object; general?: readonly string[] }, ports: readonly Piece[]) {
  return (random: Random): Draft => {
    const { namespace, selects, general = [] } = head(random)
    const { metadata, general: more } = metadataOf(random, namespace)
    const rules = new Rules(random, kind)
    const lists = Object.fromEntries(LISTS.map((list) => [list, rules.list(list, list.endsWith('Deny') ? 2 : 3, (piece) => ciliumRule(random, list, piece, ports))]))
    if (LISTS.every((list) => lists[list]?.length === 0)) lists['ingress'] = [{}]
    const open = ['ingress', 'egress'].filter(() => random.chance(0.5))
    const audited = random.chance(0.05)
    const spec = { ...selects, ...lists, enableDefaultDeny: Object.fromEntries(open.map((direction) => [direction, false])), ...(audited && { audit: true }) }
    const several = random.chance(0.2)
    const document = {
      apiVersion: 'cilium.io/v2', kind: namespace === undefined ? 'CiliumClusterwideNetworkPolicy' : 'CiliumNetworkPolicy', metadata, ...(several ? { specs: [spec] } : { spec }),
    }
    const used = [...general, ...more, ...(open.length > 0 ? [`${kind}: enableDefaultDeny`] : []), ...(audited ? ['audit in a spec'] : [])]
    return { document, kind, general: used, rules: rules.constructs, withoutEffect: nobodyIn(rules) }
  }
}

const nobodies = new Set(Object.values(NOBODY).flat().map(({ construct }) => construct))
const nobodyIn = ({ constructs }: Rules): readonly string[] => [...constructs.values()].flat().filter((construct) => nobodies.has(construct.split(': ')[1] ?? ''))

function ciliumRule(random: Random, list: (typeof LISTS)[number], piece: (from: readonly Piece[]) => object, ports: readonly Piece[]): object {
  const direction = list.startsWith('ingress') ? 'ingress' : 'egress'
  const allows = list === direction
  const whom = allows && random.chance(0.08) ? NOBODY[direction] : (allows ? CILIUM_ALLOW_PEERS : CILIUM_DENY_PEERS)[direction]
  const peers = random.chance(0.85) ? piece(whom) : {}
  const prefix = direction === 'ingress' ? 'from' : 'to'
  const open = random.chance(0.5) ? piece(allows ? ports : CILIUM_PORTS) : {}
  const authentication = allows && random.chance(0.05) ? { authentication: { mode: random.pick(['required', 'disabled']) } } : {}
  return { ...Object.fromEntries(Object.entries(peers).map(([field, value]) => [`${prefix}${field}`, value])), ...open, ...authentication }
}

const KINDS: readonly ((random: Random) => Draft)[] = [
  networkPolicy,
  networkPolicy,
  networkPolicy,
  cilium('Cilium', (random) => ({ namespace: random.pick(NAMESPACES), selects: { endpointSelector: subjectSelector(random) } }), ALLOWED_PORTS),
  cilium('Cilium', (random) => ({ namespace: random.pick(NAMESPACES), selects: { endpointSelector: subjectSelector(random) } }), ALLOWED_PORTS),
  cilium('Cilium', (random) => ({ selects: { endpointSelector: subjectSelector(random) }, general: ['clusterwide'] }), ALLOWED_PORTS),
  cilium('Cilium', () => ({ namespace: 'ns', selects: { endpointSelector: { matchLabels: { 'reserved:init': '' } } }, general: ['selects init'] }), CILIUM_PORTS),
  cilium('Cilium of nodes', (random) => ({ selects: { nodeSelector: random.chance(0.5) ? {} : { matchLabels: { zone: 'a' } } } }), CILIUM_PORTS),
  clusterPolicy('Admin'),
  clusterPolicy('Baseline'),
  tier('AdminNetworkPolicy', ADMIN_PORTS, 'ports', ['Allow', 'Deny', 'Deny', 'Pass'], 'v1alpha1', priority),
  tier('BaselineAdminNetworkPolicy', ADMIN_PORTS, 'ports', ['Allow', 'Deny'], 'v1alpha1', () => ({})),
]

/* ---- what a run has to meet ---- */

const of = (kind: string, ...tables: readonly (readonly Piece[])[]): string[] => tables.flat().map(({ construct }) => `${kind}: ${construct}`)
const tierConstructs = (kind: string, ports: readonly Piece[]): string[] => [...of(kind, TIER_EGRESS_PEERS, ports), `${kind}: ingress`, `${kind}: egress`, `${kind}: allow`, `${kind}: deny`]
const closing = (kind: string): string[] => ['ingress', 'egress'].map((direction) => `${kind}: default deny of ${direction}`)

/** Each of them has to decide packets. */
export const WRITTEN_CONSTRUCTS: readonly string[] = [
  ...of('NetworkPolicy', NETWORK_POLICY_PEERS, NETWORK_POLICY_PORTS), ...closing('NetworkPolicy'), 'NetworkPolicy: ingress', 'NetworkPolicy: egress',
  ...of('Cilium', CILIUM_EGRESS_PEERS, NARROWED, CILIUM_PORTS), ...closing('Cilium'), ...LISTS.map((list) => `Cilium: ${list}`),
  'Cilium: fromRequires', 'Cilium: toRequires', 'Cilium: toPorts', 'Cilium: authentication', 'Cilium: enableDefaultDeny', 'Cilium: specs', 'clusterwide', 'selects init',
  ...closing('Cilium of nodes'), ...LISTS.map((list) => `Cilium of nodes: ${list}`), 'always-allowed port of the node',
  ...tierConstructs('ClusterNetworkPolicy Admin', PROTOCOLS_OF_RULES), ...tierConstructs('ClusterNetworkPolicy Baseline', PROTOCOLS_OF_RULES),
  ...tierConstructs('AdminNetworkPolicy', ADMIN_PORTS), ...tierConstructs('BaselineAdminNetworkPolicy', ADMIN_PORTS),
  'audit by annotation', 'audit in a spec',
]

/** Each of them has to be written. */
export const WITHOUT_EFFECT: readonly string[] = [...new Set(of('Cilium', ...Object.values(NOBODY)))]
