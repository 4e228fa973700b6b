// toPorts and icmps of a rule of a CiliumNetworkPolicy.
import type { Direction, PortMatch } from '../../engine/index.ts'
import type { Path } from '../document/errors.ts'
import type { Source } from '../document/source.ts'
import type { ProxiedPorts, RuleDraft } from '../model.ts'
import { PROTOCOLS, icmpCodes, wholeProtocol } from '../ports.ts'
import { icmpTypeNames, icmpTypeNumber } from './icmp.ts'
import { isPortless, PORTLESS, PORTLESS_NAMES } from './portless.ts'
import { checkLayer7, layer7Of, proxyOf } from './layer7.ts'
import type { RuleValue, Spec } from './rules.ts'

type PortValue = NonNullable<RuleValue['toPorts']>[number]['ports'][number]
type IcmpValue = NonNullable<RuleValue['icmps']>[number]['fields'][number]

/** Undefined where the rule speaks of no ports at all. */
export function readPorts(
  source: Source,
  spec: Spec,
  direction: Direction,
  rule: RuleValue,
  path: Path,
): Pick<RuleDraft, 'ports' | 'proxied'> | undefined {
  const { toPorts = [], icmps = [] } = rule
  if (toPorts.length > 0 && icmps.length > 0) {
    source.report('INVALID', path, 'combines toPorts and icmps', 'one of the two in each rule; write a rule for each')
  }
  if (toPorts.length === 0 && icmps.length === 0) return undefined
  const items = toPorts.map((item, i) => {
    const at = [...path, 'toPorts', i]
    checkLayer7(source, { hostPolicy: spec.nodeSelector !== undefined, direction }, item, at)
    return { ports: together(item.ports.map((port, j) => readPort(source, port, [...at, 'ports', j]))), layer7: layer7Of(item) }
  })
  const types = icmps.flatMap((item, i) =>
    item.fields.map((field, j) => readIcmp(source, field, [...path, 'icmps', i, 'fields', j])),
  )
  const open = items.flatMap(({ ports, layer7 }) => (layer7 === undefined ? [ports] : []))
  const proxied = items.flatMap(({ ports, layer7 }): ProxiedPorts[] => (layer7 === undefined ? [] : [{ ports, layer7, proxy: proxyOf(layer7) }]))
  return { ports: together([...open, types]), ...(proxied.length > 0 && { proxied }) }
}

/** All of them; every port as soon as one is. */
export function together(ports: readonly RuleDraft['ports'][]): RuleDraft['ports'] {
  const ranges = ports.flatMap((each) => (each === 'all' ? [] : each))
  return ports.includes('all') ? 'all' : ranges
}

function readPort(source: Source, value: PortValue, path: Path): RuleDraft['ports'] {
  const { port = '', endPort = 0, protocol: name = 'ANY' } = value
  if (isPortless(name)) return readPortless(source, value, name, path)
  if (port === '') {
    source.report('MISSING_FIELD', [...path, 'port'], 'required field is missing', `a port in quotes, or a protocol without ports: ${PORTLESS_NAMES.join(', ')}`)
    return []
  }
  if (!/^\d+$/.test(port)) {
    if (endPort > 0) source.report('INVALID', [...path, 'endPort'], 'needs a port that is a number', 'no endPort beside a name')
    return [{ protocol: name === 'ANY' ? 'any' : PROTOCOLS[name], name: port.toLowerCase() }]
  }
  const first = Number(port)
  if (first === 0 && endPort > 0) source.report('INVALID', [...path, 'endPort'], 'stands beside port 0', 'no endPort: 0 is all ports')
  if (endPort > 0 && endPort < first) source.report('INVALID', [...path, 'endPort'], `is below port ${port}`, `${port} to 65535`)
  if (name === 'ANY' && first === 0) return 'all'
  const protocols = name === 'ANY' ? [PROTOCOLS.TCP, PROTOCOLS.UDP, PROTOCOLS.SCTP] : [PROTOCOLS[name]]
  return protocols.map((protocol) => (first === 0 ? wholeProtocol(protocol) : { protocol, first, last: endPort || first }))
}

function readPortless(source: Source, { port = '0', endPort = 0 }: PortValue, name: keyof typeof PORTLESS, path: Path): readonly PortMatch[] {
  if (Number(port) !== 0) source.report('INVALID', [...path, 'port'], `stands beside ${name}, which has no ports`, 'no port, or "0"')
  if (endPort !== 0) source.report('INVALID', [...path, 'endPort'], `stands beside ${name}, which has no ports`, 'no endPort')
  return [wholeProtocol(PORTLESS[name])]
}

function readIcmp(source: Source, { family = 'IPv4', type }: IcmpValue, path: Path): PortMatch {
  const number = icmpTypeNumber(family, type)
  if (number === undefined) {
    source.report('INVALID', [...path, 'type'], `${family} has no ICMP type ${type}`, icmpTypeNames(family).join(', '))
  }
  return icmpCodes(family === 'IPv4' ? PROTOCOLS.ICMP : PROTOCOLS.ICMPv6, number ?? 0)
}
