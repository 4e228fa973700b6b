// cilium.io/v2 CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy as drafts of policies.
// Semantics: https://docs.cilium.io/en/stable/security/policy/ and the definitions of the kinds.
import type { Direction, Requirement } from '../../engine/index.ts'
import type { Path } from '../document/errors.ts'
import type { Value } from '../document/schema.ts'
import type { Source } from '../document/source.ts'
import { NAMESPACE_KEY, equals, exists, lacks } from '../labels.ts'
import { readAudit } from '../metadata.ts'
import type { PolicyDraft } from '../model.ts'
import type { PolicyResource } from '../resources.ts'
import { requirementsOf, sourcedKey } from '../selectors.ts'
import { ciliumNodeKey } from './peers.ts'
import { LISTS, readRules, type Context, type Spec } from './rules.ts'
import type { ciliumClusterwideNetworkPolicy, ciliumNetworkPolicy } from './schemas.ts'
import { unproxied } from './unproxied.ts'

type Document = Value<typeof ciliumNetworkPolicy> | Value<typeof ciliumClusterwideNetworkPolicy>

export const readCiliumPolicy =
  (kind: 'CiliumNetworkPolicy' | 'CiliumClusterwideNetworkPolicy') =>
  (document: Document, source: Source): PolicyResource => {
    const { name } = document.metadata
    const namespace = kind === 'CiliumNetworkPolicy' ? (document.metadata.namespace ?? 'default') : ''
    const audit = readAudit(source, document.metadata.annotations)
    const drafts = specsOf(document, source).flatMap(({ spec, path, index }) => {
      const { description, log } = spec
      const told = { ...(description !== undefined && { description }), ...(log?.value !== undefined && { log: log.value }) }
      const reference = { kind, namespace, name, ...told, ...(index === undefined ? {} : { spec: index }) }
      const draft = readSpec({ source, reference, path }, spec)
      return [draft, ...unproxied(draft)].map((each) => ({ ...each, audit: audit || spec.audit === true }))
    })
    return { kind, namespace, name, drafts }
  }

function specsOf(document: Document, source: Source): readonly { spec: Spec; path: Path; index?: number }[] {
  const specs = (document.specs ?? []).map((spec, index) => ({ spec, path: ['specs', index], index }))
  if (document.spec === undefined && specs.length === 0) source.report('MISSING_FIELD', [], 'has no rules', 'spec, specs')
  return document.spec === undefined ? specs : [{ spec: document.spec, path: ['spec'] }, ...specs]
}

function readSpec(context: Context, spec: Spec): Omit<PolicyDraft, 'audit'> {
  checkNotEmpty(context, spec)
  const directions = (['ingress', 'egress'] as const).filter((direction) => isolates(context, spec, direction))
  const isolation = directions.map((direction) => [direction, { ...context.reference, direction, action: 'default-deny', index: 0 }])
  return {
    subject: { requirements: readSubject(context, spec) },
    tier: 'normal',
    priority: 0,
    isolates: Object.fromEntries(isolation) as PolicyDraft['isolates'],
    rules: readRules(context, spec),
  }
}

function readSubject(context: Context, spec: Spec): readonly Requirement[] {
  const { source, path } = context
  if (spec.nodeSelector !== undefined) return readNodeSubject(context, spec)
  if (spec.endpointSelector === undefined) {
    const allowed = 'a selector; {} selects every workload'
    source.report('MISSING_FIELD', [...path, 'endpointSelector'], 'required field is missing', allowed)
    return []
  }
  return readEndpointSubject(context, spec.endpointSelector)
}

function readEndpointSubject({ source, reference, path }: Context, selector: NonNullable<Spec['endpointSelector']>): readonly Requirement[] {
  const at = [...path, 'endpointSelector']
  const requirements = requirementsOf(source, selector, at, sourcedKey)
  // The node itself is nodeSelector's alone.
  if (reference.namespace === '') return [...requirements, lacks('reserved:host')]
  // What has no labels yet is in no namespace.
  if (requirements.some(({ key }) => key === 'reserved:init')) return requirements
  const foreign = requirements.some(({ key, values }) => key === NAMESPACE_KEY && values.some((value) => value !== reference.namespace))
  if (foreign) source.report('INVALID', at, 'selects another namespace', `namespace ${reference.namespace}, the policy's own`)
  return [...requirements, equals(NAMESPACE_KEY, reference.namespace)]
}

/** A host policy: the node is the subject. */
function readNodeSubject({ source, reference, path }: Context, spec: Spec): readonly Requirement[] {
  const at = [...path, 'nodeSelector']
  if (spec.endpointSelector !== undefined) source.report('INVALID', at, 'stands beside endpointSelector', 'one of the two')
  if (reference.namespace !== '') source.report('INVALID', at, 'stands in a CiliumNetworkPolicy', 'a CiliumClusterwideNetworkPolicy for nodes')
  return [exists('reserved:host'), ...requirementsOf(source, spec.nodeSelector ?? {}, at, ciliumNodeKey)]
}

/** An empty list isolates nobody, which surprises whoever wrote it; Cilium refuses such a policy too. */
function checkNotEmpty({ source, path }: Context, spec: Spec): void {
  if (LISTS.some((list) => (spec[list] ?? []).length > 0)) return
  source.report('INVALID', path, 'has no rule', `one rule at least in ${LISTS.join(', ')}; to deny all: ingress: [{}]`)
}

/** A direction with rules becomes default-deny unless enableDefaultDeny says otherwise. */
function isolates({ source, path }: Context, spec: Spec, direction: Direction): boolean {
  const ruled = [...(spec[direction] ?? []), ...(spec[`${direction}Deny`] ?? [])].length > 0
  const wanted = spec.enableDefaultDeny?.[direction]
  if (wanted === true && !ruled) {
    source.report('INVALID', [...path, 'enableDefaultDeny', direction], `has no ${direction} rules`, `${direction}: [{}] beside it`)
  }
  return ruled && wanted !== false
}
