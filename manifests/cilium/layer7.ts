// What a rule asks for above TCP and UDP: checked, and kept for the proxies that are to judge it. Until they are there the
// rule opens these ports to nobody: fail closed.
import type { Direction } from '../../engine/index.ts'
import type { Path } from '../document/errors.ts'
import type { Source } from '../document/source.ts'
import { layer7, type Layer7, type Layer7Rules } from './layer7-schemas.ts'
import type { RuleValue, Spec } from './rules.ts'

type AllowedPorts = NonNullable<NonNullable<Spec['ingress']>[number]['toPorts']>[number]
/** That of a deny rule has ports alone. */
type PortRule = NonNullable<RuleValue['toPorts']>[number]

const FIELDS = Object.keys(layer7) as readonly (keyof Layer7)[]

/** Undefined where ports alone decide. */
export function layer7Of(item: PortRule): Layer7 | undefined {
  const { ports: _, ...rest } = item as AllowedPorts
  return FIELDS.some((field) => rest[field] !== undefined) ? rest : undefined
}

/** Who would judge it, in words: "the HTTP proxy". */
export function proxyOf({ rules = {}, listener }: Layer7): string {
  if (listener !== undefined) return `the listener ${listener.name}`
  if (rules.http !== undefined) return 'the HTTP proxy'
  if (rules.kafka !== undefined) return 'the Kafka proxy'
  if (rules.dns !== undefined) return 'the DNS proxy'
  return rules.l7proto === undefined ? 'the TLS proxy' : `the proxy for ${rules.l7proto}`
}

/** What to say of ports that a rule leaves to a proxy. */
export const lackOf = (proxy: string): string => `needs ${proxy}, which is not there: denied`

export function checkLayer7(source: Source, place: { hostPolicy: boolean; direction: Direction }, item: AllowedPorts, path: Path): void {
  for (const field of FIELDS.filter((field) => item[field] !== undefined)) {
    if (place.hostPolicy) source.report('INVALID', [...path, field], 'stands in a policy of nodes', 'ports alone under nodeSelector')
    source.warn('NO_PROXY', [...path, field], lackOf(proxyOf(item)), 'the rule allows these ports to nobody')
  }
  if (item.listener !== undefined) checkListener(source, place.direction, item, [...path, 'listener'])
  if (item.rules !== undefined) checkRules(source, place.direction, item, item.rules, [...path, 'rules'])
}

function checkListener(source: Source, direction: Direction, { rules }: AllowedPorts, path: Path): void {
  if (direction === 'ingress') source.report('INVALID', path, 'stands in an ingress rule', 'listeners in egress rules')
  if (rules !== undefined) source.report('INVALID', path, 'stands beside rules', 'one of the two')
}

function checkRules(source: Source, direction: Direction, item: AllowedPorts, rules: Layer7Rules, path: Path): void {
  const kinds = (['http', 'kafka', 'dns', 'l7proto'] as const).filter((kind) => rules[kind] !== undefined)
  if (kinds.length !== 1) source.report('INVALID', path, `has ${kinds.join(' and ') || 'no rules'}`, 'one of http, kafka, dns, l7proto')
  if (rules.l7 !== undefined && rules.l7proto === undefined) source.report('INVALID', [...path, 'l7'], 'has no l7proto beside it', 'l7proto')
  if (rules.dns !== undefined && direction === 'ingress') source.report('INVALID', [...path, 'dns'], 'stands in an ingress rule', 'egress')
  if (item.serverNames !== undefined && item.terminatingTLS === undefined) {
    source.report('INVALID', path, 'stands beside serverNames without terminatingTLS', 'rules, serverNames or all three')
  }
  checkKafka(source, rules.kafka ?? [], [...path, 'kafka'])
  checkNames(source, rules.dns ?? [], [...path, 'dns'])
  checkPorts(source, item.ports, rules.dns !== undefined, path)
}

function checkKafka(source: Source, requests: NonNullable<Layer7Rules['kafka']>, path: Path): void {
  requests.forEach(({ role, apiKey }, index) => {
    if (role !== undefined && apiKey !== undefined) source.report('INVALID', [...path, index, 'apiKey'], 'stands beside role', 'one of the two')
  })
}

function checkNames(source: Source, names: NonNullable<Layer7Rules['dns']>, path: Path): void {
  names.forEach(({ matchName, matchPattern }, index) => {
    if ((matchName === undefined) !== (matchPattern === undefined)) return
    source.report('INVALID', [...path, index], 'has both or none of its fields', 'one of matchName, matchPattern')
  })
}

function checkPorts(source: Source, ports: PortRule['ports'], dns: boolean, path: Path): void {
  ports.forEach(({ port, endPort = 0, protocol = 'ANY' }, index) => {
    const at = [...path.slice(0, -1), 'ports', index]
    if (port !== undefined && Number(port) === 0) source.report('INVALID', [...at, 'port'], 'is every port', 'a port of its own beside rules')
    if (dns && endPort > Number(port)) source.report('INVALID', [...at, 'endPort'], 'stands beside rules of DNS', 'single ports')
    if (!dns && protocol !== 'TCP') source.report('INVALID', [...at, 'protocol'], `is ${protocol}`, 'TCP beside rules of HTTP, Kafka and others')
  })
}
