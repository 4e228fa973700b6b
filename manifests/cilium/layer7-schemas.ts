// What a CiliumNetworkPolicy says above TCP and UDP, as schemas: rules of HTTP, Kafka, DNS and others, TLS, listeners.
import * as format from '../document/formats.ts'
import { integer, list, map, object, oneOf, string, type Value } from '../document/schema.ts'

const secret = object({ namespace: string(format.dnsLabel), name: string(format.dnsName) }, ['name'])

const http = object({
  path: string(format.regularExpression),
  method: string(format.regularExpression),
  host: string(format.regularExpression),
  headers: list(string()),
  headerMatches: list(
    object({ name: string(format.nonEmpty), value: string(), secret, mismatch: oneOf('LOG', 'ADD', 'DELETE', 'REPLACE') }, ['name']),
  ),
})

const kafka = object({
  role: oneOf('produce', 'consume'),
  apiKey: string(format.kafkaApiKey),
  apiVersion: string(format.kafkaApiVersion),
  clientID: string(),
  topic: string(format.kafkaTopic),
})

/** Of a DNS query, or of a peer in toFQDNs. */
export const nameSelector = object({ matchName: string(format.matchName), matchPattern: string(format.matchPattern) })

/** One of http, kafka, dns and l7proto: `checkLayer7` sees to it. */
const layer7Rules = object({
  http: list(http),
  kafka: list(kafka),
  dns: list(nameSelector),
  l7proto: string(format.nonEmpty),
  l7: list(map(format.anyText, string())),
})

const tlsContext = object(
  { secret, trustedCA: string(), certificate: string(), privateKey: string() },
  ['secret'],
)

const listener = object(
  {
    name: string(format.nonEmpty),
    priority: integer(0, 100),
    envoyConfig: object({ kind: oneOf('CiliumEnvoyConfig', 'CiliumClusterwideEnvoyConfig'), name: string(format.dnsName) }, ['name']),
  },
  ['name', 'envoyConfig'],
)

/** What of a port rule is for a proxy: `ProxiedPorts` keeps it as it is written. */
export const layer7 = {
  rules: layer7Rules,
  listener,
  terminatingTLS: tlsContext,
  originatingTLS: tlsContext,
  serverNames: list(string(format.matchPattern), 1),
}

const layer7Object = object(layer7)
export type Layer7 = Value<typeof layer7Object>
export type Layer7Rules = Value<typeof layer7Rules>
