// What a CiliumNetworkPolicy says above TCP and UDP, as schemas: rules of HTTP, Kafka, DNS and others, TLS, listeners.
import * as format from '../document/formats.ts'
import { integer, list, map, object, oneOf, string } from '../document/schema.ts'

const secret = object({ namespace: string(format.dnsLabel), name: string(format.dnsName) }, ['name'])

const http = object({
  path: string(format.regularExpression),
  method: string(format.regularExpression),
  host: string(format.regularExpression),
  headers: list(string()),
  headerMatches: list(
    object({ name: string(), value: string(), secret, mismatch: oneOf('LOG', 'ADD', 'DELETE', 'REPLACE') }, ['name']),
  ),
})

const kafka = object({
  role: oneOf('produce', 'consume'),
  apiKey: string(),
  apiVersion: string(),
  clientID: string(),
  topic: string(format.kafkaTopic),
})

/** Of a DNS query, or of a peer in toFQDNs. */
export const nameSelector = object({ matchName: string(format.matchName), matchPattern: string(format.matchPattern) })

/** One of http, kafka, dns and l7proto: `checkLayer7` sees to it. */
export const layer7Rules = object({
  http: list(http, 1),
  kafka: list(kafka, 1),
  dns: list(nameSelector, 1),
  l7proto: string(),
  l7: list(map(format.anyText, string())),
})

export const tlsContext = object(
  { secret, trustedCA: string(), certificate: string(), privateKey: string() },
  ['secret'],
)

export const listener = object(
  {
    name: string(),
    priority: integer(0, 100),
    envoyConfig: object({ kind: oneOf('CiliumEnvoyConfig', 'CiliumClusterwideEnvoyConfig'), name: string(format.dnsName) }, ['name']),
  },
  ['name', 'envoyConfig'],
)
