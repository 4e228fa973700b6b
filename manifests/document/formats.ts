// Formats of strings in manifests, each with the words in which an error says what is allowed.
import { parseAddress, parsePrefix } from '../../engine/index.ts'
import { isRe2 } from './re2.ts'
import type { Format } from './schema.ts'

const matches = (pattern: RegExp, longest: number, allowed: string): Format => ({
  allowed,
  accepts: (text) => text.length <= longest && pattern.test(text),
})

const NAME = '[a-z0-9]([-a-z0-9]*[a-z0-9])?'
const QUALIFIED = '[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?'

/** RFC 1123 label. */
export const dnsLabel = matches(
  new RegExp(`^${NAME}$`),
  63,
  "a DNS label: lower-case letters, digits and '-', at most 63 characters",
)

/** RFC 1123 subdomain. */
export const dnsName = matches(
  new RegExp(`^${NAME}(\\.${NAME})*$`),
  253,
  "a DNS name: lower-case letters, digits, '-' and '.', at most 253 characters",
)

/** A DNS name to select peers by; `*.` before it stands for one or more labels. */
export const domainName = matches(
  /^(\*\.)?([A-Za-z0-9]([-A-Za-z0-9_]*[A-Za-z0-9])?\.)+[A-Za-z0-9]([-A-Za-z0-9_]*[A-Za-z0-9])?\.?$/,
  253,
  'a DNS name of at least two labels, with *. before it or nothing, e.g. *.example.com',
)

/** A DNS name as it stands in a query, and one with * for any characters of a label. */
export const matchName = matches(/^[-\w]+(\.[-\w]+)*\.?$/, 255, "a DNS name: letters, digits, '-', '_' and '.'")
export const matchPattern = matches(/^[-\w*]+(\.[-\w*]+)*\.?$/, 255, "a DNS name with * for any characters, e.g. *.example.com")

export const kafkaTopic = matches(/^[-\w.]+$/, 255, "a topic: letters, digits, '-', '_' and '.', at most 255 characters")

/** Names of requests, in any case (https://kafka.apache.org/protocol#protocol_api_keys), as far as Cilium knows them. */
const KAFKA_API_KEYS = [
  'produce', 'fetch', 'offsets', 'metadata', 'leaderandisr', 'stopreplica', 'updatemetadata', 'controlledshutdown',
  'offsetcommit', 'offsetfetch', 'findcoordinator', 'joingroup', 'heartbeat', 'leavegroup', 'syncgroup', 'describegroups',
  'listgroups', 'saslhandshake', 'apiversions', 'createtopics', 'deletetopics', 'deleterecords', 'initproducerid',
  'offsetforleaderepoch', 'addpartitionstotxn', 'addoffsetstotxn', 'endtxn', 'writetxnmarkers', 'txnoffsetcommit',
  'describeacls', 'createacls', 'deleteacls', 'describeconfigs', 'alterconfigs',
]

export const kafkaApiKey: Format = {
  allowed: `a request of Kafka: ${KAFKA_API_KEYS.join(', ')}`,
  accepts: (text) => KAFKA_API_KEYS.includes(text.toLowerCase()),
}

export const kafkaApiVersion: Format = {
  allowed: 'a version from "0" to "32767" in quotes',
  accepts: (text) => /^\d{1,5}$/.test(text) && Number(text) <= 32_767,
}

/** Longer ones would cost the proxy more than any path or host is long. */
export const regularExpression: Format = {
  allowed: "a regular expression in RE2's syntax, of at most 1024 characters",
  accepts: (text) => text.length <= 1024 && isRe2(text),
}

/** Free text, short enough for a listing. */
export const ruleName = matches(/^/, 100, 'text of at most 100 characters')

/** Kubernetes' syntax: an optional DNS name with '/', then at most 63 characters. */
export const labelKey: Format = {
  allowed: "a label key: NAME or DNS.NAME/NAME; NAME of letters, digits, '-', '_', '.', at most 63 characters",
  accepts: (text) => {
    const slash = text.indexOf('/')
    const name = text.slice(slash + 1)
    return name.length <= 63 && new RegExp(`^${QUALIFIED}$`).test(name) && (slash < 0 || dnsName.accepts(text.slice(0, slash)))
  },
}

export const labelValue = matches(
  new RegExp(`^(${QUALIFIED})?$`),
  63,
  "a label value: letters, digits, '-', '_', '.', at most 63 characters, or empty",
)

const SOURCES = ['any', 'k8s', 'container', 'host', 'node', 'aws', 'gcp', 'reserved']

/** A key with an optional source, as Cilium writes it: `app`, `any:app`, `k8s:app`, `reserved:host`. */
export const sourcedLabelKey: Format = {
  allowed: `a label key, with a source before it or none: ${SOURCES.map((source) => `${source}:`).join(', ')}`,
  accepts: (text) => {
    const colon = text.indexOf(':')
    if (colon < 0) return labelKey.accepts(text)
    const key = text.slice(colon + 1)
    // Cloud keys outside Kubernetes' syntax are percent-encoded (docs/architecture.md, section 4).
    return SOURCES.includes(text.slice(0, colon)) && (labelKey.accepts(key) || /^[-\w./%]+$/.test(key))
  },
}

export const sourcedLabelValue = matches(
  /^[-\w./%]*$/,
  1024,
  "a label value: letters, digits, '-', '_', '.', others percent-encoded, or empty",
)

export const address: Format = {
  allowed: 'an IPv4 or IPv6 address, e.g. 10.0.0.1 or fd00::1 (not IPv4-mapped)',
  accepts: (text) => parseAddress(text) !== undefined,
}

export const prefix: Format = {
  allowed: 'an IPv4 or IPv6 prefix, e.g. 10.0.0.0/8 or fd00::/8',
  accepts: (text) => parsePrefix(text) !== undefined,
}

/** CiliumNetworkPolicy's toCIDR and fromCIDR take a single address too. */
export const prefixOrAddress: Format = {
  allowed: `${prefix.allowed}, or an address`,
  accepts: (text) => prefix.accepts(text) || address.accepts(text),
}

/** IANA service name as Kubernetes wants it for named ports (RFC 6335 section 5.1). */
export const portName: Format = {
  allowed: "a port name: at most 15 lower-case letters, digits and single '-', with at least one letter",
  accepts: (text) => text.length <= 15 && /^[a-z0-9]+(-[a-z0-9]+)*$/.test(text) && /[a-z]/.test(text),
}

/** CiliumNetworkPolicy writes numbers as strings; 0 stands for every port of the protocol. */
export const portText: Format = {
  allowed: 'a port from "0" (all) to "65535" in quotes, or a port name',
  accepts: (text) => (/^\d{1,5}$/.test(text) ? Number(text) <= 65_535 : portName.accepts(text.toLowerCase())),
}

/** What the kernel takes as the name of an interface (IFNAMSIZ is 16 with the final zero). */
export const interfaceName = matches(/^[^\s/:]+$/, 15, "an interface name: at most 15 characters, no space, '/' or ':'")

export const macAddress = matches(/^[\da-f]{2}(:[\da-f]{2}){5}$/i, 17, 'a MAC address, e.g. 02:00:00:00:00:01')

export const nonEmpty = matches(/^[^]/, Infinity, 'text, not empty')

export const anyText: Format = { allowed: 'text', accepts: () => true }
