// Our own kinds as schemas.
import * as format from '../document/formats.ts'
import { boolean, ignored, integer, integerOrString, list, object, oneOf, string } from '../document/schema.ts'
import { clusterwide, head, namespaced } from '../metadata.ts'
import { FORWARDING_MODES } from '../model.ts'

const protocol = oneOf('TCP', 'UDP', 'SCTP')
const port = integer(1, 65_535)
/** A year at most: the datapath's clock wraps after two. */
const seconds = integer(1, 31_536_000)

/** Of senders: single addresses are taken too. */
const prefixes = list(string(format.prefixOrAddress), 1)
const rate = object({ perSecond: integer(1, 100_000_000), burst: integer(1, 100_000_000) }, ['perSecond'])

export const workload = object(
  {
    ...head,
    metadata: namespaced,
    spec: object(
      {
        addresses: list(string(format.address), 1, 16),
        serviceAccount: string(format.dnsName),
        ports: list(object({ name: string(format.portName), port, protocol }, ['name', 'port'])),
        interface: string(format.interfaceName),
        netns: string(),
        mac: string(format.macAddress),
        init: boolean,
      },
      ['addresses'],
    ),
    status: ignored,
  },
  ['metadata', 'spec'],
)

export const loadBalancer = object(
  {
    ...head,
    metadata: namespaced,
    spec: object(
      {
        addresses: list(string(format.address), 1, 16),
        forwarding: oneOf(...FORWARDING_MODES),
        vni: integer(0, 0xff_ffff),
        algorithm: oneOf('maglev'),
        tracking: oneOf('changing', 'always'),
        idleSeconds: object({ TCP: seconds, UDP: seconds, SCTP: seconds }),
        drainSeconds: seconds,
        sourceRanges: object({ allow: prefixes, deny: prefixes }),
        rateLimits: object({ packets: rate, newConnections: rate }),
        tableSize: integerOrString(2, 131_071, { allowed: 'auto', accepts: (text) => text === 'auto' }),
        ports: list(object({ name: string(format.portName), port, protocol }, ['port']), 1),
        backends: list(
          object(
            {
              name: string(format.dnsName),
              addresses: list(string(format.address), 1, 16),
              weight: integer(0, 65_535),
              state: oneOf('active', 'draining', 'down'),
            },
            ['addresses'],
          ),
        ),
      },
      ['addresses', 'ports', 'backends'],
    ),
    status: ignored,
  },
  ['metadata', 'spec'],
)

export const prefilter = object(
  { ...head, metadata: clusterwide, spec: object({ deny: prefixes, allow: prefixes }), status: ignored },
  ['metadata', 'spec'],
)
