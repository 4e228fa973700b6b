// Rules above TCP and UDP: checked, so that what is written is right when there is a proxy, and until then not
// enforced. Ports that need a proxy are allowed to nobody by their rule: fail closed.
import type { Direction } from '../../engine/index.ts'
import type { Path } from '../document/errors.ts'
import type { Value } from '../document/schema.ts'
import type { Source } from '../document/source.ts'
import type { layer7Rules } from './layer7-schemas.ts'
import type { RuleValue, Spec } from './rules.ts'

type AllowedPorts = NonNullable<NonNullable<Spec['ingress']>[number]['toPorts']>[number]
/** That of a deny rule has ports alone. */
type PortRule = NonNullable<RuleValue['toPorts']>[number]
type Rules = Value<typeof layer7Rules>

const PROXY_FIELDS = ['rules', 'listener', 'terminatingTLS', 'originatingTLS', 'serverNames'] as const

const proxyFields = (item: PortRule) => PROXY_FIELDS.filter((field) => (item as AllowedPorts)[field] !== undefined)

export const needsProxy = (item: PortRule): boolean => proxyFields(item).length > 0

export function checkLayer7(source: Source, place: { hostPolicy: boolean; direction: Direction }, item: AllowedPorts, path: Path): void {
  for (const field of proxyFields(item)) {
    const at = [...path, field]
    if (place.hostPolicy) source.report('INVALID', at, 'stands in a policy of nodes', 'ports alone under nodeSelector')
    source.warn('NO_PROXY', at, 'there is no proxy yet for what stands above TCP and UDP', 'the rule allows these ports to nobody')
  }
  if (item.listener !== undefined) checkListener(source, place.direction, item, [...path, 'listener'])
  if (item.rules !== undefined) checkRules(source, place.direction, item, item.rules, [...path, 'rules'])
}

function checkListener(source: Source, direction: Direction, { rules }: AllowedPorts, path: Path): void {
  if (direction === 'ingress') source.report('INVALID', path, 'stands in an ingress rule', 'listeners in egress rules')
  if (rules !== undefined) source.report('INVALID', path, 'stands beside rules', 'one of the two')
}

function checkRules(source: Source, direction: Direction, item: AllowedPorts, rules: Rules, path: Path): void {
  const kinds = (['http', 'kafka', 'dns', 'l7proto'] as const).filter((kind) => rules[kind] !== undefined)
  if (kinds.length !== 1) source.report('INVALID', path, `has ${kinds.join(' and ') || 'no rules'}`, 'one of http, kafka, dns, l7proto')
  if (rules.l7 !== undefined && rules.l7proto === undefined) source.report('INVALID', [...path, 'l7'], 'has no l7proto beside it', 'l7proto')
  if (rules.dns !== undefined && direction === 'ingress') source.report('INVALID', [...path, 'dns'], 'stands in an ingress rule', 'egress')
  if (item.serverNames !== undefined && item.terminatingTLS === undefined) {
    source.report('INVALID', path, 'stands beside serverNames without terminatingTLS', 'rules, serverNames or all three')
  }
  checkNames(source, rules.dns ?? [], [...path, 'dns'])
  checkPorts(source, item.ports, rules.dns !== undefined, path)
}

function checkNames(source: Source, names: NonNullable<Rules['dns']>, path: Path): void {
  names.forEach(({ matchName, matchPattern }, index) => {
    if ((matchName === undefined) !== (matchPattern === undefined)) return
    source.report('INVALID', [...path, index], 'has both or none of its fields', 'one of matchName, matchPattern')
  })
}

function checkPorts(source: Source, ports: PortRule['ports'], dns: boolean, path: Path): void {
  ports.forEach(({ port, protocol = 'ANY' }, index) => {
    const at = [...path.slice(0, -1), 'ports', index]
    if (port === '0') source.report('INVALID', [...at, 'port'], 'is every port', 'a port of its own beside rules')
    if (!dns && protocol !== 'TCP') source.report('INVALID', [...at, 'protocol'], `is ${protocol}`, 'TCP beside rules of HTTP, Kafka and others')
  })
}
